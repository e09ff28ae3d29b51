"""A wish about a service becomes writes, or one sentence that names the field at fault."""

from typing import Any

import pytest
from hypothesis import given
from support.builders import T0, a_network, a_service, a_state, at
from support.documents import documents

from manager.admission.admitted import Admitted
from manager.admission.defaults import with_shown_defaults, with_stored_defaults
from manager.admission.service import admit_removal, admit_rollback, admit_service, admit_update, current_auth
from manager.objects import Service
from manager.state import State
from manager.store.port import Batch, Change, Check, Delete, Entry, Put, Unit
from swarmpy.errors import BadRequest, Conflict, NotFound, OutOfSequence, SwarmpyError, Unsupported
from swarmpy.models.service import ServiceSpec, UpdateState

ID = "service000000000000000001"


def a_wish(**changed: Any) -> ServiceSpec:
    """Of `container`, `template` and the spec's own fields."""
    container = {"Image": "web:1", **changed.pop("container", {})}
    template = {"ContainerSpec": container, **changed.pop("template", {})}
    return ServiceSpec.model_validate({"Name": "web", "TaskTemplate": template, **changed})


def fold(state: State, admitted: Admitted[Any]) -> None:
    """As the store would: all writes hold, or the test fails."""
    revision = state.revision + 1
    changes = []
    for unit in admitted.units:
        for write in unit.writes:
            wanted = write.modified
            assert wanted is None or state.version_of(write.key) == wanted, write
            if isinstance(write, Put):
                created = state.version_of(write.key) or revision
                changes.append(Change(write.key, Entry(write.key, write.value, created, revision)))
            elif isinstance(write, Delete):
                changes.append(Change(write.key, None))
    state.apply(Batch(revision, tuple(changes)))


def create(state: State, wish: ServiceSpec, *, auth: str | None = None, service_id: str = ID) -> Service:
    fold(state, admit_service(state, wish, service_id=service_id, now=T0, sealed_auth=auth))
    return state.services[service_id]


def update(state: State, wish: ServiceSpec, *, auth: str | None = None) -> Service:
    service = state.services[ID]
    fold(state, admit_update(state, service, wish, version=service.version, now=at(1), sealed_auth=auth))
    return state.services[ID]


def roll_back(state: State) -> Service:
    service = state.services[ID]
    fold(state, admit_rollback(state, service, version=service.version, now=at(2)))
    return state.services[ID]


def test_a_new_service_its_spec_and_its_name_are_written_together() -> None:
    admitted = admit_service(a_state(), a_wish(), service_id=ID, now=T0, sealed_auth="sealed")
    assert [write.key for write in admitted.units[0].writes] == [
        f"services/{ID}",
        f"specs/{ID}/1",
        "names/services/web",
        f"revisions/{ID}/1",
    ]
    assert len(admitted.units) == 1


def test_a_name_in_use_is_refused() -> None:
    state = a_state()
    create(state, a_wish())
    with pytest.raises(Conflict, match="name conflicts with an existing object: service web already exists"):
        admit_service(state, a_wish(), service_id="other", now=T0, sealed_auth=None)


def test_a_service_without_a_name_is_given_one() -> None:
    service = create(a_state(), a_wish(Name=None))
    assert service.spec.name == "service-00000001"


def test_the_server_fills_in_what_docker_fills_in() -> None:
    spec = create(a_state(), a_wish(Mode={"Replicated": {}}, EndpointSpec={"Ports": [host_port(80)]})).spec.to_docker()
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}}
    assert spec["EndpointSpec"]["Mode"] == "vip"
    assert spec["EndpointSpec"]["Ports"][0]["Protocol"] == "tcp"
    assert spec["TaskTemplate"]["Runtime"] == "container"
    assert spec["TaskTemplate"]["ForceUpdate"] == 0
    assert spec["TaskTemplate"]["ContainerSpec"]["Isolation"] == "default"
    assert spec["Labels"] == {}
    assert "RestartPolicy" not in spec["TaskTemplate"]
    assert "UpdateConfig" not in spec


def host_port(target: int, published: int = 0, **fields: Any) -> dict[str, Any]:
    return {"TargetPort": target, "PublishedPort": published, "PublishMode": "host", **fields}


@given(documents(ServiceSpec))
def test_filling_in_twice_changes_nothing(spec: ServiceSpec) -> None:
    once = with_stored_defaults(spec)
    assert with_stored_defaults(once) == once
    shown = with_shown_defaults(once)
    assert with_shown_defaults(shown) == shown


def test_networks_are_found_by_name_or_id_and_stored_by_id() -> None:
    state = a_state(a_network("front"), a_network("back"))
    state.names["networks/front-name"] = "front"
    service = create(
        state, a_wish(template={"Networks": [{"Target": "front-name", "Aliases": ["w"]}, {"Target": "back"}]})
    )
    networks = service.spec.task_template.networks or ()
    assert [(network.target, network.aliases) for network in networks] == [("front", ("w",)), ("back", None)]


def test_networks_in_their_old_place_move_to_the_template() -> None:
    spec = create(a_state(a_network("front")), a_wish(Networks=[{"Target": "front"}])).spec
    assert spec.networks is None
    assert [network.target for network in spec.task_template.networks or ()] == ["front"]


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(NotFound, match="network nowhere not found"):
        create(a_state(), a_wish(template={"Networks": [{"Target": "nowhere"}]}))


def test_a_changed_template_gets_a_new_number_and_the_old_spec_is_kept() -> None:
    state = a_state()
    create(state, a_wish())
    service = update(state, a_wish(container={"Image": "web:2"}))
    assert (service.spec_version, service.previous_spec_version) == (2, 1)
    assert service.previous_spec is not None
    assert service.previous_spec.task_template.container_spec is not None
    assert service.previous_spec.task_template.container_spec.image == "web:1"
    assert f"{ID}/2" in state.specs


def test_scaling_keeps_the_number_of_the_template() -> None:
    state = a_state()
    create(state, a_wish())
    service = update(state, a_wish(Mode={"Replicated": {"Replicas": 7}}))
    assert service.spec_version == 1
    assert list(state.specs) == [f"{ID}/1"]


def test_an_update_that_changes_nothing_only_makes_sure_of_that() -> None:
    state = a_state()
    service = create(state, a_wish(), auth="sealed")
    same = admit_update(state, service, a_wish(), version=service.version, now=at(1), sealed_auth="sealed")
    assert same.units == (Unit((Check(f"services/{ID}", service.version),)),)


def test_a_spec_read_with_all_defaults_and_sent_back_starts_no_new_tasks() -> None:
    state = a_state()
    service = create(state, a_wish())
    shown = ServiceSpec.model_validate(with_shown_defaults(service.spec).to_docker())
    assert update(state, shown).spec_version == 1


def test_a_template_that_comes_back_gets_its_old_number() -> None:
    state = a_state()
    create(state, a_wish(), auth="old")
    update(state, a_wish(container={"Image": "web:2"}), auth="old")
    service = update(state, a_wish(), auth="old")
    assert (service.spec_version, service.previous_spec_version) == (1, 2)
    assert update(state, a_wish(container={"Image": "web:3"}), auth="old").spec_version == 3


def test_a_known_template_must_still_be_there_when_it_is_written() -> None:
    state = a_state()
    create(state, a_wish())
    service = state.services[ID]
    scaled = a_wish(Mode={"Replicated": {"Replicas": 2}})
    admitted = admit_update(state, service, scaled, version=service.version, now=at(1), sealed_auth=None)
    assert Check(f"specs/{ID}/1", state.version_of(f"specs/{ID}/1")) in admitted.units[0].writes


def test_a_new_credential_alone_changes_the_pulls_to_come_and_no_task() -> None:
    state = a_state()
    create(state, a_wish(), auth="old")
    service = update(state, a_wish(), auth="new")
    assert service.spec_version == 1
    assert current_auth(state, service) == "new"


def test_rolling_back_swaps_the_specs_and_brings_number_and_credential_back() -> None:
    state = a_state()
    create(state, a_wish(), auth="first")
    update(state, a_wish(container={"Image": "web:2"}), auth="second")
    service = roll_back(state)
    assert (service.spec_version, service.previous_spec_version) == (1, 2)
    assert current_auth(state, service) == "first"
    assert service.update is not None
    assert service.update.state is UpdateState.ROLLBACK_STARTED
    assert roll_back(state).spec_version == 2


def test_a_job_that_is_rolled_back_runs_anew_and_waits_for_no_rollback_to_end() -> None:
    state = a_state()
    job: dict[str, Any] = {"Mode": {"GlobalJob": {}}}
    create(state, a_wish(**job))
    update(state, a_wish(**job, container={"Image": "web:2"}))
    service = roll_back(state)
    assert (service.spec_version, service.job_iteration) == (1, 2)
    assert service.update is None


def test_there_must_be_something_to_roll_back_to() -> None:
    state = a_state()
    create(state, a_wish())
    with pytest.raises(BadRequest, match="service web does not have a previous spec"):
        roll_back(state)


def test_an_old_version_is_out_of_sequence() -> None:
    state = a_state()
    service = create(state, a_wish())
    with pytest.raises(OutOfSequence, match=r"update out of sequence$"):
        admit_update(state, service, a_wish(), version=service.version - 1, now=at(1), sealed_auth=None)
    with pytest.raises(OutOfSequence):
        admit_rollback(state, service, version=service.version - 1, now=at(1))


def test_neither_name_nor_mode_can_change() -> None:
    state = a_state()
    create(state, a_wish())
    with pytest.raises(Unsupported, match="renaming services is not supported"):
        update(state, a_wish(Name="other"))
    with pytest.raises(Unsupported, match="service mode change is not allowed"):
        update(state, a_wish(Mode={"Global": {}}))


def test_a_job_runs_anew_when_its_template_changes() -> None:
    state = a_state()
    job = {"Mode": {"ReplicatedJob": {"TotalCompletions": 3}}}
    service = create(state, a_wish(**job))
    assert (service.job_iteration, service.job_started_at) == (0, T0)
    service = update(state, a_wish(**job, template={"ForceUpdate": 1}))
    assert (service.job_iteration, service.job_started_at) == (1, at(1))


def test_a_removed_service_frees_its_name_at_once() -> None:
    state = a_state()
    service = create(state, a_wish())
    fold(state, admit_removal(state, service, now=at(1)))
    assert state.services[ID].removed
    create(state, a_wish(), service_id="service000000000000000002")


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (a_wish(Name="-web"), "name must be valid as a DNS name component"),
        (a_wish(Name="a" * 64), "name must be 63 characters or fewer"),
        (a_wish(container={"Image": ""}), "ContainerSpec: image reference must be provided"),
        (a_wish(container={"Image": "Web:1"}), "is not a valid image reference: the path of an image is lower case"),
        (a_wish(container={"Image": "web:1:2"}), "is not a valid image reference"),
        (ServiceSpec.model_validate({"Name": "web"}), "TaskTemplate: ContainerSpec is required"),
        (a_wish(Mode={"Replicated": {"Replicas": -1}}), "Mode.Replicated.Replicas must be between 0 and"),
        (a_wish(Mode={"Replicated": {}, "Global": {}}), "Mode: exactly one must be set, not 2"),
        (a_wish(container={"Env": ["=x"]}), "ContainerSpec.Env[0] has no name before its ="),
        (a_wish(container={"Hosts": ["nonsense"]}), "ContainerSpec.Hosts: 'nonsense'"),
        (a_wish(container={"DNSConfig": {"Nameservers": ["x"]}}), "Nameservers: 'x' is no IP address"),
        (a_wish(container={"Healthcheck": {"Test": ["RUN", "x"]}}), "Healthcheck.Test starts with 'RUN'"),
        (a_wish(container={"Healthcheck": {"Test": ["CMD"]}}), "Healthcheck.Test: no command after CMD"),
        (a_wish(container={"Healthcheck": {"StartPeriod": 5}}), "Healthcheck.StartPeriod must be 0 or at least"),
        (a_wish(container={"Healthcheck": {"Retries": -1}}), "Healthcheck.Retries must not be negative"),
        (a_wish(container={"Ulimits": [{"Name": "nofile", "Soft": 9, "Hard": 1}]}), "nofile has a soft limit 9 above"),
        (a_wish(container={"Privileges": {"Seccomp": {"Mode": "x"}}}), "Privileges.Seccomp.Mode 'x' is none of"),
        (a_wish(container={"Mounts": [{"Type": "bind", "Source": "/a"}]}), "Mounts[0]: Target is required"),
        (a_wish(container={"Mounts": [{"Type": "bind", "Source": "a", "Target": "/a"}]}), "must be an absolute path"),
        (a_wish(container={"Mounts": [{"Type": "tmpfs", "Target": "a"}]}), "Target: 'a' is no absolute path"),
        (a_wish(container={"Mounts": [{"Target": "/"}]}), "Target: a mount cannot stand at /"),
        (
            a_wish(container={"Mounts": [{"Type": "tmpfs", "Source": "x", "Target": "/a"}]}),
            "a tmpfs mount has no Source",
        ),
        (a_wish(container={"Mounts": [{"Type": "volume", "Source": "/x", "Target": "/a"}]}), "use type bind for paths"),
        (a_wish(container={"Mounts": [{"Target": "/a"}, {"Target": "/a/"}]}), "/a is the target of 2 mounts"),
        (
            a_wish(container={"Mounts": [{"Type": "tmpfs", "Target": "/a", "BindOptions": {"Propagation": "shared"}}]}),
            "BindOptions belongs to mounts of type bind, this one is of type tmpfs",
        ),
        (a_wish(template={"Resources": {"Limits": {"MemoryBytes": 1}}}), "must be at least 6 MiB"),
        (a_wish(template={"Resources": {"Reservations": {"NanoCPUs": -5}}}), "invalid cpu value"),
        (
            a_wish(template={"Resources": {"Limits": {"NanoCPUs": 10**9}, "Reservations": {"NanoCPUs": 2 * 10**9}}}),
            "the reservation of NanoCPUs (2000000000) exceeds its limit (1000000000)",
        ),
        (a_wish(template={"RestartPolicy": {"MaxAttempts": -1}}), "RestartPolicy.MaxAttempts must not be negative"),
        (
            a_wish(template={"Placement": {"Constraints": ["node.role"]}}),
            "constraint expected one operator from ==, !=",
        ),
        (a_wish(template={"Placement": {"Preferences": [{}]}}), "the only preference is Spread"),
        (a_wish(UpdateConfig={"Parallelism": -1}), "UpdateConfig.Parallelism must not be negative"),
        (a_wish(UpdateConfig={"MaxFailureRatio": 2}), "UpdateConfig.MaxFailureRatio must be between 0 and 1"),
        (a_wish(RollbackConfig={"FailureAction": "rollback"}), "a rollback cannot be rolled back"),
        (a_wish(Mode={"GlobalJob": {}}, UpdateConfig={}), "UpdateConfig: a job is not updated in steps"),
        (a_wish(EndpointSpec={"Ports": [host_port(0)]}), "target port 0 is not between 1 and 65535"),
        (a_wish(EndpointSpec={"Ports": [host_port(80, 70000)]}), "published port 70000 is not between"),
        (a_wish(EndpointSpec={"Ports": [host_port(80, 8080), host_port(81, 8080)]}), "8080/tcp is named twice"),
        (
            a_wish(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}),
            "published port 8080: ingress mode is not carried out yet; use mode: host",
        ),
        (a_wish(Mode={"GlobalJob": {}}, EndpointSpec={"Ports": [host_port(80)]}), "a job publishes no ports"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_in_one_sentence(wish: ServiceSpec, sentence: str) -> None:
    with pytest.raises(SwarmpyError) as refusal:
        create(a_state(), wish)
    assert sentence in str(refusal.value)
    assert refusal.value.http_status in (400, 501)


@pytest.mark.parametrize(
    "image",
    [
        "web",
        "web:1",
        "shop/web",
        "localhost:5000/a/b:c_d",
        "r.io/x@sha256:" + "a" * 64,
        "[::1]:5000/x",
        "sha256:" + "a" * 64,
    ],
)
def test_image_references_of_every_form_are_taken(image: str) -> None:
    create(a_state(), a_wish(container={"Image": image}))


def test_two_services_may_wish_for_one_host_port_for_nodes_have_it_each() -> None:
    state = a_state(a_service("other"))
    create(state, a_wish(EndpointSpec={"Ports": [host_port(80, 8080)]}))
    create(state, a_wish(Name="second", EndpointSpec={"Ports": [host_port(80, 8080)]}), service_id="second")


@pytest.mark.parametrize(
    ("mode", "field"),
    [
        ({"Replicated": {"Replicas": 10**12}}, "Mode.Replicated.Replicas"),
        ({"Replicated": {"Replicas": -1}}, "Mode.Replicated.Replicas"),
        ({"ReplicatedJob": {"TotalCompletions": 10**12}}, "Mode.ReplicatedJob.TotalCompletions"),
        ({"ReplicatedJob": {"MaxConcurrent": -1}}, "Mode.ReplicatedJob.MaxConcurrent"),
    ],
)
def test_a_number_of_replicas_that_would_bury_the_manager_is_refused(mode: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest, match=f"^service web: {field} must be between 0 and 100000, and"):
        create(a_state(), a_wish(Mode=mode))
