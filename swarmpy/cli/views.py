"""From documents of the API to rows of tables, under docker's names of columns. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from swarmpy.cli.render import ago, clipped, parse_time, plural, short_id
from swarmpy.cli.slots import slot_of

Object = Mapping[str, Any]

SERVICE_COLUMNS = {
    "ID": "ID", "Name": "NAME", "Mode": "MODE", "Replicas": "REPLICAS", "Image": "IMAGE", "Ports": "PORTS",
}  # fmt: skip
TASK_COLUMNS = {
    "ID": "ID", "Name": "NAME", "Image": "IMAGE", "Node": "NODE", "DesiredState": "DESIRED STATE",
    "CurrentState": "CURRENT STATE", "Error": "ERROR", "Ports": "PORTS",
}  # fmt: skip
NODE_COLUMNS = {
    "ID": "ID", "Hostname": "HOSTNAME", "Status": "STATUS", "Availability": "AVAILABILITY",
    "ManagerStatus": "MANAGER STATUS", "EngineVersion": "ENGINE VERSION", "Message": "MESSAGE",
}  # fmt: skip
KEPT_COLUMNS = {"ID": "ID", "Name": "NAME", "CreatedAt": "CREATED", "UpdatedAt": "UPDATED"}
NETWORK_COLUMNS = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Subnet": "SUBNET", "Used": "ADDRESSES",
}  # fmt: skip
SHARE_COLUMNS = {"Node": "NODE", "Subnet": "SUBNET", "Used": "ADDRESSES"}
STACK_COLUMNS = {"Name": "NAME", "Services": "SERVICES"}

_ERROR_WIDTH = 60
_MODES = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated job",
    "GlobalJob": "global job",
}


def network_row(network: Object, *, whole: bool) -> dict[str, str]:
    usage, configs = network["Usage"], network["IPAM"].get("Config") or [{}]
    return {
        "ID": short_id(network["Id"], whole=whole),
        "Name": network["Name"],
        "Driver": network["Driver"],
        "Scope": network["Scope"],
        "Subnet": configs[0].get("Subnet", ""),
        "Used": f"{usage['Used']}/{usage['Total']}",
    }


def share_row(share: Object) -> dict[str, str]:
    return {"Node": share["Hostname"], "Subnet": share["Subnet"], "Used": f"{share['Used']}/{share['Total']}"}


def service_row(service: Object) -> dict[str, str]:
    spec = service["Spec"]
    return {
        "ID": short_id(service["ID"]),
        "Name": spec["Name"],
        "Mode": mode_of(spec),
        "Replicas": _replicas(service),
        "Image": _image(spec["TaskTemplate"]),
        "Ports": ", ".join(_port(port) for port in (service.get("Endpoint") or {}).get("Ports") or ()),
    }


def mode_of(spec: Object) -> str:
    return next((word for key, word in _MODES.items() if key in (spec.get("Mode") or {})), "replicated")


def _replicas(service: Object) -> str:
    spec, counts = service["Spec"], service.get("ServiceStatus") or {}
    text = f"{counts.get('RunningTasks', 0)}/{counts.get('DesiredTasks', 0)}"
    job = spec["Mode"].get("ReplicatedJob")
    if job is not None:
        return f"{text} ({counts.get('CompletedTasks', 0)}/{job.get('TotalCompletions', 0)} completed)"
    if "GlobalJob" in spec["Mode"]:
        completed = counts.get("CompletedTasks", 0)
        return f"{text} ({completed}/{completed + counts.get('DesiredTasks', 0)} completed)"
    most = (spec["TaskTemplate"].get("Placement") or {}).get("MaxReplicas")
    return f"{text} (max {most} per node)" if most else text


def _port(port: Object) -> str:
    """`*:8080->80/tcp`."""
    protocol = port.get("Protocol", "tcp")
    if not port.get("PublishedPort"):
        return f"{port.get('TargetPort', 0)}/{protocol}"
    return f"*:{port['PublishedPort']}->{port.get('TargetPort', 0)}/{protocol}"


def _image(template: Object) -> str:
    """Without the digest, which nobody reads in a table."""
    image: str = (template.get("ContainerSpec") or {}).get("Image", "")
    return image.partition("@")[0]


def task_name(task: Object, services: Mapping[str, str]) -> str:
    """`web.2`, of a global service `web.NODE`; the service's id where its name is gone."""
    service = services.get(task.get("ServiceID", ""), task.get("ServiceID", ""))
    return f"{service}.{slot_of(task) or task.get('NodeID') or '-'}"


def task_rows(
    tasks: Iterable[Object],
    services: Mapping[str, str],
    nodes: Mapping[str, str],
    now: datetime,
    *,
    whole: bool = False,
) -> list[dict[str, str]]:
    """Slot by slot, newest attempt first; earlier attempts are indented below it."""
    newest_first = sorted(tasks, key=lambda task: str(task.get("CreatedAt", "")), reverse=True)
    in_order = sorted(newest_first, key=lambda task: _slot_order(task, services, nodes))
    rows, before = [], ""
    for task in in_order:
        name = task_name(task, services)
        rows.append(_task_row(task, name, name == before, nodes, now, whole))
        before = name
    return rows


def _slot_order(task: Object, services: Mapping[str, str], nodes: Mapping[str, str]) -> tuple[str, int, str]:
    service = services.get(task.get("ServiceID", ""), "")
    node = task.get("NodeID", "")
    slot = slot_of(task)
    return service, slot, "" if slot else f"{nodes.get(node, '')} {node}"


def _task_row(
    task: Object, name: str, is_earlier: bool, nodes: Mapping[str, str], now: datetime, whole: bool
) -> dict[str, str]:
    status, node = task["Status"], task.get("NodeID", "")
    since = parse_time(status.get("Timestamp") or task["CreatedAt"])
    error = error_of(task)
    return {
        "ID": short_id(task["ID"], whole=whole),
        "Name": f" \\_ {name}" if is_earlier else name,
        "Image": _image(task.get("Spec") or {}),
        "Node": nodes.get(node, node),
        "DesiredState": task["DesiredState"].capitalize(),
        "CurrentState": f"{status['State'].capitalize()} {ago(since, now)}",
        "Error": error if whole else clipped(error, _ERROR_WIDTH),
        "Ports": ", ".join(_port(port) for port in (status.get("PortStatus") or {}).get("Ports") or ()),
    }


# Waits that the task's state does not tell of.
_TOLD_WAITS = ("waiting-engine", "waiting-dependency")


def error_of(task: Object) -> str:
    """What is wrong with the task; of one that waits, why. In one line, however many a health check printed."""
    status = task["Status"]
    if status.get("Err"):
        return " ".join(str(status["Err"]).split())
    reason = task.get("Reason") or {}
    waits = status["State"] in ("new", "pending") or reason.get("Code") in _TOLD_WAITS
    return str(reason.get("Text", "")) if waits else ""


def node_row(node: Object, self_id: str, *, whole: bool = False) -> dict[str, str]:
    manager, description = node.get("ManagerStatus"), node.get("Description") or {}
    role = ""
    if manager:
        role = "Leader" if manager.get("Leader") else str(manager.get("Reachability", "")).capitalize()
    return {
        "ID": short_id(node["ID"], whole=whole) + (" *" if node["ID"] == self_id else ""),
        "Hostname": description.get("Hostname", ""),
        "Status": node["Status"]["State"].capitalize(),
        "Availability": node["Spec"]["Availability"].capitalize(),
        "ManagerStatus": role,
        "EngineVersion": (description.get("Engine") or {}).get("EngineVersion", ""),
        "Message": node["Status"].get("Message") or "",
    }


def kept_row(item: Object, now: datetime, *, whole: bool = False) -> dict[str, str]:
    """A secret or a config."""
    return {
        "ID": short_id(item["ID"], whole=whole),
        "Name": item["Spec"]["Name"],
        "CreatedAt": ago(parse_time(item["CreatedAt"]), now),
        "UpdatedAt": ago(parse_time(item["UpdatedAt"]), now),
    }


def names_of_services(services: Sequence[Object]) -> dict[str, str]:
    return {service["ID"]: service["Spec"]["Name"] for service in services}


def names_of_nodes(nodes: Sequence[Object]) -> dict[str, str]:
    return {node["ID"]: (node.get("Description") or {}).get("Hostname") or node["ID"] for node in nodes}


def node_reasons(reason: Object | None, nodes: Mapping[str, str]) -> list[str]:
    """Why each node refused the task, equal reasons together: `2 nodes (a, b): lack 512 MiB`."""
    by_text: dict[str, list[str]] = {}
    for node, text in ((reason or {}).get("Nodes") or {}).items():
        by_text.setdefault(text, []).append(nodes.get(node, node))
    return [f"{plural(len(names), 'node')} ({', '.join(sorted(names))}): {text}" for text, names in by_text.items()]
