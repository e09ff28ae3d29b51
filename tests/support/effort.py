"""How many examples a property is tried with: few in every run, many in `make test-long`."""

import os

IS_LONG = bool(os.environ.get("SWARMPY_LONG"))


def examples(quick: int, long: int) -> int:
    return long if IS_LONG else quick
