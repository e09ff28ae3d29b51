"""`/stacks/NAME/check`: what a deployment would be refused for, in the words of the writes themselves."""

import base64
from typing import Any

import pytest
from support.api import Answer, Api, running_api
from support.builders import a_cluster

PATHS = {"network": "networks", "secret": "secrets", "config": "configs", "service": "services"}


def service(mode: dict[str, Any] | None = None, *, container: dict[str, Any] | None = None, **fields: Any) -> Any:
    """`fields` are those of the template, but for those that a spec has itself."""
    own = {key: fields.pop(key) for key in ("Labels", "UpdateConfig", "EndpointSpec", "Mode") if key in fields}
    template = {"ContainerSpec": {"Image": "x:1"} | (container or {})} | fields
    return {"Name": "shop_web", "TaskTemplate": template, "Mode": mode or {"Replicated": {"Replicas": 1}}} | own


def file(**fields: Any) -> dict[str, Any]:
    return {"Secrets": [{"SecretName": "shop_key", "File": {"Name": "key", "UID": "0", "GID": "0"} | fields}]}


def host(options: str) -> dict[str, Any]:
    return {"Labels": {"swarmpy.host": options}}


def data(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


JOB = {"ReplicatedJob": {"TotalCompletions": 1}}
REFUSED: dict[str, tuple[str, Any]] = {
    "privileged": ("service", service(container=host('{"Privileged": true}'))),
    "a constraint without operator": ("service", service(Placement={"Constraints": ["foo"]})),
    "a constraint with one equals sign": ("service", service(Placement={"Constraints": ["node.role=manager"]})),
    "a preference": ("service", service(Placement={"Preferences": [{"Spread": {"SpreadDescriptor": "foo"}}]})),
    "replicas": ("service", service({"Replicated": {"Replicas": 4_000_000_000}})),
    "a number that is too large": ("service", service({"Replicated": {"Replicas": 1 << 70}})),
    "ulimits": ("service", service(container={"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]})),
    "little memory": ("service", service(Resources={"Limits": {"MemoryBytes": 1}})),
    "a name server": ("service", service(container={"DNSConfig": {"Nameservers": ["not an address"]}})),
    "a negative grace": ("service", service(container={"StopGracePeriod": -1})),
    "an interval": ("service", service(container={"Healthcheck": {"Test": ["CMD", "x"], "Interval": 1}})),
    "a variable without name": ("service", service(container={"Env": ["=x"]})),
    "an image": ("service", service(container={"Image": "No Image"})),
    "no image": ("service", service(container={"Image": ""})),
    "an ingress port": ("service", service(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 80}]})),
    "an update of a job": ("service", service(JOB, UpdateConfig={"Parallelism": 1})),
    "a target": ("service", service(container=file(Name="../../etc/passwd"))),
    "a mode": ("service", service(container=file(Mode=99999))),
    "an owner": ("service", service(container=file(UID="bob"))),
    "a network that is not there": ("service", service(Networks=[{"Target": "nowhere"}])),
    "itself": ("service", service(Labels={"swarmpy.depends-on": '{"shop_web": "service_started"}'})),
    "a condition": ("service", service(Labels={"swarmpy.depends-on": '{"shop_db": "sometimes"}'})),
    "an unknown field": ("service", service(container={"Imagee": "x"})),
    "a wrong type": ("service", service(container={"Env": "A=1"})),
    "a service's name": ("service", {**service(), "Name": "-"}),
    "a service that is too large": ("service", service(Labels={"a": "x" * 2_000_000})),
    "an empty secret": ("secret", {"Name": "shop_empty", "Data": ""}),
    "a large secret": ("secret", {"Name": "shop_large", "Data": data(600 << 10)}),
    "a large config": ("config", {"Name": "shop_large", "Data": data(1100 << 10)}),
    "data that are no base64": ("secret", {"Name": "shop_odd", "Data": "open sesame"}),
    "a secret that is there": ("secret", {"Name": "shop_key", "Data": data(1)}),
    "a network's name": ("network", {"Name": "bridge", "Driver": "overlay"}),
    "a subnet": ("network", {"Name": "n", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.0.0.0/30"}]}}),
}

# What cannot be read names nothing; a name that is none names itself, and one that is taken is told as docker tells it.
NAMELESS = {
    "an unknown field", "a wrong type", "a number that is too large", "a service's name", "a secret that is there",
}  # fmt: skip


def write(kind: str, spec: Any, **fields: Any) -> dict[str, Any]:
    return {"Kind": kind, "Name": spec.get("Name", ""), "Spec": spec} | fields


async def checked(api: Api, *writes: dict[str, Any]) -> Answer:
    return await api.post("/stacks/shop/check", {"Writes": writes})


@pytest.mark.parametrize("name", REFUSED)
async def test_the_fault_is_what_the_write_itself_is_answered_and_nothing_is_written(name: str) -> None:
    kind, spec = REFUSED[name]
    async with running_api() as api:
        await api.keep(a_cluster())
        await api.post("/secrets/create", {"Name": "shop_key", "Data": data(1)})
        revision = api.state.revision
        answer = await checked(api, write(kind, spec), write("service", {**service(), "Name": "shop_other"}))
        assert answer.status == 200
        (fault,) = answer.json
        assert api.state.revision == revision
        refused = await api.post(f"/{PATHS[kind]}/create", spec)
        assert (fault["Message"], fault["Status"]) == (refused.message, refused.status)
        assert (fault["Kind"], fault["Name"]) == (kind, spec["Name"])
        assert name in NAMELESS or fault["Message"].startswith(f"{kind} {spec['Name']}: ")


async def test_a_sound_stack_has_no_faults() -> None:
    container = file()
    async with running_api() as api:
        answer = await checked(
            api,
            write("network", {"Name": "shop_default", "Driver": "overlay"}),
            write("secret", {"Name": "shop_key"}, Size=5),
            write("config", {"Name": "shop_file", "Data": data(1)}),
            write("service", service(container=container, Networks=[{"Target": "shop_default"}])),
        )
        assert (answer.status, answer.json) == (200, [])
        assert list(api.state.objects()) == []


async def test_data_that_are_kept_are_compared_and_no_answer_shows_them() -> None:
    async with running_api() as api:
        made = await api.post("/secrets/create", {"Name": "shop_key", "Data": data(7)})
        version = next(iter(api.state.secrets.values())).version
        known = {"ID": made.json["ID"], "Version": version}
        same = await checked(api, write("secret", {"Name": "shop_key", "Data": data(7)}, **known))
        assert same.json == []
        other = await checked(api, write("secret", {"Name": "shop_key", "Data": data(8)}, **known))
        (fault,) = other.json
        assert "only updates to Labels are allowed" in fault["Message"]
        assert data(8) not in other.body.decode()


async def test_a_question_that_cannot_be_read_is_refused_whole() -> None:
    async with running_api() as api:
        assert (await checked(api, {"Kind": "volume", "Name": "x", "Spec": {}})).status == 400
        assert (await api.post("/stacks/-/check", {"Writes": []})).status == 400
