"""The lab's switch on this machine: made, asked, removed. What is done, `plan` says."""

import json
import subprocess
from contextlib import suppress

from swarmpy.errors import Unavailable
from swarmpy.lab.machine import run_command
from swarmpy.lab.plan import LabNode, LabPlan, cut_command, heal_command, removal_commands, switch_commands


def make_switch(plan: LabPlan) -> None:
    """One that is half made, because its making was interrupted, is made anew."""
    if _exists(plan):
        return
    remove_switch(plan)
    for command in switch_commands(plan):
        run_command(command)


def remove_switch(plan: LabPlan) -> None:
    for command in removal_commands(plan):
        # What is not there need not be removed; what stays, the next look shows.
        with suppress(Unavailable):
            run_command(command)


def cut(plan: LabPlan, node: LabNode) -> None:
    run_command(cut_command(plan, node))


def heal(plan: LabPlan, node: LabNode) -> None:
    run_command(heal_command(plan, node))


def cut_nodes(plan: LabPlan) -> set[str]:
    """Names of the nodes that are on and cut off."""
    try:
        links = json.loads(run_command(("ip", "-n", plan.switch, "-j", "link", "show", "type", "veth")))
    except Unavailable:
        return set()
    loose = {link.get("ifname") for link in links if "master" not in link}
    return {node.name for node in plan.nodes if node.link in loose}


def networks_here() -> list[str]:
    """What this machine reaches without its default route, CIDR."""
    routes = json.loads(run_command(("ip", "-j", "-4", "route", "show", "table", "all")))
    return [route["dst"] for route in routes if route["dst"] not in ("default",) and route.get("type") != "broadcast"]


def _exists(plan: LabPlan) -> bool:
    shown = subprocess.run(
        ("ip", "-n", plan.switch, "link", "show", "host", "master", "br0"), capture_output=True, text=True, check=False
    )
    uplink = subprocess.run(("ip", "link", "show", plan.uplink, "up"), capture_output=True, text=True, check=False)
    return bool(shown.stdout.strip()) and bool(uplink.stdout.strip())
