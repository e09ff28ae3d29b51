"""Durations, sizes, CPUs, and the short forms of ports, volumes, commands and env files."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from swarmpy.cli.awaited import parse_timeout
from swarmpy.errors import BadRequest
from swarmpy.stack.shortforms import (
    parse_env_file,
    parse_port,
    parse_tmpfs,
    parse_volume,
    split_words,
    volume_options,
)
from swarmpy.stack.units import parse_cpus, parse_duration, parse_positive_duration, parse_size, show_duration

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds", "shown"),
    [
        ("1m30s", 90 * SECOND, "1m30s"),
        ("90s", 90 * SECOND, "1m30s"),
        ("1.5s", 3 * SECOND // 2, "1.5s"),
        ("100ms", SECOND // 10, "100ms"),
        ("1h", 3600 * SECOND, "1h0m0s"),
        ("1h0m1s", 3601 * SECOND, "1h0m1s"),
        ("0", 0, "0s"),
        ("0s", 0, "0s"),
        ("250us", 250_000, "250µs"),
        ("7ns", 7, "7ns"),
        ("-2s", -2 * SECOND, "-2s"),
        (".5m", 30 * SECOND, "30s"),
        ("2.s", 2 * SECOND, "2s"),
    ],
)
def test_durations_are_read_and_shown(text: str, nanoseconds: int, shown: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert show_duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("1.5g", 3 << 29), ("1gb", 1 << 30), ("1 GiB", 1 << 30), ("512", 512), ("2K", 2048), ("1b", 1)],
)
def test_sizes_are_binary(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_cpus_are_counted_in_billionths() -> None:
    assert [parse_cpus(text) for text in ("0.5", "2", ".25")] == [SECOND // 2, 2 * SECOND, SECOND // 4]


@pytest.mark.parametrize(
    ("reads", "text"),
    [
        (parse_duration, ""), (parse_duration, "5"), (parse_duration, "5x"), (parse_duration, "1m 2s"),
        (parse_size, "5q"), (parse_size, ""), (parse_size, "-1m"), (parse_size, "m"),
        (parse_cpus, "a"), (parse_cpus, "-1"), (parse_cpus, "0.00000000001"), (parse_cpus, "inf"), (parse_cpus, "nan"),
        (parse_port, "99999:80"), (parse_port, "80/icmp"), (parse_port, "a:80"), (parse_port, "90-80"),
        (parse_port, "80-82:80-81"), (parse_port, ""), (parse_port, "80:"),
        (parse_volume, ""), (parse_volume, "a:/b:ro:x"), (parse_volume, "a::ro"), (parse_volume, ":/b"),
        (split_words, "a 'b"), (split_words, 'a "b'), (split_words, "a\\"),
        (parse_tmpfs, "/x:size=big"),
    ],
)  # fmt: skip
def test_what_is_no_such_thing_is_refused_with_a_reason(reads: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        reads(text)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [(80, None, "tcp")]),
        ("8080:80", [(80, 8080, "tcp")]),
        ("53:53/udp", [(53, 53, "udp")]),
        ("53:53/UDP", [(53, 53, "udp")]),
        ("5000-5001", [(5000, None, "tcp"), (5001, None, "tcp")]),
        ("80-81:90-91", [(90, 80, "tcp"), (91, 81, "tcp")]),
        ("2000-2001:80", [(80, 2000, "tcp"), (80, 2001, "tcp")]),
        ("127.0.0.1:8080:80", [(80, 8080, "tcp")]),
        ("[::1]:8080:80", [(80, 8080, "tcp")]),
        ("127.0.0.1::80", [(80, None, "tcp")]),
    ],
)
def test_short_ports_are_spelled_out(text: str, ports: list[tuple[int, int | None, str]]) -> None:
    found = parse_port(text)
    assert [(port["target"], port.get("published"), port["protocol"]) for port in found] == ports
    assert {port["mode"] for port in found} == {"ingress"}


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/data", {"type": "volume", "target": "/data"}),
        ("db:/data", {"type": "volume", "source": "db", "target": "/data"}),
        ("db:/data:nocopy", {"type": "volume", "source": "db", "target": "/data", "volume": {"nocopy": True}}),
        ("./a:/b", {"type": "bind", "source": "./a", "target": "/b"}),
        ("~/a:/b:ro", {"type": "bind", "source": "~/a", "target": "/b", "read_only": True}),
        ("/a:/b:ro,rslave,z", {"type": "bind", "source": "/a", "target": "/b", "read_only": True,
                               "bind": {"propagation": "rslave"}}),
        ("C:\\a:D:\\b", {"type": "bind", "source": "C:\\a", "target": "D:\\b"}),
    ],
)  # fmt: skip
def test_short_volumes_are_spelled_out(text: str, volume: dict[str, Any]) -> None:
    assert parse_volume(text) == volume


def test_options_of_a_short_volume() -> None:
    assert volume_options("/a:/b:ro,z") == ["ro", "z"]
    assert volume_options("/a:/b") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sh -c 'a b'", ["sh", "-c", "a b"]),
        ("say \"it 'is'\" now", ["say", "it 'is'", "now"]),
        ("a\\ b c", ["a b", "c"]),
        ("'' x", ["", "x"]),
        ("  a\n\tb ", ["a", "b"]),
        ('"a\\"b"', ['a"b']),
        ("'a\\b'", ["a\\b"]),
        ("a#b #c d\ne", ["a#b", "e"]),
        ("a # the end", ["a"]),
        ("x=$HOME|y", ["x=$HOME|y"]),
        ("", []),
    ],
)
def test_commands_are_cut_as_a_shell_cuts_them(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_env_files_hold_names_and_values_as_they_stand() -> None:
    text = "\ufeff# note\n\nA=1\n  B= two words #x \nC=\nD\nE\nF=a=b\n"
    assert parse_env_file(text, {"D": "from outside"}) == {
        "A": "1", "B": " two words #x ", "C": "", "D": "from outside", "F": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize("line", ["A B=1", "=1"])
def test_a_line_of_an_env_file_without_a_name_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_env_file(f"OK=1\n{line}\n", {})


def test_tmpfs_options() -> None:
    assert parse_tmpfs("/run") == {"target": "/run", "others": []}
    assert parse_tmpfs("/run:size=64m,mode=1777,noexec") == {
        "target": "/run", "others": ["noexec"], "size": 64 << 20, "mode": 0o1777,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [("0s", "must be more than nothing"), ("-1s", "must be more than nothing"), (f"{'9' * 20}h", "is longer than")],
)
def test_what_waits_waits_for_a_time_that_a_clock_can_count(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_positive_duration(text)
    with pytest.raises(BadRequest, match=f"^--timeout: .* {reason}"):
        parse_timeout(text)
    assert parse_positive_duration("1m30s") == timedelta(seconds=90)
