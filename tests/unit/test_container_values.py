"""Texts that no engine takes, and what is said of them."""

import re
from collections.abc import Callable

import pytest

from manager.admission.names import check_hostname, check_search_domain, check_user
from swarmpy.container_values import (
    check_capability,
    check_extra_host,
    check_signal,
    check_sysctl,
    check_target,
    check_working_dir,
    is_number_within,
)
from swarmpy.errors import BadRequest
from swarmpy.image_reference import check_image_reference
from swarmpy.shown import shown


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (check_image_reference, "reg.local:5000/shop/web:1"), (check_image_reference, "x"),
        (check_signal, "SIGTERM"), (check_signal, "usr1"), (check_signal, "9"),
        (check_signal, "009"), (check_signal, "SIGRTMIN+3"),
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
        (check_signal, "0001500", "0001500 is no signal"),
        (check_signal, "\u0666", "is no signal"),
        (check_capability, "NET_ADMN", "'NET_ADMN' is no capability; did you mean NET_ADMIN?"),
        (check_capability, "CAP_ALL", "'CAP_ALL' is no capability"),
        (check_sysctl, "net", "'net' is no kernel setting"),
        (check_sysctl, "net.core=1", "'net.core=1' is no kernel setting"),
        (check_extra_host, "foo", "'foo' is not of the form"),
        (check_extra_host, "foo bar", "'foo' is no IP address"),
        (check_working_dir, "srv", "'srv' is no absolute path; a working directory begins with /"),
        (check_target, "data", "'data' is no absolute path in the container"),
        (check_target, "//", "a mount cannot stand at /"),
        (check_target, "/a/..", "a mount cannot stand at /"),
    ],
)  # fmt: skip
def test_what_no_engine_takes_is_refused_in_words(check: Callable[[str], None], text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "check",
    [
        check_signal, check_capability, check_sysctl, check_extra_host, check_working_dir, check_target,
        check_image_reference, check_hostname, check_search_domain, check_user,
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", ["!", "a-", "a.", "a__", "a/", "-", ":", "9", "{{", "}}", "\t"])
def test_a_refusal_is_short_and_fast_however_long_the_text(check: Callable[[str], None], part: str) -> None:
    try:
        check(part * 200_000 + "!\t")
    except BadRequest as error:
        assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("0", True), ("7", True), ("0000000000000000000007", True), ("8", False), ("0001500", False), ("", False),
     ("-1", False), ("+1", False), ("\u0661", False), ("9" * 5000, False), ("0" * 5000 + "7", False), (" 1", False)],
)  # fmt: skip
def test_a_number_is_read_whole(text: str, is_one: bool) -> None:
    assert is_number_within(text, 0, 7) is is_one


@pytest.mark.parametrize("text", ["2147483647", "00000000001", "00000000001:000000000000007", "app", "app:1000"])
def test_ids_up_to_the_highest_are_taken(text: str) -> None:
    check_user(text)


@pytest.mark.parametrize("text", ["2147483648", "000002147483648", "1:99999999999999", "-1", "-0"])
def test_ids_beyond_the_highest_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is no id; they go from 0 to 2147483647"):
        check_user(text)


@pytest.mark.parametrize("text", [".", "local", "local.", "a.b.c"])
def test_search_domains_may_end_with_a_dot(text: str) -> None:
    check_search_domain(text)


@pytest.mark.parametrize("text", ["..", "a..", "a...", ".a", ""])
def test_search_domains_have_no_empty_part(text: str) -> None:
    with pytest.raises(BadRequest, match="is no host name"):
        check_search_domain(text)


def test_a_host_name_that_is_none_is_quoted_as_it_was_given() -> None:
    text = "a" * 63 + "{{.Task.Slot}}"
    with pytest.raises(BadRequest, match=re.escape(f"{text!r} is no host name")):
        check_hostname(text)


@pytest.mark.parametrize("value", ["x" * 121, ["x" * 121], "\x07" * 5000])
def test_what_is_long_is_quoted_in_part(value: object) -> None:
    assert shown(value).endswith("...")
    assert len(shown(value)) < 1000
    assert (shown("a'b"), shown({}), shown(None)) == (repr("a'b"), "{}", "None")
