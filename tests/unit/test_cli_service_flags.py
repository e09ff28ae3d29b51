"""docker's flags as edits of a spec; the comparison with docker itself is in the contract suite."""

import copy
from typing import Any

import pytest

from swarmpy.cli.service_flags import edited, first_spec, flags_of
from swarmpy.errors import BadRequest
from swarmpy.labels import HOST


def a_spec(mode: str = "Replicated", **container: Any) -> dict[str, Any]:
    return {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "x:1"} | container}, "Mode": {mode: {}}}


def container(given: dict[str, Any], **before: Any) -> dict[str, Any]:
    made: dict[str, Any] = edited(a_spec(**before), given)["TaskTemplate"]["ContainerSpec"]
    return made


def test_the_spec_given_stays_as_it_was() -> None:
    spec = a_spec(Env=["A=1"])
    kept = copy.deepcopy(spec)
    edited(spec, {"env-add": ["A=2"], "limit-cpu": "1", "force": "true"})
    assert spec == kept


def test_no_flag_changes_nothing() -> None:
    assert edited(a_spec(), {}) == a_spec()


def test_a_variable_is_replaced_where_it_stands_and_a_new_one_comes_last() -> None:
    assert container({"env-add": ["B=2", "A=3"], "env-rm": ["C"]}, Env=["A=1", "C=1", "D"])["Env"] == [
        "A=3",
        "D",
        "B=2",
    ]


def test_removing_and_adding_in_one_exchanges_a_secret() -> None:
    there = {"SecretName": "key_v1", "SecretID": "s1", "File": {"Name": "key"}}
    made = container({"secret-rm": ["key_v1"], "secret-add": ["source=key_v2,target=key,mode=0400"]}, Secrets=[there])
    assert made["Secrets"] == [{"SecretName": "key_v2", "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o400}}]


def test_a_secret_and_a_config_appear_under_their_own_names_unless_told() -> None:
    made = container({"secret-add": ["key"], "config-add": ["source=f,target=/etc/f,uid=1,gid=2"]})
    assert made["Secrets"][0]["File"] == {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}
    assert made["Configs"][0]["File"] == {"Name": "/etc/f", "UID": "1", "GID": "2", "Mode": 0o444}


def test_a_port_goes_by_its_target_and_by_its_mode_where_that_is_said() -> None:
    host = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 1, "PublishMode": "host"}
    spec = a_spec() | {"EndpointSpec": {"Ports": [host, host | {"PublishMode": "ingress", "PublishedPort": 2}]}}
    assert edited(spec, {"publish-rm": ["80"]})["EndpointSpec"] == {}
    assert edited(spec, {"publish-rm": ["target=80,mode=ingress"]})["EndpointSpec"] == {"Ports": [host]}
    assert edited(spec, {"publish-rm": ["80/udp"]})["EndpointSpec"] == spec["EndpointSpec"]


def test_a_range_of_ports_is_several() -> None:
    made = edited(a_spec(), {"publish-add": ["8000-8001:80-81/udp"]})["EndpointSpec"]["Ports"]
    assert [(port["PublishedPort"], port["TargetPort"], port["Protocol"]) for port in made] == [
        (8000, 80, "udp"),
        (8001, 81, "udp"),
    ]


def test_networks_go_and_come_by_name() -> None:
    spec = a_spec()
    spec["TaskTemplate"]["Networks"] = [{"Target": "front"}]
    given = {"network-rm": ["front"], "network-add": ["back", "name=side,alias=a,alias=b,driver-opt=k=v"]}
    assert edited(spec, given)["TaskTemplate"]["Networks"] == [
        {"Target": "back"},
        {"Target": "side", "Aliases": ["a", "b"], "DriverOpts": {"k": "v"}},
    ]


def test_what_docker_has_no_field_for_is_carried_by_a_label() -> None:
    made = container({"oom-score-adj": "-5"}, Labels={HOST: '{"Privileged":true}', "a": "b"})
    assert made["Labels"] == {HOST: '{"OomScoreAdj":-5,"Privileged":true}', "a": "b"}


def test_jobs_count_what_is_to_be_done() -> None:
    job = a_spec("ReplicatedJob")
    assert edited(job, {"replicas": "4"})["Mode"]["ReplicatedJob"] == {"TotalCompletions": 4, "MaxConcurrent": 4}
    assert edited(job, {"max-concurrent": "2"})["Mode"]["ReplicatedJob"] == {"MaxConcurrent": 2}


def test_a_new_service_is_made_by_the_names_of_create() -> None:
    made = first_spec("x:1", ["run", "it"], {"name": "web", "env": ["A=1"], "mode": "global", "label": ["a=b"]})
    assert made == {
        "Name": "web",
        "Labels": {"a": "b"},
        "TaskTemplate": {"ContainerSpec": {"Image": "x:1", "Args": ["run", "it"], "Env": ["A=1"]}},
        "Mode": {"Global": {}},
    }


def test_no_name_stands_for_two_flags() -> None:
    for creating in (False, True):
        names = [name for name, _ in flags_of(creating=creating)]
        assert len(names) == len(set(names))


BAD = {
    "replicas": "many", "replicas-max-per-node": "-1", "limit-cpu": "fast", "limit-memory": "lots",
    "restart-delay": "soon", "stop-grace-period": "-1s", "restart-condition": "always", "update-order": "random",
    "rollback-failure-action": "rollback", "update-max-failure-ratio": "2", "rollback-max-failure-ratio": "x",
    "init": "maybe", "oom-score-adj": "9999", "entrypoint": "'open", "max-concurrent": "2", "endpoint-mode": "x",
    "health-retries": "x", "stop-signal": "FOO", "image": "A B", "workdir": "a/b",
}  # fmt: skip
BAD_ITEMS = {
    "label-add": "=x", "env-add": "=x", "placement-pref-add": "node.labels.a", "placement-pref-rm": "pack=x",
    "generic-resource-add": "gpu=", "mount-add": "type=npipe,target=/a", "publish-add": "x", "publish-rm": "http",
    "network-add": "alias=x", "secret-add": "target=x", "config-add": "source=a,mode=x", "host-add": "db",
    "dns-add": "here", "ulimit-add": "nofile", "sysctl-add": "=", "log-opt": "a=b",
    "cap-add": "foo", "cap-drop": "CAP_ALL",
}  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "value"), [*BAD.items(), *((flag, [value]) for flag, value in BAD_ITEMS.items())], ids=str
)
def test_a_bad_value_is_one_sentence_that_names_the_flag(flag: str, value: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        edited(a_spec(), {flag: value})
    assert str(caught.value).startswith(f"--{flag}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("sysctl-add", "x"), ("sysctl-add", "x=1"), ("sysctl-add", "net.=1"), ("host-add", "foo"),
        ("host-add", ":10.0.0.7"), ("cap-add", ""), ("host-add", "db:"),
    ],
)  # fmt: skip
def test_an_item_that_no_engine_takes_is_refused_by_the_name_of_its_flag(flag: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f"^--{flag}: "):
        edited(a_spec(), {flag: [value]})
    creating = flag.removesuffix("-add") if flag != "cap-add" else flag
    with pytest.raises(BadRequest, match=f"^--{creating}: "):
        first_spec("x:1", [], {creating: [value]})


def test_a_new_service_needs_the_reference_of_an_image() -> None:
    with pytest.raises(BadRequest, match=r"^IMAGE: 'A B' is not a valid image reference"):
        first_spec("A B", [], {})


def test_an_empty_text_takes_a_signal_away_and_the_gateway_is_an_address() -> None:
    made = container({"stop-signal": "", "host-add": ["out:host-gateway"]}, StopSignal="SIGINT")
    assert made == {"Image": "x:1", "Hosts": ["host-gateway out"]}


@pytest.mark.parametrize(
    "text",
    [
        "type=bind,target=/a", "type=tmpfs,source=a,target=/a", "type=volume",
        "type=bind,source=a,target=/a,tmpfs-size=1",
        "target=/a,colour=red", "target=/a,source", "type=tmpfs,target=/a,tmpfs-mode=9", "target=/a,ro=maybe",
        "type=bind,source=/a,target=/a,bind-recursive=x", "type=bind,source=/a,target=/a,bind-propagation=x",
    ],
)  # fmt: skip
def test_mounts_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="--mount-add: "):
        edited(a_spec(), {"mount-add": [text]})


@pytest.mark.parametrize(
    "text", ["1.2.3.4:80:80", "published=80", "target=80,protocol=icmp", "target=80,mode=x", "target=99999", "target"]
)
def test_ports_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="--publish-add: "):
        edited(a_spec(), {"publish-add": [text]})


def test_mounts_have_the_options_of_their_type() -> None:
    texts = [
        "type=bind,source=/a,target=/a,bind-recursive=readonly,bind-nonrecursive,bind-create-mountpoint=true",
        "source=v,target=/v,volume-subpath=s,consistency=cached",
    ]
    assert container({"mount-add": texts})["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/a",
            "Target": "/a",
            "BindOptions": {"ReadOnlyForceRecursive": True, "NonRecursive": True, "CreateMountpoint": True},
        },
        {
            "Type": "volume",
            "Source": "v",
            "Target": "/v",
            "Consistency": "cached",
            "VolumeOptions": {"Subpath": "s"},
        },
    ]


def test_a_check_and_no_check_exclude_each_other() -> None:
    with pytest.raises(BadRequest, match="--no-healthcheck and --health-cmd exclude each other"):
        edited(a_spec(), {"no-healthcheck": "true", "health-cmd": "x"})
    assert container({"no-healthcheck": "false"}, Healthcheck={"Test": ["CMD", "a"]})["Healthcheck"]["Test"] != ["NONE"]


def test_only_replicas_can_be_counted() -> None:
    with pytest.raises(BadRequest, match="--replicas: a global service runs one task on every node"):
        edited(a_spec("Global"), {"replicas": "3"})


def test_a_port_is_taken_away_by_its_target_alone() -> None:
    with pytest.raises(BadRequest, match=r"--publish-rm: '8081:8080' is more than .* write 8080"):
        edited(a_spec(), {"publish-rm": ["8081:8080"]})
    with pytest.raises(BadRequest, match=r"--publish-rm: '1\.2\.3\.4:53:54/udp' is more than .* write 54/udp"):
        edited(a_spec(), {"publish-rm": ["1.2.3.4:53:54/udp"]})
