"""Mounts as the engine is asked for them, and volumes that are there already but are not the ones."""

import pytest
from support.assignments import an_assignment

from agent.task.mounts import VolumeFacts, engine_mount, volume_obstacle, volumes_with_a_driver
from agent.task.templates import NodeFacts, fields_of
from swarmpy.errors import Unsupported
from swarmpy.models.base import Driver
from swarmpy.models.mount import BindOptions, Mount, MountType, TmpfsOptions, VolumeOptions

NODE = NodeFacts(hostname="node-1", os="linux", architecture="x86_64")
FIELDS = fields_of(an_assignment(3, service="shop_db"), NODE)
NFS = {"type": "nfs", "o": "addr=10.0.0.9,rw", "device": ":/exports/a"}


def test_everything_that_is_asked_of_a_mount_is_passed_on() -> None:
    mount = Mount(
        source="data-{{.Task.Slot}}",
        target="/data",
        read_only=True,
        volume_options=VolumeOptions(
            no_copy=True,
            labels={"slot": "{{.Task.Slot}}"},
            subpath="a/b",
            driver_config=Driver(name="local", options={**NFS, "device": ":/exports/{{.Service.Name}}"}),
        ),
    )
    assert engine_mount(mount, FIELDS, (1, 45)) == {
        "Type": "volume",
        "Source": "data-3",
        "Target": "/data",
        "ReadOnly": True,
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": {"slot": "3"},
            "Subpath": "a/b",
            "DriverConfig": {"Name": "local", "Options": {**NFS, "device": ":/exports/shop_db"}},
        },
    }


def test_memory_and_binds_keep_their_options() -> None:
    memory = Mount(type=MountType.TMPFS, target="/m", tmpfs_options=TmpfsOptions(size_bytes=4096, mode=0o1777))
    bind = Mount(type=MountType.BIND, source="/srv", target="/b", bind_options=BindOptions(propagation="rshared"))

    assert engine_mount(memory, FIELDS, (1, 41))["TmpfsOptions"] == {"SizeBytes": 4096, "Mode": 0o1777}
    assert engine_mount(bind, FIELDS, (1, 41))["BindOptions"] == {"Propagation": "rshared"}


def test_a_part_of_a_volume_is_refused_where_the_engine_would_mount_the_whole() -> None:
    mount = Mount(source="data", target="/data", volume_options=VolumeOptions(subpath="a"))

    with pytest.raises(Unsupported, match=r"Subpath needs engine API 1\.45, .* speaks 1\.44$"):
        engine_mount(mount, FIELDS, (1, 44))


def test_only_volumes_whose_driver_is_spelled_out_can_be_the_wrong_ones() -> None:
    mounts = (
        Mount(source="plain", target="/a"),
        Mount(source="nfs", target="/b", volume_options=VolumeOptions(driver_config=Driver(options=NFS))),
        Mount(target="/c", volume_options=VolumeOptions(driver_config=Driver(options=NFS))),
        Mount(type=MountType.BIND, source="/srv", target="/d"),
    )
    asked = [engine_mount(mount, FIELDS, (1, 41)) for mount in mounts]

    assert volumes_with_a_driver(asked) == (("nfs", VolumeFacts("local", NFS)),)


def test_a_volume_that_was_made_as_it_is_asked_for_is_no_obstacle() -> None:
    assert volume_obstacle("v", VolumeFacts("local", NFS), VolumeFacts("local", NFS)) == ""
    assert volume_obstacle("v", VolumeFacts("local"), VolumeFacts("local", NFS)) == ""


def test_another_driver_or_other_options_are_told_without_their_values() -> None:
    wanted = VolumeFacts("local", {**NFS, "o": "addr=10.0.0.9,password=hush"})

    assert volume_obstacle("v", wanted, VolumeFacts("local", {**NFS, "x": "1"})) == (
        "volume v is on this node already, made with other driver options (o, x): "
        "remove it there, or give the volume another name"
    )
    assert "the driver sshfs and not local" in volume_obstacle("v", wanted, VolumeFacts("sshfs"))
