"""What others sent, as a sentence quotes it. Pure."""

# A reference to an image with its digest, say.
_LONGEST = 120


def shown(value: object) -> str:
    """Texts in quotes; of what is long the beginning, for nobody's answer or log is to grow with what was sent."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST else f"{value[:_LONGEST]!r}..."
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
