"""Of what there is only so much, nobody has more than a share. Pure."""

from collections import Counter


class Shares:
    def __init__(self, whole: int, share: int) -> None:
        self._whole = whole
        self._share = share
        self._taken: Counter[str] = Counter()

    def take(self, source: str) -> bool:
        if self._taken.total() >= self._whole or self._taken[source] >= self._share:
            return False
        self._taken[source] += 1
        return True

    def give_back(self, source: str) -> None:
        self._taken[source] -= 1
        if not self._taken[source]:
            del self._taken[source]
