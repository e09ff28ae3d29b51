"""Options of the host, resources and places that a stack file asks for."""

import json
from typing import Any

import pytest
from support.stackfiles import planned, planned_service, service_lines

from swarmpy.labels import HOST
from swarmpy.models.node import Platform
from swarmpy.models.resources import Limits, ResourceRequirements, Resources
from swarmpy.models.service import Replicated
from swarmpy.stack.tree import StackError

GPU = {"Count": -1, "Capabilities": [["gpu"]]}


def options(lines: str) -> Any:
    container = planned(service_lines(lines)).services[0]["TaskTemplate"]["ContainerSpec"]
    return json.loads(container["Labels"][HOST])


def refusal(lines: str) -> str:
    with pytest.raises(StackError) as caught:
        planned(service_lines(lines))
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("lines", "wished"),
    [
        ("privileged: true", {"Privileged": True}),
        ("devices: [/dev/fuse, '/dev/a:/dev/b', '/dev/c:/dev/d:r', '/dev/e:rw']",
         {"Devices": [
             {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
             {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rwm"},
             {"PathOnHost": "/dev/c", "PathInContainer": "/dev/d", "CgroupPermissions": "r"},
             {"PathOnHost": "/dev/e", "PathInContainer": "/dev/e", "CgroupPermissions": "rw"}]}),
        ("devices: [{source: /dev/a, target: /dev/b, permissions: rw}]",
         {"Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rw"}]}),
        ("devices: ['vendor.com/gpu=all']\ngpus: all",
         {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=all"]}, GPU]}),
        ("gpus: [{driver: nvidia, count: 2, options: {a: b}}]",
         {"DeviceRequests": [
             {"Driver": "nvidia", "Count": 2, "Capabilities": [["gpu"]], "Options": {"a": "b"}}]}),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu, tpu], device_ids: ['0']}]}}}",
         {"DeviceRequests": [{"DeviceIDs": ["0"], "Capabilities": [["gpu", "tpu"]]}]}),
        ("security_opt: ['no-new-privileges:true', seccomp=unconfined]",
         {"SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"]}),
        ("shm_size: 64m", {"ShmSize": 64 << 20}),
        ("shm_size: 5", {"ShmSize": 5}),
        ("pid: host\nipc: shareable\nuts: host\nuserns_mode: host\ncgroup: private",
         {"PidMode": "host", "IpcMode": "shareable", "UTSMode": "host", "UsernsMode": "host",
          "CgroupnsMode": "private"}),
        ("cgroup_parent: a\nruntime: runsc\ndomainname: b\nmac_address: 'c'\ncpuset: 0-1",
         {"CgroupParent": "a", "Runtime": "runsc", "Domainname": "b", "MacAddress": "c", "CpusetCpus": "0-1"}),
        ("oom_score_adj: -5\noom_kill_disable: true\nmem_swappiness: 0\nmemswap_limit: -1",
         {"OomScoreAdj": -5, "OomKillDisable": True, "MemorySwappiness": 0, "MemorySwap": -1}),
        ("memswap_limit: 1g", {"MemorySwap": 1 << 30}),
        ("cpu_shares: 7\ncpu_period: 50ms\ncpu_quota: 25000",
         {"CpuShares": 7, "CpuPeriod": 50000, "CpuQuota": 25000}),
        ("device_cgroup_rules: ['c 1:3 mr']\nstorage_opt: {size: 1G}\nannotations: [a=b]",
         {"DeviceCgroupRules": ["c 1:3 mr"], "StorageOpt": {"size": "1G"}, "Annotations": {"a": "b"}}),
        ("blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 4}], "
         "device_read_bps: [{path: /dev/a, rate: 1k}], device_write_iops: [{path: /dev/a, rate: 9}]}",
         {"BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/a", "Weight": 4}],
          "BlkioDeviceReadBps": [{"Path": "/dev/a", "Rate": 1024}],
          "BlkioDeviceWriteIOps": [{"Path": "/dev/a", "Rate": 9}]}),
    ],
)  # fmt: skip
def test_an_option_of_the_host_is_carried_by_a_label(lines: str, wished: object) -> None:
    assert options(lines) == wished


def test_what_asks_for_nothing_has_no_label() -> None:
    container = planned_service("privileged: false\ndevices: []\npid:\n").task_template.container_spec
    assert container is not None
    assert HOST not in (container.labels or {})


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("pid: 'service:db'", "services.web.pid: 'service:db' is none of host"),
        ("ipc: 'container:x'", "services.web.ipc: 'container:x' is none of host, private"),
        ("devices: ['/a:/b:/c:r']", "services.web.devices[0]: '/a:/b:/c:r' is no device"),
        ("devices: [{source: /a, permissions: x}]", "services.web.devices[0]: 'x' are no permissions"),
        ("gpus: some", "services.web.gpus: 'some': write all"),
        ("gpus: [{count: 1, device_ids: [a]}]", "services.web.gpus[0].count: does not go together with device_ids"),
        ("security_opt: ['seccomp:./p.json']", "services.web.security_opt[0]: './p.json' is a file on this machine"),
        ("shm_size: much", "services.web.shm_size: 'much' is no size"),
        ("cpu_quota: long", "services.web.cpu_quota: 'long' is no duration"),
        ("platform: windows/amd64", "services.web.platform: 'windows/amd64' is no platform"),
        ("mem_limit: 1g\ndeploy: {resources: {limits: {memory: 2g}}}", "services.web.mem_limit: says something else"),
        ("scale: 2\ndeploy: {replicas: 3}", "services.web.scale: says something else than deploy"),
        ("scale: 2\ndeploy: {mode: global}", "services.web.scale: does not go together with mode: global"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(lines: str, sentence: str) -> None:
    assert sentence in refusal(lines)


def test_resources_of_the_service_itself_are_those_of_deploy() -> None:
    service = planned_service(
        "cpus: 0.5\nmem_limit: 1g\nmem_reservation: 5\npids_limit: 7\nscale: 2\nplatform: linux/arm64/v8\n"
        "group_add: [video, 7]\ndns_opt: [ndots:1]"
    )
    template = service.task_template
    assert template.resources == ResourceRequirements(
        limits=Limits(nano_cpus=500_000_000, memory_bytes=1 << 30, pids=7), reservations=Resources(memory_bytes=5)
    )
    assert service.mode.replicated == Replicated(replicas=2)
    assert template.placement is not None
    assert template.placement.platforms == (Platform(architecture="arm64", os="linux"),)
    assert template.container_spec is not None
    assert template.container_spec.groups == ("video", "7")
    assert template.container_spec.dns_config is not None
    assert template.container_spec.dns_config.options == ("ndots:1",)


def test_an_address_of_a_port_in_host_mode_is_carried_out() -> None:
    ports = "ports: [{mode: host, host_ip: 127.0.0.1, target: 80, published: 8080}, {mode: host, target: 81}]"
    assert options(ports) == {"HostIps": {"8080:80/tcp": "127.0.0.1"}}
    assert "is no address" in refusal("ports: [{mode: host, host_ip: here, target: 80}]")


@pytest.mark.parametrize("port", ["'127.0.0.1:8080:80'", "{host_ip: 127.0.0.1, target: 80, published: 8080}"])
def test_an_address_of_a_port_that_every_node_takes_is_refused(port: str) -> None:
    assert "every node takes a port in ingress mode" in refusal(f"ports: [{port}]")


@pytest.mark.parametrize("port", ["'0.0.0.0:8080:80'", "'[::]:8080:80'"])
def test_all_addresses_are_no_one_address(port: str) -> None:
    endpoint = planned_service(f"ports: [{port}]").endpoint_spec
    assert endpoint is not None and endpoint.ports is not None
    assert endpoint.ports[0].published_port == 8080
