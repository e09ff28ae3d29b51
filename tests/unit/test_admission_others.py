"""Wishes about networks, nodes and the cluster become writes, or one sentence that says why not."""

from typing import Any

import pytest
from support.builders import T0, a_cluster, a_network, a_node, a_service, a_state, a_template

from manager.admission.cluster import admit_cluster_update
from manager.admission.network import admit_network, admit_removal
from manager.admission.node import admit_node_removal, admit_node_update
from manager.objects import JoinSecrets, Network
from manager.state import State
from manager.store.port import Check, Unit
from swarmpy.errors import BadRequest, Conflict, InUse, OutOfSequence, SwarmpyError, Unsupported
from swarmpy.models.cluster import CAConfig, ClusterSpec, OrchestrationConfig, RaftConfig
from swarmpy.models.network import NetworkCreate
from swarmpy.models.node import NodeSpec
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.states import Availability, NodeState, Role


def wish(name: str = "front", **ipam: str) -> NetworkCreate:
    return NetworkCreate.model_validate({"Name": name, "IPAM": {"Config": [ipam]}})


def admit(state: State, wished: NetworkCreate) -> Network:
    return admit_network(state, wished, network_id="id", now=T0).value


def test_a_network_is_an_overlay_of_the_cluster() -> None:
    network = admit(a_state(), wish(Subnet="10.9.0.0/16", Gateway="10.9.0.1", IPRange="10.9.4.0/24"))
    assert (network.spec.driver, network.spec.scope) == ("overlay", "swarm")


@pytest.mark.parametrize(
    ("wished", "sentence"),
    [
        (wish("a/b"), "Name: 'a/b' is no network name"),
        (NetworkCreate(name="n", options={"com.docker.network.driver.mtu": "big"}), "'big' is not a number between"),
        (wish("host"), "network host: every engine has a network of this name for itself"),
        (wish(Subnet="10.9.0.1/16"), "Subnet '10.9.0.1/16' is not an IPv4 subnet"),
        (wish(Subnet="10.9.0.0/30"), "Subnet 10.9.0.0/30 is too small"),
        (wish(Subnet="10.9.0.0/16", Gateway="10.8.0.1"), "Gateway 10.8.0.1 lies outside of 10.9.0.0/16"),
        (wish(Subnet="10.9.0.0/16", Gateway="x"), "Gateway 'x' is no IPv4 address"),
        (wish(Subnet="10.9.0.0/16", IPRange="10.8.0.0/24"), "IPRange 10.8.0.0/24 must lie in 10.9.0.0/16"),
        (wish(Gateway="10.9.0.1"), "Subnet '' is not an IPv4 subnet"),
        (wish(Subnet="10.1.4.0/24"), "10.1.4.0/24 overlaps 10.1.0.0/16 of network old"),
        (wish(Subnet="10.2.4.0/24"), "10.2.4.0/24 overlaps 10.2.0.0/16 of network asked"),
    ],
)
def test_a_network_that_cannot_be_is_refused(wished: NetworkCreate, sentence: str) -> None:
    state = a_state(a_network("old", subnet="10.1.0.0/16"), a_network("asked", wished_subnet="10.2.0.0/16"))
    with pytest.raises(SwarmpyError) as refusal:
        admit(state, wished)
    assert sentence in str(refusal.value)


def test_names_of_networks_are_unique() -> None:
    state = a_state(a_network("front"))
    state.names["networks/front"] = "front"
    with pytest.raises(Conflict, match="network with name front already exists"):
        admit(state, wish())


def test_one_subnet_per_network_is_carried_out() -> None:
    two = NetworkCreate.model_validate(
        {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}, {"Subnet": "10.2.0.0/16"}]}}
    )
    with pytest.raises(Unsupported, match="one subnet per network is carried out, not 2"):
        admit(a_state(), two)


def test_a_network_is_kept_while_a_service_that_stays_uses_it() -> None:
    front = a_network("front")
    user = a_service("web", template=a_template(networks=(NetworkAttachmentConfig(target="front"),)))
    with pytest.raises(InUse, match="network front is in use by service web"):
        admit_removal(a_state(front, user), front, now=T0)

    leaving = user.model_copy(update={"removed": True})
    assert admit_removal(a_state(front, leaving), front, now=T0).value.removed


def test_a_node_changes_labels_and_availability() -> None:
    node = a_node("n1")
    spec = NodeSpec(labels={"rack": "1"}, availability=Availability.DRAIN)
    assert admit_node_update(a_state(node), node, spec, version=0, now=T0).value.spec == spec


def test_a_node_that_is_sent_back_as_read_is_not_written() -> None:
    same = admit_node_update(a_state(), a_node("n1"), NodeSpec(), version=0, now=T0)
    assert same.units == (Unit((Check("nodes/n1", 0),)),)


def test_an_old_version_of_a_node_or_cluster_is_out_of_sequence() -> None:
    with pytest.raises(OutOfSequence):
        admit_node_update(a_state(), a_node("n1"), NodeSpec(), version=7, now=T0)
    with pytest.raises(OutOfSequence):
        admit_cluster_update(a_cluster(), ClusterSpec(), version=7, now=T0)


def test_a_worker_may_become_a_manager_and_the_last_manager_stays_one() -> None:
    worker, manager = a_node("n1"), a_node("m1", role=Role.MANAGER)
    state = a_state(worker, manager)
    promoted = admit_node_update(state, worker, NodeSpec(role=Role.MANAGER), version=0, now=T0)
    assert promoted.value.is_manager
    with pytest.raises(BadRequest, match="m1 is the last manager"):
        admit_node_update(state, manager, NodeSpec(), version=0, now=T0)


@pytest.mark.parametrize(("state", "force"), [(NodeState.DOWN, False), (NodeState.DOWN, True), (NodeState.READY, True)])
def test_a_worker_that_is_down_goes_and_one_that_is_up_by_force(state: NodeState, force: bool) -> None:
    assert len(admit_node_removal(a_node("n1", state=state), force=force).units) == 1


def test_a_worker_that_is_up_and_any_manager_stay() -> None:
    with pytest.raises(BadRequest, match="node n1 is not down and can't be removed"):
        admit_node_removal(a_node("n1"), force=False)
    manager = a_node("n1", state=NodeState.DOWN).model_copy(update={"spec": NodeSpec(role=Role.MANAGER)})
    with pytest.raises(BadRequest, match="node n1 is a manager"):
        admit_node_removal(manager, force=True)


def test_the_history_limit_and_labels_of_the_cluster_change_and_the_rest_stays() -> None:
    wished = ClusterSpec(labels={"a": "b"}, orchestration=OrchestrationConfig(task_history_retention_limit=2))
    cluster = a_cluster().model_copy(update={"spec": ClusterSpec(name="default")})
    changed = admit_cluster_update(cluster, wished, version=0, now=T0).value
    assert changed.spec == wished.model_copy(update={"name": "default", "ca_config": CAConfig()})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": "other"}, "Name"),
        ({"raft": RaftConfig(election_tick=3)}, "Raft"),
        ({"ca_config": CAConfig(force_rotate=1)}, "CAConfig.ForceRotate"),
    ],
)
def test_other_parts_of_the_cluster_are_refused_by_name(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(Unsupported, match=f"^{named}: "):
        admit_cluster_update(a_cluster(), ClusterSpec(**changed), version=0, now=T0)


def test_the_life_of_certificates_changes_and_has_a_least() -> None:
    minute, second = 60 * 10**9, 10**9
    wished = ClusterSpec(ca_config=CAConfig(node_cert_expiry=minute))
    changed = admit_cluster_update(a_cluster(), wished, version=0, now=T0).value
    assert changed.spec.ca_config == CAConfig(node_cert_expiry=minute)
    with pytest.raises(BadRequest, match="NodeCertExpiry must be one minute at least"):
        too_short = ClusterSpec(ca_config=CAConfig(node_cert_expiry=59 * second))
        admit_cluster_update(a_cluster(), too_short, version=0, now=T0)


def test_a_new_join_secret_takes_the_place_of_the_old_one_of_that_role() -> None:
    cluster = a_cluster().model_copy(update={"sealed_join_secrets": JoinSecrets(worker="w1", manager="m1")})
    after = admit_cluster_update(cluster, cluster.spec, version=0, now=T0, fresh_secrets={"worker": "w2"}).value
    assert after.sealed_join_secrets == JoinSecrets(worker="w2", manager="m1")


def test_the_history_limit_is_no_negative_number() -> None:
    wished = ClusterSpec(orchestration=OrchestrationConfig(task_history_retention_limit=-1))
    with pytest.raises(BadRequest, match="TaskHistoryRetentionLimit must not be negative"):
        admit_cluster_update(a_cluster(), wished, version=0, now=T0)
