"""Long texts where one line is shown."""

import pytest

from swarmpy.lines import in_one_line


def test_a_text_of_several_lines_is_one() -> None:
    assert in_one_line(" a\n\tb  c\n") == "a b c"


@pytest.mark.parametrize("longest", [20, 31, 300])
def test_of_a_long_text_the_beginning_and_the_end_are_shown(longest: int) -> None:
    text = "endpoint " + "x" * 1000 + " address already in use"
    shown = in_one_line(text, longest)
    assert len(shown) == longest
    assert shown.startswith("endpoin"[: (longest - 5) // 2])
    assert shown.endswith("in use")


def test_what_fits_is_shown_whole() -> None:
    assert in_one_line("x" * 300) == "x" * 300
