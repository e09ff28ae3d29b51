"""Text of any length, where a line of it is shown. Pure."""


def in_one_line(text: str, longest: int = 300) -> str:
    """Its beginning, where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
