"""Texts that no engine takes, and what is said of them."""

from collections.abc import Callable

import pytest

from swarmpy.container_values import (
    check_capability,
    check_extra_host,
    check_signal,
    check_sysctl,
    check_target,
    check_working_dir,
)
from swarmpy.errors import BadRequest
from swarmpy.image_reference import check_image_reference


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (check_image_reference, "reg.local:5000/shop/web:1"), (check_image_reference, "x"),
        (check_signal, "SIGTERM"), (check_signal, "usr1"), (check_signal, "9"), (check_signal, "SIGRTMIN+3"),
        (check_capability, "NET_ADMIN"), (check_capability, "cap_sys_time"), (check_capability, "all"),
        (check_sysctl, "net.core.somaxconn"), (check_sysctl, "net/ipv4/conf/eth0.1/forwarding"),
        (check_extra_host, "10.0.0.1 db"), (check_extra_host, "::1 a b"), (check_extra_host, "host-gateway h"),
        (check_working_dir, "/srv"), (check_target, "/data"), (check_target, "{{.Task.Slot}}"),
    ],
)  # fmt: skip
def test_what_engines_take_is_taken(check: Callable[[str], None], text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("check", "text", "sentence"),
    [
        (check_image_reference, "A B", "'A B' is not a valid image reference"),
        (check_image_reference, "shop/Web", "the path of an image is lower case"),
        (check_signal, "FOO", "'FOO' is no signal; write one like SIGTERM or SIGINT"),
        (check_signal, "SIGTREM", "'SIGTREM' is no signal; did you mean SIGTERM?"),
        (check_signal, "0", "0 is no signal; their numbers go from 1 to 64"),
        (check_signal, "", "'' is no signal"),
        (check_signal, "9" * 5000, "is no signal"),
        (check_capability, "NET_ADMN", "'NET_ADMN' is no capability; did you mean NET_ADMIN?"),
        (check_capability, "CAP_ALL", "'CAP_ALL' is no capability"),
        (check_sysctl, "net", "'net' is no kernel setting"),
        (check_sysctl, "net.core=1", "'net.core=1' is no kernel setting"),
        (check_extra_host, "foo", "'foo' is not of the form"),
        (check_extra_host, "foo bar", "'foo' is no IP address"),
        (check_working_dir, "srv", "'srv' is no absolute path; a working directory begins with /"),
        (check_target, "data", "'data' is no absolute path in the container"),
        (check_target, "//", "a mount cannot stand at /"),
    ],
)  # fmt: skip
def test_what_no_engine_takes_is_refused_in_words(check: Callable[[str], None], text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check(text)
    assert sentence in str(caught.value)
