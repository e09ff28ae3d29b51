"""`swarmpy node`: list, look at, label, pause, drain, promote, demote and remove nodes."""

from collections.abc import Sequence
from typing import Any

import click

from swarmpy.cli.again import edited_in_turn
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
)
from swarmpy.cli.views import NODE_COLUMNS, node_row
from swarmpy.client import Client
from swarmpy.errors import BadRequest


@click.group()
def node() -> None:
    """Look at, label, drain, promote, demote and remove nodes."""


@node.command("ls")
@filter_option
@quiet_option
@no_trunc_option
@format_option
def list_nodes(filters: Sequence[str], quiet: bool, no_trunc: bool, form: str) -> None:
    """List nodes; the star marks the one that answers."""
    with connected() as client:
        nodes = client.get("/nodes", filters=parse_filters(filters))
        if quiet:
            for item in nodes:
                click.echo(item["ID"])
            return
        self_id = client.get("/info")["Swarm"]["NodeID"]
    nodes.sort(key=lambda item: (item["Description"].get("Hostname", ""), item["ID"]))
    # A program wants the id and nothing else: it asks `info` who answers.
    marked = "" if form == JSON else self_id
    print_rows(NODE_COLUMNS, [node_row(item, marked, whole=no_trunc) for item in nodes], form)


@node.command("ps")
@click.argument("names", nargs=-1, metavar="[NODE...]")
@filter_option
@no_trunc_option
@quiet_option
@format_option
def list_tasks(names: Sequence[str], filters: Sequence[str], no_trunc: bool, quiet: bool, form: str) -> None:
    """List the tasks on nodes, without a name on the one that answers."""
    from swarmpy.cli.tasks import print_tasks

    with connected() as client:
        ids = [_find(client, name)["ID"] for name in names or ("self",)]
        print_tasks(client, parse_filters(filters) | {"node": ids}, form=form, quiet=quiet, whole=no_trunc)


@node.command()
@click.argument("names", nargs=-1, required=True, metavar="NODE|self...")
@format_option
def inspect(names: Sequence[str], form: str) -> None:
    """Show nodes whole, as the API has them."""
    with connected() as client:
        print_inspected([_find(client, name) for name in names], form)


@node.command()
@click.argument("name", metavar="NODE")
@click.option("--availability", type=click.Choice(["active", "pause", "drain"]), help="Take tasks; no new ones; none.")
@click.option("--label-add", multiple=True, metavar="KEY=VALUE", help="Set a label; may be repeated.")
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label; may be repeated.")
@format_option
def update(name: str, availability: str | None, label_add: Sequence[str], label_rm: Sequence[str], form: str) -> None:
    """Change what a node may do and its labels."""
    with connected() as client:

        def edit() -> None:
            found = _find(client, name)
            spec = found["Spec"] | {"Labels": relabelled(found["Spec"].get("Labels") or {}, label_add, label_rm)}
            if availability is not None:
                spec["Availability"] = availability
            client.post(f"/nodes/{found['ID']}/update", spec, version=str(found["Version"]["Index"]))

        edited_in_turn(edit)
    print_became("node", name, "updated", form)


def relabelled(
    labels: dict[str, str], added: Sequence[str], removed: Sequence[str], *, owner: str = "node"
) -> dict[str, str]:
    after = dict(labels)
    for key in removed:
        if key not in after:
            raise BadRequest(f"--label-rm {key}: the {owner} has no such label")
        del after[key]
    return after | parse_labels(added, "--label-add")


@node.command()
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@format_option
def promote(names: Sequence[str], form: str) -> None:
    """Make workers managers."""
    _change_roles(names, "manager", form)


@node.command()
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@format_option
def demote(names: Sequence[str], form: str) -> None:
    """Make managers workers. Refused where the others could not go on."""
    _change_roles(names, "worker", form)


def _change_roles(names: Sequence[str], role: str, form: str) -> None:
    with connected() as client:
        for name in names:
            found = _find(client, name)
            is_new = found["Spec"]["Role"] != role
            if is_new:
                version = str(found["Version"]["Index"])
                client.post(f"/nodes/{found['ID']}/update", found["Spec"] | {"Role": role}, version=version)
            became = "promoted" if role == "manager" else "demoted"
            print_became("node", name, became if is_new else "unchanged", form)


@node.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NODE...")
@click.option("-f", "--force", is_flag=True, help="Also a node that is up.")
@format_option
def remove(names: Sequence[str], force: bool, form: str) -> int:
    """Forget nodes that are gone."""
    from swarmpy.cli.removal import remove_each

    with connected() as client:
        return remove_each("node", names, lambda name: client.delete(f"/nodes/{name}", force=str(force).lower()), form)


def _find(client: Client, name: str) -> dict[str, Any]:
    if name == "self":
        name = client.get("/info")["Swarm"]["NodeID"]
    found: dict[str, Any] = client.get(f"/nodes/{name}")
    return found
