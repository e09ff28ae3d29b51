"""States of tasks and nodes, and the law that a task's state only grows."""

from enum import IntEnum, StrEnum

# What the status of an update says that a hand has stopped: the manager words it, clients look for it.
PAUSED_BY_HAND = "paused by hand"


class TaskState(IntEnum):
    """Life of a task, in order; of two reports the greater is true. Gaps leave room for states to come."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def label(self) -> str:
        """The word in Docker's JSON and in ours: lower case."""
        return self.name.lower()

    @property
    def is_live(self) -> bool:
        """Not finished: may still hold a container."""
        return self <= TaskState.RUNNING

    @property
    def is_finished(self) -> bool:
        return self > TaskState.RUNNING


LABELS = {state.label: state for state in TaskState}


class Availability(StrEnum):
    """Set by the operator: take tasks, keep those that run, or move them away."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


class NodeState(StrEnum):
    UNKNOWN = "unknown"
    DOWN = "down"
    READY = "ready"
    DISCONNECTED = "disconnected"


class Role(StrEnum):
    WORKER = "worker"
    MANAGER = "manager"
