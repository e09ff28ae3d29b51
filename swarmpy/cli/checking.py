"""Before a deployment writes anything: would the manager take all of it? What it would not is all told, with places."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from swarmpy.client import Client, Object, error_of
from swarmpy.errors import BadRequest, Conflict, NotFound, OutOfSequence, SwarmpyError, Unsupported
from swarmpy.limits import LARGEST_BODY
from swarmpy.stack.changes import Act, Kind, Operation
from swarmpy.stack.plan import StackPlan
from swarmpy.stack.tree import Problem, in_order

# What stands around the writes in a body, generously.
_FRAME = 1024
# A manager reads one question in one go; so much is read in a few dozen milliseconds.
_PORTION = 256 << 10

# Kind and name, and what the manager says of it.
Fault = tuple[str, str, SwarmpyError]


def check(client: Client, plan: StackPlan, operations: Sequence[Operation], *, all_services: bool = False) -> None:
    """Raises the error of what would be refused, a line for each; `BadRequest` where the reasons are of several kinds.
    What is refused already is told in the same round. `all_services`: also what stays as it is will be sent.

    A manager from before there was such a question is not asked twice.
    """
    writes = [_write(operation) for operation in operations if _is_sent(operation, all_services)]
    small: list[tuple[Object, int]] = []
    faults: list[Fault] = [(one.kind.value, one.name, one.fault) for one in operations if one.fault is not None]
    known = {(kind, name) for kind, name, _ in faults}
    for write in writes:
        size = len(json.dumps(write))
        if size > LARGEST_BODY - _FRAME:
            faults.append((write["Kind"], write["Name"], BadRequest(_too_large(size))))
        else:
            small.append((write, size))
    creations = Counter((one.kind.value, one.name) for one in operations if one.act is Act.CREATE)
    asked = (fault for fault in _asked(client, plan.name, small) if fault[:2] not in known)
    faults += (_with_cause(fault, creations) for fault in asked)
    if faults:
        raise _refusal(plan, faults)


def _is_sent(operation: Operation, all_services: bool) -> bool:
    if operation.act is Act.KEEP:
        return all_services and operation.kind is Kind.SERVICE
    if operation.act is Act.REFUSE:
        # As if it were there, so that nothing that refers to it is at fault, too.
        return operation.body is not None
    return operation.act is not Act.REMOVE


def _write(operation: Operation) -> Object:
    """Data travel only where they are to be compared; else their size says enough."""
    body = dict(operation.body or {})
    write: Object = {"Kind": operation.kind.value, "Name": operation.name, "Spec": body}
    if operation.id:
        return {**write, "ID": operation.id, "Version": operation.version}
    if operation.kind in (Kind.SECRET, Kind.CONFIG) and not body.get("Driver"):
        write["Size"] = _size_of(body.pop("Data", ""))
    return write


def _size_of(data: str) -> int:
    """Of what is written in base64."""
    return len(data) * 3 // 4 - data.count("=", -2)


def _too_large(size: int) -> str:
    return (
        f"what is to be sent of it takes {size >> 10} KiB, and the manager takes {LARGEST_BODY >> 10} KiB at most; "
        "publish fewer ports (each port of a range counts), or divide it"
    )


def _asked(client: Client, stack: str, writes: Sequence[tuple[Object, int]]) -> list[Fault]:
    """Each write is judged once, also where it goes along with later ones."""
    judged: set[tuple[str, str]] = set()
    faults: list[Fault] = []
    for portion in _portions(writes):
        try:
            answer = client.post(f"/stacks/{stack}/check", {"Writes": portion})
        except (NotFound, Unsupported):
            return []
        for fault in answer:
            kind, name, message = fault["Kind"], fault["Name"], fault["Message"]
            if (kind, name) not in judged:
                faults.append((kind, name, error_of(int(fault["Status"]), message)))
        judged.update((write["Kind"], write["Name"]) for write in portion)
    return faults


def _with_cause(fault: Fault, creations: Mapping[tuple[str, str], int]) -> Fault:
    """It was decided upon what was there a moment ago."""
    kind, name, error = fault
    # Two of one name in the files are in each other's way.
    is_taken = str(error).endswith("already exists") and creations.get((kind, name)) == 1
    if isinstance(error, OutOfSequence) or (isinstance(error, Conflict) and is_taken):
        return kind, name, Conflict(f"{error}: someone else was faster; deploy again")
    return fault


def _portions(writes: Sequence[tuple[Object, int]]) -> Iterator[list[Object]]:
    """In the order of writing. What services may refer to goes along with each later portion, in short."""
    carried: list[Object] = []
    carried_size = 0
    portion: list[Object] = []
    total = 0
    for write, size in writes:
        if portion and total + size + 2 > _PORTION:
            yield [*carried, *portion]
            new = [_in_short(one) for one in portion if _is_referred_to(one)]
            carried += new
            carried_size += sum(len(json.dumps(one)) + 2 for one in new)
            portion, total = [], 0
        if carried_size + total + size + 2 > LARGEST_BODY - _FRAME:
            # No request holds it together with all that; its own write judges it.
            continue
        portion.append(write)
        total += size + 2
    if portion:
        yield [*carried, *portion]


def _is_referred_to(write: Object) -> bool:
    """What is only updated is there already."""
    return write["Kind"] != Kind.SERVICE and "ID" not in write


def _in_short(write: Object) -> Object:
    """What may be in the way of others: names, and subnets."""
    kept = {field: write["Spec"][field] for field in ("Name", "IPAM") if field in write["Spec"]}
    short: Object = {"Kind": write["Kind"], "Name": write["Name"], "Spec": kept}
    return short if write["Kind"] == Kind.NETWORK else {**short, "Size": write.get("Size", 1)}


def _refusal(plan: StackPlan, faults: Sequence[Fault]) -> SwarmpyError:
    text = "\n".join(map(str, in_order(_problem(plan, *fault) for fault in faults)))
    kinds = {Conflict if isinstance(error, Conflict) else type(error) for _, _, error in faults}
    return kinds.pop()(text) if len(kinds) == 1 else BadRequest(text)


def _problem(plan: StackPlan, kind: str, name: str, error: SwarmpyError) -> Problem:
    return plan.places.problem(kind, name, str(error))
