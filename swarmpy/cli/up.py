"""`swarmpy up` and `swarmpy leave`: one node in the foreground, and its end."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from pydantic import ValidationError

from swarmpy.client import Client
from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest, SwarmpyError
from swarmpy.logs import configure
from swarmpy.node.addresses import default_address
from swarmpy.node.daemon import run_node
from swarmpy.node.home import NodeRecord, Options, load_options
from swarmpy.node.keeper import Say
from swarmpy.node.leave import leave_cluster
from swarmpy.settings import (
    DEFAULT_DATA_DIR,
    DEFAULT_DOCKER_HOST,
    DEFAULT_LISTEN_ADDRESS,
    DEFAULT_NAMES_FOLDER,
    DEFAULT_PEER_PORT,
    DEFAULT_RUN_DIR,
    DEFAULT_STATUS_ADDRESS,
    EtcdSettings,
    NodeSettings,
)
from swarmpy.states import Role
from swarmpy.tokens import JoinWish, parse_address, parse_join, port_of

PATH = click.Path(path_type=Path, resolve_path=True)
STDOUT = 1
PASSWORD_VARIABLE = "SWARMPY_ETCD_PASSWORD"
DATA_DIR_VARIABLE = "SWARMPY_DATA_DIR"
# Each time anew: where the data lies, what is secret or for once, and how much is said.
NOT_REMEMBERED = {"data_dir", "join", "join_file", "debug", "log_json"}


@click.command()
@click.option(
    "--join",
    metavar="TOKEN@HOST:PORT",
    help="Become a member of the cluster that this token is for; - reads it from stdin.",
)
@click.option("--join-file", type=PATH, metavar="FILE", help="The same, read from a file that only root can read.")
@click.option(
    "--data-dir",
    type=PATH,
    default=DEFAULT_DATA_DIR,
    envvar=DATA_DIR_VARIABLE,
    show_default=True,
    help=f"What must outlive a restart; also {DATA_DIR_VARIABLE}.",
)
@click.option("--run-dir", type=PATH, default=DEFAULT_RUN_DIR, show_default=True, help="Sockets.")
@click.option("--docker-host", default=DEFAULT_DOCKER_HOST, show_default=True, help="The Docker engine to drive.")
@click.option("--listen-address", default=DEFAULT_LISTEN_ADDRESS, show_default=True, help="For other nodes, TLS.")
@click.option("--advertise-address", metavar="HOST[:PORT]", help="Where other nodes reach it.  [default: its address]")
@click.option(
    "--peer-port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PEER_PORT,
    show_default=True,
    help="Of etcd, between managers, TLS.",
)
@click.option("--status-address", default=DEFAULT_STATUS_ADDRESS, show_default=True, help="Status page, loopback only.")
@click.option("--hostname", default=socket.gethostname, show_default="this machine's", help="The node's name.")
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Engine label, for constraints. Repeat.")
@click.option(
    "--default-addr-pool",
    "address_pools",
    multiple=True,
    metavar="CIDR",
    help="Of a new cluster: where its networks get their ranges. Repeat.  [default: 10.0.0.0/8]",
)
@click.option(
    "--default-addr-pool-mask-length",
    "subnet_size",
    type=int,
    default=0,
    metavar="BITS",
    help="Of a new cluster: the size of these ranges.  [default: 16, and smaller where the pool is]",
)
@click.option("--etcd-endpoints", metavar="HOST:PORT,...", help="Your own etcd, instead of one that managers run.")
@click.option("--etcd-ca-file", type=PATH, help="CA of your etcd: TLS, needed when it is on another machine.")
@click.option("--etcd-cert-file", type=PATH, help="Our certificate towards your etcd.")
@click.option("--etcd-key-file", type=PATH, help="Its key.")
@click.option("--etcd-username", help=f"Our user in your etcd; the password is read from {PASSWORD_VARIABLE}.")
@click.option(
    "--publish-names",
    default="",
    metavar="DOMAIN",
    help="Write the names of services to etcd, for a CoreDNS that serves them as NAME.NETWORK.DOMAIN.",
)
@click.option("--publish-names-folder", default=DEFAULT_NAMES_FOLDER, show_default=True, help="Where in etcd.")
@click.option("--debug", is_flag=True, help="Log more.")
@click.option("--log-json", is_flag=True, help="Log lines as JSON.")
@click.pass_context
def up(context: click.Context, /, **given: Any) -> None:
    """Run one node here, until SIGTERM or Ctrl-C: an agent, and on managers etcd and a manager.

    On a fresh machine this makes a cluster of one node, or with --join a member of one. Options are remembered: later,
    `swarmpy up` is enough. Containers keep running when it ends, and are taken over when it comes back.
    """
    debug, log_json = bool(given["debug"]), bool(given["log_json"])
    options = remembered(context, given)
    settings = node_settings({**given, **options})
    wish = join_wish(given["join"], given["join_file"])
    configure(debug=debug, json=log_json, process="node")
    run = run_node(settings, options, wish, shown(log_json), partial(announce, settings))
    asyncio.run(run)
    click.echo("stopped; containers keep running, and `swarmpy up` takes them over again", err=True)


@click.command()
@click.option(
    "--data-dir",
    type=PATH,
    default=DEFAULT_DATA_DIR,
    envvar=DATA_DIR_VARIABLE,
    show_default=True,
    help=f"That of `swarmpy up`; also {DATA_DIR_VARIABLE}.",
)
@click.option("-f", "--force", is_flag=True, help="Also when no manager answers, or the cluster cannot go on without.")
@click.pass_context
def leave(context: click.Context, /, data_dir: Path, force: bool) -> None:
    """Take this node out of its cluster: its tasks move elsewhere, its containers and its data go."""
    configure(debug=False, json=False, process="node")
    defaults = up.make_context("up", [], parent=context.parent).params
    settings = node_settings({**defaults, **load_options(data_dir), "data_dir": data_dir})
    asyncio.run(leave_cluster(settings, force=force, say=shown(False), clock=SystemClock()))
    click.echo("this node has left the cluster")


def remembered(context: click.Context, given: Mapping[str, Any]) -> Options:
    """The options that were given now, over those that were given at an earlier start."""
    explicit = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    now = {
        name: tuple(value) if isinstance(value, tuple) else str(value)
        for name, value in given.items()
        if name not in NOT_REMEMBERED and context.get_parameter_source(name) in explicit
    }
    return {**load_options(given["data_dir"]), **now}


def node_settings(options: Mapping[str, Any]) -> NodeSettings:
    """Raises `BadRequest` in the words of the option at fault."""
    etcd_options = {name: options[f"etcd_{name}"] for name in ("ca_file", "cert_file", "key_file", "username")}
    listen = parse_address(options["listen_address"], "--listen-address", port_of(DEFAULT_LISTEN_ADDRESS))
    advertise = options["advertise_address"] or default_address()
    try:
        return NodeSettings(
            data_dir=options["data_dir"],
            run_dir=options["run_dir"],
            docker_host=options["docker_host"],
            status_address=options["status_address"],
            listen_address=listen,
            advertise_address=parse_address(advertise, "--advertise-address", port_of(listen)),
            peer_port=options["peer_port"],
            hostname=options["hostname"],
            labels=parse_labels(options["labels"]),
            address_pools=tuple(options["address_pools"]),
            subnet_size=options["subnet_size"],
            etcd=etcd_settings(options["etcd_endpoints"], etcd_options, os.environ.get(PASSWORD_VARIABLE)),
            publish_names=options["publish_names"],
            publish_names_folder=options["publish_names_folder"],
            debug=bool(options["debug"]),
            log_json=bool(options["log_json"]),
        )
    except ValidationError as error:
        raise BadRequest("; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())) from error


def join_wish(text: str | None, file: Path | None) -> JoinWish | None:
    if text is not None and file is not None:
        raise BadRequest("give --join or --join-file, not both")
    if file is not None:
        try:
            text = file.read_text()
        except OSError as error:
            raise BadRequest(f"--join-file {file} cannot be read: {error.strerror}") from error
    if text == "-":
        text = sys.stdin.read()
    return replace(parse_join(text), is_standing=file is not None) if text is not None else None


def announce(settings: NodeSettings, first: bool, record: NodeRecord, role: Role) -> None:
    """What an operator needs next, once the node takes work. A token is a secret, and output often ends in a log: it is
    shown once, when the cluster is new."""
    default = settings.run_dir == DEFAULT_RUN_DIR
    host = "" if default else f" --host unix://{settings.api_socket}"
    rows = {"node": f"{record.id} ({settings.hostname}) is ready"}
    if role is Role.MANAGER:
        rows |= {
            "socket": f"unix://{settings.api_socket}   also for docker -H",
            "status page": f"http://{settings.status_address}/ui",
            "join": (first and not is_logged() and join_command(settings)) or f"swarmpy{host} token worker",
            "next": f"swarmpy{host} stack deploy -c FILE NAME",
        }
    else:
        rows |= {"next": "on a manager: swarmpy node ls"}
    rows["data"] = str(settings.data_dir)
    for name, text in rows.items():
        click.echo(f"{name:<12}{text}")


def is_logged() -> bool:
    """Our output goes to systemd's journal, which others may read. Terminals inherit the variable, not the stream."""
    told = os.fstat(STDOUT)
    return os.environ.get("JOURNAL_STREAM") == f"{told.st_dev}:{told.st_ino}"


def join_command(settings: NodeSettings) -> str:
    """For another machine; empty when the cluster does not tell, or this is not its only node."""
    try:
        with Client(f"unix://{settings.api_socket}") as client:
            token = client.get("/swarm")["JoinTokens"]["Worker"]
            if len(client.get("/nodes")) > 1:
                return ""
    except SwarmpyError:
        return ""
    return f"swarmpy up --join {token}@{settings.advertise_address}"


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
    """The operators' own etcd; None when managers are to run one themselves."""
    given = {name: value for name, value in options.items() if value is not None}
    if endpoints is None:
        if given:
            name = next(iter(given)).replace("_", "-")
            raise BadRequest(f"--etcd-{name} is for your own etcd: name it with --etcd-endpoints")
        return None
    names = tuple(endpoint.strip() for endpoint in endpoints.split(",") if endpoint.strip())
    return EtcdSettings.model_validate({"endpoints": names, "password": password, **given})


def shown(log_json: bool) -> Say:
    """How a child's line is shown: behind its name, or as it is when a machine reads along."""

    def say(child: str, line: str) -> None:
        click.echo(line if log_json else f"{child:<8}| {line}", err=True)

    return say
