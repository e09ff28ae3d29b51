"""Files without an end, pipes and standard input: read as far as they may hold, or refused by name."""

import os
import threading
from pathlib import Path

import pytest

from swarmpy.cli.bounded import check_standard_input, read_bytes, read_text
from swarmpy.cli.kept import read_data
from swarmpy.cli.stack_files import environment_of, plan_files, read
from swarmpy.errors import BadRequest
from swarmpy.stack.tree import StackError

ENDLESS = "/dev/zero"
FILE = "services:\n  web:\n    image: x\n"


def refusals(folder: Path, text: str) -> list[str]:
    (folder / "s.yaml").write_text(text)
    with pytest.raises(StackError) as caught:
        plan_files("shop", read([str(folder / "s.yaml")], {}), {})
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (f"    env_file: {ENDLESS}\n", f"s.yaml:4: services.web.env_file: {ENDLESS}: holds more than 16 MiB"),
        (f"    label_file: {ENDLESS}\n", f"s.yaml:4: services.web.label_file: {ENDLESS}: holds more than 16 MiB"),
        (f"    extends: {{file: {ENDLESS}, service: a}}\n", f"{ENDLESS}: holds more than 16 MiB, and no more is read"),
        (f"include: [{ENDLESS}]\n", f"s.yaml:4: include[0]: {ENDLESS}: holds more than 16 MiB"),
        (f"secrets: {{s: {{file: {ENDLESS}}}}}\n", f"s.yaml:4: secrets.s: {ENDLESS}: holds more than 512000 bytes"),
        (f"configs: {{c: {{file: {ENDLESS}}}}}\n", f"s.yaml:4: configs.c: {ENDLESS}: holds more than 1024000 bytes"),
    ],
)
def test_what_a_stack_file_names_is_read_up_to_a_limit(tmp_path: Path, lines: str, sentence: str) -> None:
    (found,) = refusals(tmp_path, FILE + lines)
    assert sentence in found


def test_what_the_command_line_names_is_read_up_to_a_limit() -> None:
    with pytest.raises(BadRequest, match=r"^/dev/zero: holds more than 16 MiB, and no more is read$"):
        read([ENDLESS], {})
    with pytest.raises(BadRequest, match=r"^/dev/zero: holds more than 16 MiB"):
        environment_of([ENDLESS], {})
    with pytest.raises(BadRequest, match=r"^/dev/zero: holds more than 512000 bytes"):
        read_data(ENDLESS, None, 512_000)


def test_as_much_as_the_limit_is_read_and_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\r\nb")
    assert read_bytes(tmp_path / "f", 4) == b"a\r\nb"
    assert read_text(tmp_path / "f") == "a\nb"
    with pytest.raises(ValueError, match="holds more than 3 bytes"):
        read_bytes(tmp_path / "f", 3)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path, 3)
    (tmp_path / "f").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is no UTF-8 text"):
        read_text(tmp_path / "f")


def test_a_pipe_of_the_shell_is_read_to_its_end() -> None:
    """As in `-c <(...)`, also when the writer is done already."""
    reader, writer = os.pipe()
    os.write(writer, b"services:")
    os.close(writer)
    try:
        assert read_text(f"/dev/fd/{reader}") == "services:"
    finally:
        os.close(reader)


def test_of_a_pipe_without_a_writer_it_is_said_what_is_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said: list[str] = []
    writer = threading.Thread(target=pipe.write_bytes, args=(b"data",))

    def say(text: str) -> None:
        said.append(text)
        writer.start()

    assert read_bytes(pipe, 10, patience_ms=1, say=say) == b"data"
    writer.join()
    assert said == [f"{pipe} is a pipe: waiting until someone writes into it"]


def test_standard_input_is_given_once() -> None:
    check_standard_input("a", "-", "b")
    with pytest.raises(BadRequest, match=r"^standard input \(-\) is given 2 times, and can be read only once$"):
        check_standard_input("-", "a", "-")
