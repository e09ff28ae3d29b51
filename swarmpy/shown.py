"""What others sent, as a sentence quotes it. Pure."""

# More than a reference to an image with its digest takes.
_LONGEST = 120


def shown(text: str) -> str:
    """Quoted; of a long text the beginning, for nobody's answer or log is to grow with what was sent."""
    return repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}..."
