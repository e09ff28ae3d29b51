"""`swarmpy token`: what other machines join the cluster with."""

import click

from swarmpy.cli.options import JSON, connected, format_option
from swarmpy.cli.render import json_line
from swarmpy.client import Client

_KEYS = {"worker": "Worker", "manager": "Manager"}


@click.command()
@click.argument("role", type=click.Choice([*_KEYS]))
@click.option("--rotate", is_flag=True, help="Make a new one; the old one is worth nothing any more.")
@click.option("-q", "--quiet", is_flag=True, help="Only TOKEN@HOST:PORT.")
@format_option
def token(role: str, rotate: bool, quiet: bool, form: str) -> None:
    """Show the command that makes a machine a worker or a manager of this cluster.

    Whoever knows the token can join: treat it as a password, and rotate it when it got about.
    """
    with connected() as client:
        if rotate:
            rotate_token(client, role)
        text: str = client.get("/swarm")["JoinTokens"][_KEYS[role]]
        where = address_of(client)
    if form == JSON:
        click.echo(json_line({"Role": role, "Token": text, "Address": where}))
    elif quiet:
        click.echo(f"{text}@{where}")
    else:
        click.echo(f"on the machine that is to be a {role}:\n\n    swarmpy up --join {text}@{where}\n")


def rotate_token(client: Client, role: str) -> None:
    cluster = client.get("/swarm")
    query = {"version": str(cluster["Version"]["Index"]), f"rotate{_KEYS[role]}Token": "true"}
    client.post("/swarm/update", cluster["Spec"], headers=None, **query)


def address_of(client: Client) -> str:
    """The door of the manager that answers."""
    swarm = client.get("/info")["Swarm"]
    doors = {manager["NodeID"]: manager["Addr"] for manager in swarm["RemoteManagers"]}
    door: str = doors[swarm["NodeID"]]
    return door
