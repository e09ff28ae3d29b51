"""Before a deployment writes anything: would the manager take all of it? What it would not is all told, with places."""

import json
from collections.abc import Iterator, Sequence

from swarmpy.client import LARGEST_BODY, Client, Object, error_of
from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError, Unsupported
from swarmpy.stack.changes import Act, Kind, Operation
from swarmpy.stack.plan import StackPlan
from swarmpy.stack.tree import Problem, in_order

# What stands around the writes in a body, generously.
_FRAME = 1024

# Kind and name, and what the manager says of it.
Fault = tuple[str, str, SwarmpyError]


def check(client: Client, plan: StackPlan, operations: Sequence[Operation], *, all_services: bool = False) -> None:
    """Raises the error of what would be refused, a line for each; `BadRequest` where the reasons are of several kinds.
    `all_services`: also what stays as it is will be sent.

    A manager from before there was such a question is not asked twice.
    """
    writes = [_write(operation) for operation in operations if _is_sent(operation, all_services)]
    small: list[tuple[Object, int]] = []
    faults: list[Fault] = []
    for write in writes:
        size = len(json.dumps(write))
        if size > LARGEST_BODY - _FRAME:
            faults.append((write["Kind"], write["Name"], BadRequest(_too_large(size))))
        else:
            small.append((write, size))
    faults += _asked(client, plan.name, small)
    if faults:
        raise _refusal(plan, faults)


def _is_sent(operation: Operation, all_services: bool) -> bool:
    if operation.act is Act.KEEP:
        return all_services and operation.kind is Kind.SERVICE
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
    found: dict[tuple[str, str, str], SwarmpyError] = {}
    for portion in _portions(writes):
        try:
            answer = client.post(f"/stacks/{stack}/check", {"Writes": portion})
        except (NotFound, Unsupported):
            return []
        for fault in answer:
            kind, name, message = fault["Kind"], fault["Name"], fault["Message"]
            found[kind, name, message] = error_of(int(fault["Status"]), message)
    return [(kind, name, error) for (kind, name, _), error in found.items()]


def _portions(writes: Sequence[tuple[Object, int]]) -> Iterator[list[Object]]:
    """As much as one request may hold; what services refer to goes along with each."""
    head = [(write, size) for write, size in writes if write["Kind"] != Kind.SERVICE]
    services = [(write, size) for write, size in writes if write["Kind"] == Kind.SERVICE]
    started = sum(size + 2 for _, size in head)
    portion, total = [write for write, _ in head], started
    for write, size in services:
        if len(portion) > len(head) and total + size + 2 > LARGEST_BODY - _FRAME:
            yield portion
            portion, total = [write for write, _ in head], started
        portion.append(write)
        total += size + 2
    if portion:
        yield portion


def _refusal(plan: StackPlan, faults: Sequence[Fault]) -> SwarmpyError:
    text = "\n".join(map(str, in_order(_problem(plan, *fault) for fault in faults)))
    kinds = {Conflict if isinstance(error, Conflict) else type(error) for _, _, error in faults}
    return kinds.pop()(text) if len(kinds) == 1 else BadRequest(text)


def _problem(plan: StackPlan, kind: str, name: str, error: SwarmpyError) -> Problem:
    return plan.places.problem(kind, name, str(error).removeprefix(f"{kind} {name}: "))
