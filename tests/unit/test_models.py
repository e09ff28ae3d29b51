"""Docker's documents: read, held and written back with nothing lost and nothing unknown let in."""

import json
from enum import Enum
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.documents import documents

from swarmpy.models.base import DockerModel
from swarmpy.models.cluster import ClusterSpec, Swarm
from swarmpy.models.config import Config
from swarmpy.models.event import Event
from swarmpy.models.network import Network, NetworkCreate
from swarmpy.models.node import Node, NodeSpec
from swarmpy.models.secret import Secret
from swarmpy.models.service import Service, ServiceSpec
from swarmpy.models.task import Task, TaskStatus
from swarmpy.states import TaskState

MODELS: tuple[type[DockerModel], ...] = (
    ClusterSpec, Swarm, Config, Event, Network, NetworkCreate, Node, NodeSpec, Secret, Service, ServiceSpec, Task,
)  # fmt: skip

# Spellings that no simple rule gives, from Docker's published schema (Engine API 1.45).
ODD_NAMES: dict[type[DockerModel], set[str]] = {
    ServiceSpec: {
        "TaskTemplate.ContainerSpec.DNSConfig", "TaskTemplate.ContainerSpec.TTY",
        "TaskTemplate.ContainerSpec.Healthcheck", "TaskTemplate.ContainerSpec.Privileges.SELinuxContext",
        "TaskTemplate.ContainerSpec.Privileges.AppArmor", "TaskTemplate.ContainerSpec.Privileges.NoNewPrivileges",
        "TaskTemplate.ContainerSpec.Secrets.File.UID", "TaskTemplate.ContainerSpec.Secrets.SecretID",
        "TaskTemplate.ContainerSpec.Configs.ConfigID", "TaskTemplate.Resources.Limits.NanoCPUs",
        "TaskTemplate.Resources.Limits.Pids", "TaskTemplate.Resources.Reservations.GenericResources",
        "TaskTemplate.NetworkAttachmentSpec.ContainerID", "TaskTemplate.Placement.Platforms.OS", "Mode.Global",
        "Mode.ReplicatedJob.TotalCompletions", "UpdateConfig.MaxFailureRatio", "EndpointSpec.Ports.PublishMode",
    },
    Node: {"Description.TLSInfo.CertIssuerSubject", "Description.Engine.EngineVersion", "ManagerStatus.Addr", "ID"},
    Swarm: {"Spec.CAConfig.ExternalCAs.CACert", "Spec.CAConfig.SigningCAKey", "JoinTokens.Worker", "TLSInfo"},
    Network: {"Id", "IPAM.Config.IPRange", "EnableIPv6", "ConfigFrom.Network"},
    Event: {"Type", "Action", "Actor.ID", "scope", "time", "timeNano"},
    Task: {"Status.ContainerStatus.PID", "Status.PortStatus.Ports", "JobIteration", "NetworksAttachments.Network.ID"},
}  # fmt: skip


def paths(schema: dict[str, Any], root: dict[str, Any], above: str = "") -> set[str]:
    """Every dotted name of a JSON schema."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    found: set[str] = set()
    for part in (schema.get("items"), *schema.get("anyOf", ())):
        if part:
            found |= paths(part, root, above)
    for name, part in schema.get("properties", {}).items():
        found |= {above + name} | paths(part, root, f"{above}{name}.")
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_is_written_reads_back_as_the_same_document(model: type[DockerModel]) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(documents(model))
    def check(document: DockerModel) -> None:
        written = json.loads(json.dumps(document.to_docker()))
        read = model.model_validate(written)
        assert read == document
        assert read.to_docker() == written

    check()


@pytest.mark.parametrize("model", ODD_NAMES, ids=lambda model: model.__name__)
def test_names_are_spelled_as_docker_spells_them(model: type[DockerModel]) -> None:
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    assert ODD_NAMES[model] <= paths(schema, schema)


@pytest.mark.parametrize("name", ["HealthCheck", "Healthcheck", "healthcheck", "health_check"])
def test_names_are_read_in_any_case(name: str) -> None:
    spec = ServiceSpec.model_validate({"TaskTemplate": {"ContainerSpec": {name: {"Retries": 3}}}})
    assert spec.to_docker() == {"TaskTemplate": {"ContainerSpec": {"Healthcheck": {"Retries": 3}}}, "Mode": {}}


def subclasses(model: type[DockerModel]) -> list[type[DockerModel]]:
    return [found for child in model.__subclasses__() for found in (child, *subclasses(child))]


WORDS = [
    (model, field.alias or name)
    for model in subclasses(DockerModel)
    for name, field in model.model_fields.items()
    if type(None) in get_args(field.annotation)
    and any(isinstance(part, type) and issubclass(part, Enum) for part in get_args(field.annotation))
]


def test_words_that_may_be_absent_are_found() -> None:
    names = {f"{model.__name__}.{alias}" for model, alias in WORDS}
    assert {"UpdateConfig.Order", "UpdateConfig.FailureAction", "RestartPolicy.Condition", "Mount.Type"} <= names


@pytest.mark.parametrize(("model", "alias"), WORDS, ids=lambda part: getattr(part, "__name__", part))
def test_an_empty_word_is_absent_as_in_go(model: type[DockerModel], alias: str) -> None:
    """Go's clients write a word that nobody set as an empty string."""
    needed = {name: "x" for name, field in model.model_fields.items() if field.is_required()}
    assert model.model_validate({**needed, alias: ""}) == model.model_validate(needed)
    assert model.model_validate({**needed, alias.lower(): ""}) == model.model_validate(needed)


def test_an_empty_role_is_no_role() -> None:
    """Docker refuses it, too: an update that forgot it would demote a manager."""
    with pytest.raises(ValidationError, match="Role"):
        NodeSpec.model_validate({"Role": "", "Availability": "active"})


def test_null_is_absent_and_an_empty_map_is_not() -> None:
    spec = ServiceSpec.model_validate({"Labels": {}, "UpdateConfig": None, "TaskTemplate": {"Networks": None}})
    assert spec.to_docker() == {"Labels": {}, "TaskTemplate": {}, "Mode": {}}


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"TaskTemplate\.ContainerSpec\.Imagee"):
        ServiceSpec.model_validate({"TaskTemplate": {"ContainerSpec": {"Imagee": "web:1"}}})


def test_a_document_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NodeSpec().name = "other"  # type: ignore[misc]


@given(st.sampled_from(list(TaskState)))
def test_task_states_are_written_as_dockers_words(state: TaskState) -> None:
    assert TaskStatus(state=state).to_docker()["State"] == state.name.lower()
    assert TaskStatus.model_validate({"State": state.name.lower()}).state is state


def test_times_are_written_in_utc_with_a_fraction() -> None:
    status = TaskStatus.model_validate({"Timestamp": "2030-01-02T03:04:05+02:00"})
    assert status.to_docker()["Timestamp"] == "2030-01-02T01:04:05.000000Z"
