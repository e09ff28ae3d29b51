"""Text of any length, where a line of it is shown. Pure."""


def in_one_line(text: str, longest: int = 300) -> str:
    """Its beginning and its end, where it is longer: engines tell the reason last."""
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    beginning = (longest - 5) // 2
    return f"{line[:beginning]} ... {line[beginning + 5 - longest :]}"
