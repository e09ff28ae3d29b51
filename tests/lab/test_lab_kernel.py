"""What the lab takes away may have gone by itself meanwhile."""

import pytest

from swarmpy.errors import SwarmpyError
from swarmpy.lab import kernel


def test_what_has_gone_meanwhile_is_no_error() -> None:
    kernel.take_away(("ip", "link", "del", "swarmpy-gone"), ("ip", "netns", "del", "swarmpy-gone"))


def test_what_cannot_be_taken_away_is_told() -> None:
    with pytest.raises(SwarmpyError, match="`ip link del` failed"):
        kernel.take_away(("ip", "link", "del"))
