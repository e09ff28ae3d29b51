"""Why a node does not take a task: for one node, and for all of them."""

from collections import Counter
from collections.abc import Mapping

from scheduler.filters import AVAILABLE, FILTERS, KEEPING, LASTING, STANDING, WITH_VOLUMES, Filter, concerned
from scheduler.load import NodeLoad
from scheduler.requirements import Requirements
from scheduler.view import ClusterView

_UNKNOWN = "not a node of this cluster"


def fits(view: ClusterView, node_id: str, asked: Requirements, service_id: str = "") -> str | None:
    """The first reason why the node cannot take one more such task now; None when it can. `service_id` matters only
    for `max_replicas`."""
    return _reason(view, node_id, asked, FILTERS, service_id)


def eligible(view: ClusterView, node_id: str, asked: Requirements) -> str | None:
    """The first reason why the node could not take such a task even if it were empty; None when it could."""
    return _reason(view, node_id, asked, STANDING, "")


def breach(view: ClusterView, node_id: str, asked: Requirements) -> str | None:
    """The first rule that a task which runs on the node breaks now: platform or constraint. Whether the node is
    ready or drained is not asked: that is for the orchestrator to judge. None when all hold."""
    return _reason(view, node_id, asked, LASTING, "")


def stays(view: ClusterView, node_id: str, asked: Requirements, running: int) -> str | None:
    """The first reason why a task that was on the node, and is not counted there any more, could not stay by what it
    asks now, beside `running` others of its service. Whether the node takes new tasks is not asked. None when it
    could."""
    if not view.has_node(node_id):
        return _UNKNOWN
    node = view.node(node_id)
    rule = _refusing(node, asked, running, concerned(KEEPING, asked))
    return None if rule is None else rule.because(node, asked, running)


def feasible_nodes(view: ClusterView, asked: Requirements) -> tuple[str, ...]:
    """The ids of the eligible nodes, in order: where a global service belongs. Room is not asked, so a node
    without room gets a task that waits with a reason."""
    return tuple(sorted(view.plan(asked).node_ids()))


def explain(view: ClusterView, asked: Requirements, service_id: str) -> tuple[str, Mapping[str, str]]:
    """Docker's summary of why none of the nodes is suitable, and each node's own first reason."""
    if asked.held:
        return _explain_held(view, asked, service_id)
    refusals: Counter[Filter] = Counter()
    nodes: dict[str, str] = {}
    running = view.running(service_id)
    rules = concerned(FILTERS, asked)
    for group in view.classes_for(asked):
        broken = None if asked.is_singular else _refusing(group.example, asked, 0, concerned(LASTING, asked))
        if broken is not None and AVAILABLE.admits(group.example, asked, 0):
            # The whole class breaks the same rule in the same words; most of a big cluster is refused like this.
            refusals[broken] += len(group.members)
            nodes.update(dict.fromkeys(group.members, broken.because(group.example, asked, 0)))
            continue
        for node_id, node in group.members.items():
            count = running.get(node_id, 0)
            rule = _refusing(node, asked, count, rules)
            if rule is not None:
                refusals[rule] += 1
                nodes[node_id] = rule.because(node, asked, count)
    return _summary(refusals), nodes


def _explain_held(view: ClusterView, asked: Requirements, service_id: str) -> tuple[str, Mapping[str, str]]:
    """The same where volumes decide: each such task is asked for alone, so that only the few nodes that have its first
    volume are judged. All others refuse it in the same words."""
    first, running = asked.held[0], view.running(service_id)
    rules = concerned(FILTERS, asked)
    nodes = dict.fromkeys(view.node_ids, WITH_VOLUMES.elsewhere(first))
    holders = [view.node(node_id) for node_id in sorted(first.nodes) if nodes.pop(node_id, None)]
    refusals: Counter[Filter] = Counter({WITH_VOLUMES: len(nodes)} if nodes else {})
    for node in holders:
        count = running.get(node.info.id, 0)
        rule = _refusing(node, asked, count, rules)
        if rule is not None:
            refusals[rule] += 1
            nodes[node.info.id] = rule.because(node, asked, count)
    return _summary(refusals), nodes


def explain_one(view: ClusterView, asked: Requirements, service_id: str, node_id: str) -> tuple[str, Mapping[str, str]]:
    """The same where only this node is in question."""
    if not view.has_node(node_id):
        return _summary({}), {node_id: _UNKNOWN}
    node, count = view.node(node_id), view.running(service_id).get(node_id, 0)
    rule = _refusing(node, asked, count, concerned(FILTERS, asked))
    if rule is None:
        return _summary({}), {}
    return _summary({rule: 1}), {node_id: rule.because(node, asked, count)}


def _summary(refusals: Mapping[Filter, int]) -> str:
    in_order = sorted(refusals, key=lambda rule: (-refusals[rule], FILTERS.index(rule)))
    parts = "; ".join(rule.summary(refusals[rule]) for rule in in_order)
    return f"no suitable node ({parts})" if parts else "no suitable node"


def _reason(
    view: ClusterView, node_id: str, asked: Requirements, rules: tuple[Filter, ...], service_id: str
) -> str | None:
    if not view.has_node(node_id):
        return _UNKNOWN
    node, count = view.node(node_id), view.running(service_id).get(node_id, 0)
    rule = _refusing(node, asked, count, concerned(rules, asked))
    return None if rule is None else rule.because(node, asked, count)


def _refusing(node: NodeLoad, asked: Requirements, count: int, rules: tuple[Filter, ...]) -> Filter | None:
    for rule in rules:
        if not rule.admits(node, asked, count):
            return rule
    return None
