"""`swarmpy up`: runs one node in the foreground."""

import asyncio
import os
import socket
from pathlib import Path

import click
from pydantic import ValidationError

from swarmpy.errors import BadRequest
from swarmpy.logs import configure
from swarmpy.node.daemon import run_node
from swarmpy.node.home import NodeRecord
from swarmpy.node.keeper import Say
from swarmpy.settings import (
    DEFAULT_DATA_DIR,
    DEFAULT_DOCKER_HOST,
    DEFAULT_RUN_DIR,
    DEFAULT_STATUS_ADDRESS,
    EtcdSettings,
    NodeSettings,
)

PATH = click.Path(path_type=Path, resolve_path=True)
PASSWORD_VARIABLE = "SWARMPY_ETCD_PASSWORD"


@click.command()
@click.option("--data-dir", type=PATH, default=DEFAULT_DATA_DIR, show_default=True, help="What must outlive a restart.")
@click.option("--run-dir", type=PATH, default=DEFAULT_RUN_DIR, show_default=True, help="Sockets.")
@click.option("--docker-host", default=DEFAULT_DOCKER_HOST, show_default=True, help="The Docker engine to drive.")
@click.option("--status-address", default=DEFAULT_STATUS_ADDRESS, show_default=True, help="Status page, loopback only.")
@click.option("--hostname", default=socket.gethostname, show_default="this machine's", help="The node's name.")
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Engine label, for constraints. Repeat.")
@click.option("--etcd-endpoints", metavar="HOST:PORT,...", help="Your own etcd, instead of one that the node runs.")
@click.option("--etcd-ca-file", type=PATH, help="CA of your etcd: TLS, needed when it is on another machine.")
@click.option("--etcd-cert-file", type=PATH, help="Our certificate towards your etcd.")
@click.option("--etcd-key-file", type=PATH, help="Its key.")
@click.option("--etcd-username", help=f"Our user in your etcd; the password is read from {PASSWORD_VARIABLE}.")
@click.option("--debug", is_flag=True, help="Log more.")
@click.option("--log-json", is_flag=True, help="Log lines as JSON.")
def up(
    data_dir: Path,
    run_dir: Path,
    docker_host: str,
    status_address: str,
    hostname: str,
    labels: tuple[str, ...],
    etcd_endpoints: str | None,
    etcd_ca_file: Path | None,
    etcd_cert_file: Path | None,
    etcd_key_file: Path | None,
    etcd_username: str | None,
    debug: bool,
    log_json: bool,
) -> None:
    """Run one node here: etcd, manager and agent, until SIGTERM or Ctrl-C.

    On a fresh machine this makes a cluster of one node. Containers keep running when it ends, and are taken over
    when it comes back.
    """
    configure(debug=debug, json=log_json, process="node")
    etcd_options = {
        "ca_file": etcd_ca_file,
        "cert_file": etcd_cert_file,
        "key_file": etcd_key_file,
        "username": etcd_username,
    }
    try:
        settings = NodeSettings(
            data_dir=data_dir,
            run_dir=run_dir,
            docker_host=docker_host,
            status_address=status_address,
            hostname=hostname,
            labels=parse_labels(labels),
            etcd=etcd_settings(etcd_endpoints, etcd_options, os.environ.get(PASSWORD_VARIABLE)),
            debug=debug,
            log_json=log_json,
        )
    except ValidationError as error:
        raise BadRequest("; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())) from error
    asyncio.run(run_node(settings, _shown(log_json), lambda record: announce(settings, record)))
    click.echo("stopped; containers keep running, and `swarmpy up` takes them over again", err=True)


def announce(settings: NodeSettings, record: NodeRecord) -> None:
    """What an operator needs next, once the node takes work."""
    default = settings.run_dir == DEFAULT_RUN_DIR
    host = "" if default else f" --host unix://{settings.api_socket}"
    rows = {
        "node": f"{record.id} ({settings.hostname}) is ready",
        "socket": f"unix://{settings.api_socket}   also for docker -H",
        "status page": f"http://{settings.status_address}/ui",
        "data": str(settings.data_dir),
        "next": f"swarmpy{host} stack deploy -c FILE NAME",
    }
    for name, text in rows.items():
        click.echo(f"{name:<12}{text}")


def parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    """`key=value` and bare `key`s, as Docker's daemon takes them; the last of a name counts."""
    pairs = [label.partition("=") for label in labels]
    for key, _, _ in pairs:
        if not key:
            raise BadRequest("a label needs a name: --label KEY=VALUE")
    return {key: value for key, _, value in pairs}


def etcd_settings(
    endpoints: str | None, options: dict[str, Path | str | None], password: str | None
) -> EtcdSettings | None:
    """The operators' own etcd; None when the node is to run one itself."""
    given = {name: value for name, value in options.items() if value is not None}
    if endpoints is None:
        if given:
            name = next(iter(given)).replace("_", "-")
            raise BadRequest(f"--etcd-{name} is for your own etcd: name it with --etcd-endpoints")
        return None
    names = tuple(endpoint.strip() for endpoint in endpoints.split(",") if endpoint.strip())
    return EtcdSettings.model_validate({"endpoints": names, "password": password, **given})


def _shown(log_json: bool) -> Say:
    """How a child's line is shown: behind its name, or as it is when a machine reads along."""

    def say(child: str, line: str) -> None:
        click.echo(line if log_json else f"{child:<8}| {line}", err=True)

    return say
