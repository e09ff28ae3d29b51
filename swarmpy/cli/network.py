"""`swarmpy network`: make, list, look at, remove and prune networks."""

import json
from collections.abc import Sequence
from typing import Any

import click

from swarmpy.cli.kept import label_option, pretty_option
from swarmpy.cli.options import (
    JSON,
    connected,
    filter_option,
    format_option,
    no_trunc_option,
    parse_filters,
    parse_labels,
    print_became,
    print_inspected,
    print_rows,
    quiet_option,
    tell_warnings,
)
from swarmpy.cli.views import NETWORK_COLUMNS, SHARE_COLUMNS, network_row, share_row
from swarmpy.errors import BadRequest


@click.group()
def network() -> None:
    """Make, list, look at, remove and prune networks."""


@network.command()
@click.argument("name", metavar="NAME")
@click.option("-d", "--driver", type=click.Choice(["overlay"]), default="overlay", show_default=True, help="Its kind.")
@click.option(
    "--subnet",
    "subnets",
    multiple=True,
    metavar="CIDR",
    help="Its range.  [default: a free one of the cluster's pools]",
)
@click.option("--ip-range", metavar="CIDR", help="The part of it that addresses are taken from.")
@click.option("--gateway", metavar="ADDRESS", help="Shown as its gateway; each node has one of its own.")
@click.option("--attachable", is_flag=True, help="Also for containers by hand, as the engine's NAME.ID.")
@click.option("--internal", is_flag=True, help="No way out of it.")
@click.option("--ingress", is_flag=True, help="The one for published ports; the cluster makes it when it needs it.")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="Of the driver; may be repeated.")
@label_option
@format_option
def create(
    name: str,
    driver: str,
    subnets: Sequence[str],
    ip_range: str | None,
    gateway: str | None,
    attachable: bool,
    internal: bool,
    ingress: bool,
    options: Sequence[str],
    labels: Sequence[str],
    form: str,
) -> None:
    """Make a network that spans the cluster.

    Options of the driver: com.docker.network.driver.mtu, com.docker.network.driver.overlay.vxlanid_list (its VNI), and
    encrypted.
    """
    given = _range_of(name, subnets, ip_range, gateway)
    wish = {
        "Name": name,
        "Driver": driver,
        "Attachable": attachable,
        "Internal": internal,
        "Ingress": ingress,
        "IPAM": {"Driver": "default", "Config": [given] if given else []},
        "Options": parse_labels(options, "--opt"),
        "Labels": parse_labels(labels, "--label"),
    }
    with connected() as client:
        answer = client.post("/networks/create", wish)
    made: str = answer["Id"]
    tell_warnings(answer)
    if form == JSON:
        print_became("network", name, "created", form)
    else:
        click.echo(made)


def _range_of(name: str, subnets: Sequence[str], ip_range: str | None, gateway: str | None) -> dict[str, str]:
    for option, value in (*(("--subnet", each) for each in subnets), ("--ip-range", ip_range), ("--gateway", gateway)):
        if value == "":
            raise BadRequest(f"{option} is empty: give it a value, or leave it out")
    if len(subnets) > 1:
        raise BadRequest(f"network {name}: a network has one subnet, not {len(subnets)}: give one --subnet")
    subnet = next(iter(subnets), None)
    given = {"Subnet": subnet, "IPRange": ip_range, "Gateway": gateway}
    if subnet is None and any(given.values()):
        raise BadRequest("--ip-range and --gateway lie in a subnet: name it with --subnet")
    return {key: value for key, value in given.items() if value is not None}


@network.command("ls")
@filter_option
@quiet_option
@no_trunc_option
@format_option
def list_networks(filters: Sequence[str], quiet: bool, no_trunc: bool, form: str) -> None:
    """List networks, and how many addresses of tasks are used of those that nodes have for them."""
    with connected() as client:
        found = client.get("/networks", filters=parse_filters(filters), usage="true")
    found.sort(key=lambda item: item["Name"])
    if quiet:
        for item in found:
            click.echo(item["Id"])
    else:
        print_rows(NETWORK_COLUMNS, [network_row(item, whole=no_trunc or form == JSON) for item in found], form)


@network.command()
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
@click.option("-v", "--verbose", is_flag=True, help="Also its services and their tasks.")
@pretty_option
@format_option
def inspect(names: Sequence[str], verbose: bool, pretty: bool, form: str) -> None:
    """Show networks whole, as the API has them; with --pretty, where addresses are used."""
    if pretty and form == JSON:
        raise BadRequest("--pretty and --format json exclude each other")
    with connected() as client:
        found = [client.get(f"/networks/{name}", verbose=str(verbose).lower()) for name in names]
    if not pretty:
        print_inspected(found, form)
        return
    for number, item in enumerate(found):
        click.echo(("\n" if number else "") + "\n".join(_facts(item)))
        print_rows(SHARE_COLUMNS, [share_row(share) for share in item["Usage"]["Nodes"]], form)


@network.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NETWORK...")
@format_option
def remove(names: Sequence[str], form: str) -> int:
    """Remove networks that no service uses."""
    from swarmpy.cli.removal import remove_each

    with connected() as client:
        return remove_each("network", names, lambda name: client.delete(f"/networks/{name}"), form)


@network.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only with this label, or label!.")
@format_option
def prune(force: bool, filters: Sequence[str], form: str) -> None:
    """Remove all networks that no service and no task uses, but not the ingress network."""
    if not force and not click.confirm("This removes all networks that nothing uses. Go on?", err=True):
        click.echo("nothing is removed", err=True)
        return
    with connected() as client:
        removed = client.post("/networks/prune", None, filters=json.dumps(parse_filters(filters)))["NetworksDeleted"]
    for name in removed or ():
        print_became("network", name, "removed", form)


def _facts(item: dict[str, Any]) -> list[str]:
    usage = item["Usage"]
    configs = item["IPAM"].get("Config") or [{}]
    kinds = [word for word in ("Ingress", "Attachable", "Internal") if item.get(word)]
    facts = {
        "ID": item["Id"],
        "Name": item["Name"],
        "Subnet": configs[0].get("Subnet", "not allocated yet"),
        "Kind": ", ".join(word.lower() for word in kinds) or "overlay",
        "Tasks": f"{usage['Used']} of {usage['Total']} addresses used",
        "Services": f"{usage['Services']['Used']} of {usage['Services']['Total']} addresses used",
    }
    options = [f"{key}={value}" for key, value in sorted((item.get("Options") or {}).items())]
    labels = [f"{key}={value}" for key, value in sorted((item.get("Labels") or {}).items())]
    facts |= {name: ", ".join(words) for name, words in (("Options", options), ("Labels", labels)) if words}
    return [f"{name + ':':<12}{value}" for name, value in facts.items()]
