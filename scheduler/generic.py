"""Generic resources of one node: what it has, what is taken, which named ones a task gets."""

from collections import Counter
from collections.abc import Iterable, Sequence

from swarmpy.models.resources import DiscreteResource, GenericResource, NamedResource


class GenericPool:
    """A node has a number of equal things of a kind, or things with names, or both.

    A task that asks for a number gets named things first, lowest names first, so that the result is determined.
    """

    def __init__(self, capacity: Iterable[GenericResource]) -> None:
        self._amounts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}
        self._taken: Counter[str] = Counter()
        self._taken_names: Counter[tuple[str, str]] = Counter()
        for thing in capacity:
            if thing.named_resource_spec is not None:
                self._names.setdefault(thing.named_resource_spec.kind, []).append(thing.named_resource_spec.value)
            elif thing.discrete_resource_spec is not None:
                self._amounts[thing.discrete_resource_spec.kind] += thing.discrete_resource_spec.value

    def shortage(self, wanted: Sequence[GenericResource]) -> str | None:
        """What is lacking, for people; None if all is there."""
        numbers: Counter[str] = Counter()
        for thing in wanted:
            named, discrete = thing.named_resource_spec, thing.discrete_resource_spec
            if named is not None:
                if named.value not in self._names.get(named.kind, ()):
                    return f"has no {named.kind} named {named.value}"
                if self._taken_names[named.kind, named.value]:
                    return f"{named.kind} {named.value} is taken"
                numbers[named.kind] += 1
            elif discrete is not None:
                numbers[discrete.kind] += discrete.value
        for kind, number in numbers.items():
            free = self._free(kind)
            if number > free:
                total = self._total(kind)
                return f"lacks {number - free} {kind}: {number} asked, {total - free} of {total} reserved"
        return None

    def claim(self, wanted: Sequence[GenericResource]) -> tuple[GenericResource, ...]:
        """Take what is wanted and say which things these are. Takes more than there is if told to."""
        numbers: Counter[str] = Counter()
        claimed: list[GenericResource] = []
        for thing in wanted:
            if thing.named_resource_spec is not None:
                claimed.append(thing)
            elif thing.discrete_resource_spec is not None:
                numbers[thing.discrete_resource_spec.kind] += thing.discrete_resource_spec.value
        self.take(claimed)
        for kind, number in numbers.items():
            parts = self._pick(kind, number)
            self.take(parts)
            claimed.extend(parts)
        return tuple(claimed)

    def take(self, things: Iterable[GenericResource]) -> None:
        for thing in things:
            self._count(thing, 1)

    def give_back(self, things: Iterable[GenericResource]) -> None:
        for thing in things:
            self._count(thing, -1)

    def _count(self, thing: GenericResource, sign: int) -> None:
        if thing.named_resource_spec is not None:
            self._taken_names[thing.named_resource_spec.kind, thing.named_resource_spec.value] += sign
        elif thing.discrete_resource_spec is not None:
            self._taken[thing.discrete_resource_spec.kind] += sign * thing.discrete_resource_spec.value

    def _pick(self, kind: str, number: int) -> list[GenericResource]:
        names = self._free_names(kind)[:number]
        parts = [GenericResource(named_resource_spec=NamedResource(kind=kind, value=name)) for name in names]
        if number > len(names):
            rest = DiscreteResource(kind=kind, value=number - len(names))
            parts.append(GenericResource(discrete_resource_spec=rest))
        return parts

    def _free_names(self, kind: str) -> list[str]:
        return sorted(name for name in self._names.get(kind, ()) if not self._taken_names[kind, name])

    def _free(self, kind: str) -> int:
        return self._amounts[kind] - self._taken[kind] + len(self._free_names(kind))

    def _total(self, kind: str) -> int:
        return self._amounts[kind] + len(self._names.get(kind, ()))
