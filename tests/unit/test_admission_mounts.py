"""Mounts whose volume decides about the node: what cannot is refused before anything is made."""

from typing import Any

import pytest

from manager.admission.container import check_container
from swarmpy.errors import BadRequest
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.container import ContainerSpec


def mounted(**mount: Any) -> ContainerSpec:
    return ContainerSpec.model_validate({"Image": "db:1", "Mounts": [{"Target": "/data", **mount}]})


def followed(value: str = "true", **options: Any) -> dict[str, Any]:
    return {"Labels": {VOLUME_AFFINITY: value}, **options}


@pytest.mark.parametrize(
    "mount",
    [
        {"Source": "data", "VolumeOptions": followed()},
        {"Type": "volume", "Source": "{{.Service.Name}}-{{.Task.Slot}}", "VolumeOptions": followed()},
        {"Source": "data", "VolumeOptions": followed(DriverConfig={"Name": "local", "Options": {"type": "tmpfs"}})},
        {"Source": "data-{{.Node.ID}}", "VolumeOptions": followed("false", DriverConfig={"Name": "nfs"})},
        {"Source": "data-{{.Node.ID}}", "VolumeOptions": {"Labels": {"other": "true"}}},
    ],
)
def test_a_local_volume_with_a_name_may_be_followed(mount: dict[str, Any]) -> None:
    check_container(mounted(**mount))


@pytest.mark.parametrize(
    ("mount", "sentence"),
    [
        (
            {"Source": "data", "VolumeOptions": followed(DriverConfig={"Name": "vieux/sshfs"})},
            "is for the driver local, and this volume's is vieux/sshfs: only local volumes belong to a node",
        ),
        ({"VolumeOptions": followed()}, "needs a volume with a name: set Source"),
        ({"Source": "data", "VolumeOptions": followed("yes")}, "is 'yes'; it must be true or false"),
        (
            {"Source": "data-{{.Node.Hostname}}", "VolumeOptions": followed()},
            "Mounts[0]: the volume name 'data-{{.Node.Hostname}}' is to decide about the node, and {{.Node.Hostname}} "
            "is not known before one is chosen; use .Service.ID, .Service.Name, .Task.Slot",
        ),
    ],
)
def test_what_cannot_decide_about_the_node_is_refused(mount: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_container(mounted(**mount))
    assert sentence in str(refusal.value)
