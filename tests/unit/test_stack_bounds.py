"""Files that are deep or long on purpose: refused with their line, or carried out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swarmpy.cli.stack_files import load, plan_files, read
from swarmpy.stack.depends import by_need, circle_of, fault_of_circle
from swarmpy.stack.tree import StackError

DEEP = 1000
LONG = 1500


def one_service(lines: str) -> str:
    return f"services:\n  web:\n    image: x\n    {lines}\n"


def aliases(opening: str, of_below: str, closing: str, levels: int, first: str) -> str:
    """Each level holds the one below it ten times."""
    lines = [f"x-0: &a0 {first}"]
    lines += [
        f"x-{level}: &a{level} {opening}{', '.join([of_below.format(level - 1)] * 10)}{closing}"
        for level in range(1, levels)
    ]
    return "\n".join((*lines, "services: {web: {image: x}}"))


def chain(link: str, count: int, *, is_last_first: bool = False) -> str:
    links = [f"  s{n}: {{image: x, {link.format(n + 1)}}}" for n in range(count)] + [f"  s{count}: {{image: x}}"]
    return "\n".join(("services:", *(reversed(links) if is_last_first else links)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (one_service("x-a: " + "[" * DEEP + "]" * DEEP), "s.yaml:4: the file is nested more than 100 levels deep"),
        (one_service("x-a: " + "{a: " * DEEP + "}" * DEEP), "s.yaml:4: the file is nested more than 100 levels deep"),
        ("\n".join(" " * n + "a:" for n in range(DEEP)), "s.yaml:100: the file is nested more than 100 levels deep"),
        (
            one_service("user: '" + "${A:-" * DEEP + "x" + "}" * DEEP + "'"),
            "s.yaml:4: services.web.user: variables are nested more than 100 levels deep",
        ),
        (chain("extends: s{}", 150), "more than 100 services extend each other in a row"),
        (chain("extends: s{}", 150, is_last_first=True), "more than 100 services extend each other in a row"),
        (aliases("{<<: [", "*a{}", "]}", 12, "{a: 1}"), "aliases unfold to more than 200000 values; repeat less"),
        (
            f"x-a: &a {'y' * 100_000}\nx-b: [{', '.join(['*a'] * 1000)}]\n",
            "s.yaml:2: aliases unfold to more than 16000000 characters",
        ),
        ("x-0: &a0 {a: 1}\n" + "\n".join(f"x-{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, DEEP)), "100 levels deep"),
        (one_service(f"cpus: '1e{'9' * 9}'"), "services.web.cpus: '1e999999999' is no number of CPUs"),
        (one_service(f"scale: {'9' * 5000}"), "s.yaml:4: services.web.scale: must be a whole number"),
        (one_service("scale: 1e999"), "s.yaml:4: services.web.scale: must be a whole number, and '1e999' is text"),
        (one_service('user: "\\ud800"'), "s.yaml:4: services.web.user: holds half of a character"),
        (one_service('user: "\\U00110000"'), "not valid YAML"),
        (one_service('env_file: "a\\0b"'), "s.yaml:4: services.web.env_file: a\0b: embedded null byte"),
        ('include: ["a\\0b"]', "embedded null byte"),
        ("include: [{path: []}]", "s.yaml:1: include[0].path: names no file"),
    ],
)  # fmt: skip
def test_what_is_too_deep_or_too_much_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(StackError) as caught:
        plan_files("shop", read([str(tmp_path / "s.yaml")], {"HOME": "/"}), {})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_deep_within_the_bounds_is_read(tmp_path: Path) -> None:
    nested = "[" * 90 + "'" + "${A:-" * 99 + "x" + "}" * 99 + "'" + "]" * 90
    (tmp_path / "s.yaml").write_text(one_service(f"x-a: {nested}") + chain("extends: s{}", 99)[9:])
    found = load([str(tmp_path / "s.yaml")], {}).config["services"]
    assert str(found["web"]["x-a"]).strip("[]'") == "x"
    assert found["s0"] == {"image": "x"}


def test_a_file_that_includes_one_that_includes_one_and_so_on_is_refused(tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"{number}.yaml").write_text(f"include: [{number + 1}.yaml]")
    with pytest.raises(StackError, match=r"100.yaml:1: include\[0\]: more than 100 files include each other in a row"):
        load([str(tmp_path / "0.yaml")], {})


def test_a_long_chain_of_services_that_wait_for_each_other_is_carried_out(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(chain("depends_on: [s{}]", LONG))
    plan = plan_files("shop", load([str(tmp_path / "s.yaml")], {}), {})
    assert [spec["Name"] for spec in plan.services] == [f"shop_s{n}" for n in range(LONG, -1, -1)]


@pytest.mark.parametrize("order", [list, lambda names: list(reversed(names))])
def test_the_order_of_a_chain_of_5000_and_its_circle_are_found(order: Callable[[list[int]], list[int]]) -> None:
    numbers = list(range(5000))
    services = {f"s{n}": {"depends_on": [f"s{n + 1}"]} for n in order(numbers)}
    assert by_need(services) == tuple(f"s{n}" for n in reversed(numbers))
    assert circle_of(services) == ()

    services["s4999"] = {"depends_on": ["s2"]}
    assert len(circle_of(services)) == 4999
    fault = fault_of_circle(services)
    assert fault is not None
    assert len(fault[1]) < 200
