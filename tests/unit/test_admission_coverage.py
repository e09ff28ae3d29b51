"""No field of Docker's documents is forgotten: each is carried out or refused by its name."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest

from manager.admission.cluster import FIXED
from manager.admission.coverage import COVERAGE, Acts, alias_of, is_empty, refuse_unsupported
from swarmpy.errors import Unsupported
from swarmpy.models.base import DockerModel
from swarmpy.models.cluster import ClusterSpec
from swarmpy.models.config import ConfigSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.node import NodeSpec
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec

SENT_BY_CLIENTS = (ServiceSpec, NetworkCreate, NodeSpec, SecretSpec, ConfigSpec)


def models_in(annotation: Any) -> Iterator[type[DockerModel]]:
    if isinstance(annotation, type) and issubclass(annotation, DockerModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, tuple):
        for part in get_args(annotation):
            yield from models_in(part)


def reachable() -> list[type[DockerModel]]:
    """Models that are looked into: those behind a refused field need no table."""
    found: dict[type[DockerModel], None] = {}
    waiting: list[type[DockerModel]] = list(SENT_BY_CLIENTS)
    while waiting:
        model = waiting.pop()
        if model not in found:
            found[model] = None
            for name, field in model.model_fields.items():
                if isinstance(COVERAGE.get(model, {}).get(name), Acts):
                    waiting += models_in(field.annotation)
    return list(found)


@pytest.mark.parametrize("model", reachable(), ids=lambda model: model.__name__)
def test_every_field_that_a_client_may_send_has_a_rule(model: type[DockerModel]) -> None:
    assert set(COVERAGE[model]) == set(model.model_fields)


def test_no_rule_is_about_a_model_that_is_never_looked_into() -> None:
    assert set(COVERAGE) == set(reachable())


def test_every_part_of_the_cluster_may_change_or_is_named_as_fixed() -> None:
    assert set(FIXED) | {"labels", "orchestration", "ca_config"} == set(ClusterSpec.model_fields)
    assert all(name == alias_of(ClusterSpec, field) for field, name in FIXED.items())


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"TaskTemplate": {"PluginSpec": {"Name": "x"}}}, "TaskTemplate.PluginSpec"),
        ({"TaskTemplate": {"Runtime": "plugin"}}, "TaskTemplate.Runtime plugin"),
        (
            {"TaskTemplate": {"Networks": [{"Target": "n", "DriverOpts": {"a": "b"}}]}},
            "TaskTemplate.Networks[0].DriverOpts",
        ),
        ({"TaskTemplate": {"ContainerSpec": {"Isolation": "hyperv"}}}, "TaskTemplate.ContainerSpec.Isolation hyperv"),
        (
            {"TaskTemplate": {"ContainerSpec": {"Privileges": {"CredentialSpec": {"File": "f"}}}}},
            "TaskTemplate.ContainerSpec.Privileges.CredentialSpec",
        ),
        (
            {"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Type": "cluster", "Target": "/x"}]}}},
            "TaskTemplate.ContainerSpec.Mounts[0].Type cluster",
        ),
        ({"EndpointSpec": {"Mode": "magic"}}, "EndpointSpec.Mode magic"),
    ],
)
def test_a_set_field_that_is_not_carried_out_is_refused_by_name(spec: dict[str, Any], named: str) -> None:
    with pytest.raises(Unsupported) as refusal:
        refuse_unsupported(ServiceSpec.model_validate(spec))
    assert str(refusal.value).startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"Driver": "bridge"}, "Driver bridge"),
        ({"Scope": "local"}, "Scope local"),
        ({"EnableIPv6": True}, "EnableIPv6"),
        ({"Options": {"secure": ""}}, "Options secure"),
        ({"ConfigFrom": {"Network": "x"}}, "ConfigFrom"),
        ({"IPAM": {"Driver": "weird"}}, "IPAM.Driver weird"),
    ],
)
def test_a_network_option_that_is_not_carried_out_is_refused_by_name(wish: dict[str, Any], named: str) -> None:
    with pytest.raises(Unsupported) as refusal:
        refuse_unsupported(NetworkCreate.model_validate({"Name": "n", **wish}))
    assert str(refusal.value).startswith(f"{named}: ")


def test_zero_values_as_clients_send_them_are_not_wishes() -> None:
    refuse_unsupported(
        NetworkCreate.model_validate(
            {
                "Name": "n", "Attachable": False, "Ingress": False, "EnableIPv6": False, "ConfigOnly": False,
                "ConfigFrom": {"Network": ""}, "Options": {},
                "IPAM": {"Driver": "default", "Options": {}, "Config": []},
            }
        )
    )  # fmt: skip
    assert is_empty(ServiceSpec().endpoint_spec)
