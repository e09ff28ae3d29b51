"""Ground of all documents: what crosses a wire, a file or the store is frozen and refuses unknown names."""

from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator

from swarmpy.states import LABELS, TaskState

# Words that Docker does not write in plain CamelCase.
_WORDS = {
    "id": "ID", "ids": "IDs", "uid": "UID", "gid": "GID", "pid": "PID", "tty": "TTY", "url": "URL",
    "tls": "TLS", "ca": "CA", "cas": "CAs", "os": "OS", "ip": "IP", "ips": "IPs", "ipam": "IPAM",
    "dns": "DNS", "cpu": "CPU", "cpus": "CPUs", "ipv6": "IPv6", "selinux": "SELinux", "apparmor": "AppArmor",
    "noproxy": "NoProxy",
}  # fmt: skip


# Go's clients give up on a whole list when one of its numbers is larger.
_LARGEST = 2**63 - 1


def docker_name(field: str) -> str:
    """`published_port` -> `PublishedPort`, `node_id` -> `NodeID`."""
    return "".join(_WORDS.get(word, word[:1].upper() + word[1:]) for word in field.strip("_").split("_"))


class Document(BaseModel):
    """Our own documents: snake_case on the wire too."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@cache
def _names(model: type[BaseModel]) -> dict[str, str]:
    """Lower-cased accepted name -> alias."""
    names: dict[str, str] = {}
    for name, field in model.model_fields.items():
        alias = field.alias or name
        names[alias.lower()] = alias
    return names


@cache
def _words(model: type[BaseModel]) -> frozenset[str]:
    """Names of fields that hold one of a few words, or nothing."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation)
        if type(None) in kinds and any(isinstance(kind, type) and issubclass(kind, Enum) for kind in kinds):
            found |= {name, field.alias or name}
    return frozenset(found)


class DockerModel(BaseModel):
    """Docker's documents: snake_case here, Docker's names in JSON.

    Names are matched without regard to case, as Go's decoder does (clients send both `HealthCheck` and
    `Healthcheck`). JSON null means absent, and so does an empty word where none is needed: Go's clients write those
    that nobody has set. An unknown name is an error, so that nothing is silently dropped.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=docker_name,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_any_case(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for key, value in data.items():
            if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
                raise ValueError(f"has a number that does not fit in 64 bits: {key}")
        names, words = _names(cls), _words(cls)
        fields = cls.model_fields
        named = ((key if key in fields else names.get(str(key).lower(), key), value) for key, value in data.items())
        return {
            name: value
            for name, value in named
            if value is not None and not (name in words and isinstance(value, str) and not value)
        }

    def to_docker(self) -> dict[str, Any]:
        """The JSON object as Docker writes it: absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _task_state(value: Any) -> Any:
    return LABELS.get(value, value) if isinstance(value, str) else value


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def rfc3339(value: datetime) -> str:
    """RFC 3339 in UTC with `Z`, fraction always present, as Go's clients expect."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


TaskStateName = Annotated[
    TaskState,
    BeforeValidator(_task_state),
    PlainSerializer(lambda state: TaskState(state).label, return_type=str),
]
Timestamp = Annotated[datetime, AfterValidator(_aware), PlainSerializer(rfc3339, return_type=str)]
Nanoseconds = int
Labels = dict[str, str]


class Version(DockerModel):
    """Revision of an object in the store; goes back with each update so that a stale one is refused."""

    index: int = 0


class Driver(DockerModel):
    name: str | None = None
    options: dict[str, str] | None = None
