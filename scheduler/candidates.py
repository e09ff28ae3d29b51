"""The nodes that may take the next task of one service, best first, for as long as the service is being placed.

The order is the scheduler's law of ranking: at each level of spreading the least crowded branch, then the least
crowded node, the least reserved share, the fewest tasks, the lowest id. Between equal branches the best node decides.
Crowded is where many tasks of the spec version are that is being placed, and between equals many of the service: those
of other versions are about to go, so what counts is how the new ones lie when they have gone.

A leaf holds the nodes of one branch. Those without a task of the service come from the pool's standing order, which
a cursor walks once: what it has passed was refused, and placing only ever takes room away. Those that have tasks of
the service wait in a heap. So a task costs O(log nodes), and a group touches no node that it does not consider.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Protocol

from scheduler.load import Entry, NodeLoad
from scheduler.plans import Path, Pool

# (crowd, reserved share, tasks, id, load), or, for a branch, (crowd, rank of the best).
Rank = tuple[Any, ...]
Admits = Callable[[NodeLoad], bool]


def crowd(of_version: int, of_service: int) -> int:
    """Both counts as one number, for it is compared more often than all else."""
    return (of_version << 32) + of_service


ONE_MORE = crowd(1, 1)


class Candidates(Protocol):
    @property
    def best(self) -> NodeLoad | None:
        """The node for the next task; None when no node is left."""
        ...

    def advance(self) -> None:
        """The best node got a task of the service, and its load has changed: find the best for the next."""
        ...


class Lone:
    """For the only task of a service: all branches are equal, so the least loaded node that admits it is the best."""

    def __init__(self, in_order: Iterator[Entry], admits: Admits) -> None:
        self.best = next((entry[3] for entry in in_order if admits(entry[3])), None)

    def advance(self) -> None:
        self.best = None


class Leaf:
    """The nodes of one branch. `rank` is that of the best, None when no node is left."""

    __slots__ = ("_admits", "_crowded", "_fresh", "crowd", "rank")

    def __init__(self, fresh: Iterator[Entry], admits: Admits) -> None:
        self.crowd = 0
        self.rank: Rank | None = None
        self._fresh = fresh
        self._admits = admits
        self._crowded: list[Rank] = []

    def add_crowded(self, node: NodeLoad, crowd: int) -> None:
        """A node of this leaf that has tasks of the service from before. To be told before `settle`."""
        if self._admits(node):
            self._crowded.append((crowd, *node.entry()))

    def settle(self) -> None:
        """Find the first best node."""
        heapify(self._crowded)
        self._find_best()

    @property
    def best(self) -> NodeLoad | None:
        return self.rank[4] if self.rank else None

    def advance(self) -> None:
        assert self.rank is not None
        crowd, node = self.rank[0], self.rank[4]
        self.crowd += ONE_MORE
        fits_more = self._admits(node)
        if crowd == 0:
            if fits_more:
                heappush(self._crowded, (ONE_MORE, *node.entry()))
        elif fits_more:
            heapreplace(self._crowded, (crowd + ONE_MORE, *node.entry()))
        else:
            heappop(self._crowded)
        self._find_best()

    def _find_best(self) -> None:
        for entry in self._fresh:
            if self._admits(entry[3]):
                self.rank = (0, *entry)
                return
        self.rank = self._crowded[0] if self._crowded else None


class Branch:
    """Evens the service's tasks over its children."""

    __slots__ = ("_best", "children", "crowd", "rank")

    def __init__(self) -> None:
        self.crowd = 0
        self.children: dict[str, Branch | Leaf] = {}
        self._best: list[tuple[int, Rank, Branch | Leaf]] = []
        self.rank: Rank | None = None

    def settle(self) -> None:
        for child in self.children.values():
            child.settle()
            if child.rank is not None:
                self._best.append((child.crowd, child.rank, child))
        heapify(self._best)
        self.rank = self._best[0][:2] if self._best else None

    @property
    def best(self) -> NodeLoad | None:
        return self._best[0][2].best if self._best else None

    def advance(self) -> None:
        child = self._best[0][2]
        child.advance()
        self.crowd += ONE_MORE
        if child.rank is None:
            heappop(self._best)
        else:
            heapreplace(self._best, (child.crowd, child.rank, child))
        self.rank = self._best[0][:2] if self._best else None


def spread_tree(
    pools: Mapping[Path, Pool], crowded: Mapping[NodeLoad, tuple[int, Path]], admits: Admits
) -> Branch | Leaf:
    """The candidates of one service. `crowded` has all nodes with tasks of it, candidates or not, with their crowd
    and their place in the tree: it counts for the branches they sit on."""
    leaves = {path: Leaf(_without(crowded, pool.in_order()), admits) for path, pool in pools.items()}
    root = _assembled(leaves)
    for node, (tasks, path) in crowded.items():
        _count_along(root, path, tasks)
        if path in leaves and node.info.id in pools[path]:
            leaves[path].add_crowded(node, tasks)
    root.settle()
    return root


def _without(crowded: Collection[NodeLoad], entries: Iterator[Entry]) -> Iterator[Entry]:
    return (entry for entry in entries if entry[3] not in crowded) if crowded else entries


def _assembled(leaves: Mapping[Path, Leaf]) -> Branch | Leaf:
    if () in leaves:
        return leaves[()]
    root = Branch()
    for path, leaf in leaves.items():
        branch = root
        for value in path[:-1]:
            below = branch.children.setdefault(value, Branch())
            assert isinstance(below, Branch)
            branch = below
        branch.children[path[-1]] = leaf
    return root


def _count_along(root: Branch | Leaf, path: Path, tasks: int) -> None:
    """Stops where the tree ends: there are no candidates farther on."""
    place: Branch | Leaf | None = root
    for value in path:
        if not isinstance(place, Branch):
            return
        place = place.children.get(value)
        if place is not None:
            place.crowd += tasks
