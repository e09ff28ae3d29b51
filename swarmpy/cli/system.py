"""`swarmpy info` and `swarmpy version`: the cluster and the programs in short."""

from typing import Any

import click

from swarmpy import __version__
from swarmpy.cli.options import JSON, connected, format_option
from swarmpy.cli.render import json_line, memory, plural
from swarmpy.client import Object
from swarmpy.errors import Unavailable


@click.command()
@format_option
def info(form: str) -> None:
    """Show the cluster in short."""
    with connected() as client:
        about = client.get("/info")
        nodes = client.get("/nodes")
        services = client.get("/services", status="true")
    if form == JSON:
        click.echo(json_line(about))
        return
    for heading, text in cluster_summary(about, nodes, services).items():
        click.echo(f"{heading + ':':<10}{text}")


def cluster_summary(about: Object, nodes: list[Object], services: list[Object]) -> dict[str, str]:
    swarm = about["Swarm"]
    ready = [node for node in nodes if node["Status"]["State"] == "ready"]
    leaders = [node for node in nodes if (node.get("ManagerStatus") or {}).get("Leader")]
    running = sum((item.get("ServiceStatus") or {}).get("RunningTasks", 0) for item in services)
    desired = sum((item.get("ServiceStatus") or {}).get("DesiredTasks", 0) for item in services)
    cores = sum(_resource(node, "NanoCPUs") for node in ready) / 1e9
    return {
        "cluster": (swarm.get("Cluster") or {}).get("ID", ""),
        "node": f"{swarm.get('NodeID', '')} ({about.get('Name', '')})",
        "leader": ", ".join(node["Description"].get("Hostname", "") for node in leaders) or "none",
        "nodes": f"{len(nodes)}, {len(ready)} ready, {swarm.get('Managers', 0)} of them {_managers(swarm)}",
        "capacity": f"{cores:g} CPUs, {memory(sum(_resource(node, 'MemoryBytes') for node in ready))}",
        "services": f"{len(services)}, {running} of {plural(desired, 'task')} running",
    }


def _managers(swarm: Object) -> str:
    return "manager" if swarm.get("Managers") == 1 else "managers"


def _resource(node: Object, name: str) -> int:
    amount: int = ((node.get("Description") or {}).get("Resources") or {}).get(name, 0)
    return amount


@click.command()
@format_option
def version(form: str) -> None:
    """Show the versions of the command and of the manager."""
    versions: dict[str, Any] = {"Client": __version__, "Manager": None, "ApiVersion": None}
    missing = ""
    try:
        with connected() as client:
            about = client.get("/version")
        versions |= {"Manager": about["Version"], "ApiVersion": about["ApiVersion"]}
    except Unavailable as error:
        missing = str(error)
    if form == JSON:
        click.echo(json_line(versions))
        return
    click.echo(f"client:  {versions['Client']}")
    click.echo(f"manager: {missing or versions['Manager'] + ', API ' + versions['ApiVersion']}")
