"""`swarmpy cluster`: the cluster as a whole, above all what of their machines services may ask for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from swarmpy.cli.node import relabelled
from swarmpy.cli.options import JSON, connected, format_option, print_became
from swarmpy.cli.render import json_line
from swarmpy.client import Client
from swarmpy.errors import BadRequest, Conflict
from swarmpy.labels import ALLOW, NODE_GRACE
from swarmpy.stack.units import parse_duration, show_duration

# The cluster's spec as it is -> as it shall be.
Wish = Callable[[Mapping[str, Any]], dict[str, Any]]

NONE = "none"
# What Docker keeps and renews where nothing is said.
_HISTORY, _EXPIRY, _GRACE = 5, 90 * 24 * 3600 * 10**9, "5s"


@click.group()
def cluster() -> None:
    """Look at the cluster and change what it allows, keeps and renews."""


@cluster.command()
@format_option
def inspect(form: str) -> None:
    """Show the cluster. What machines join with is left out: `swarmpy token` shows it."""
    with connected() as client:
        found = client.get("/swarm")
    found.pop("JoinTokens", None)
    if form == JSON:
        click.echo(json_line(found))
        return
    for name, text in shown(found).items():
        click.echo(f"{name + ':':<20}{text}")


@cluster.command()
@click.option("--allow", metavar="WORDS", help="Keys of stack files, with commas between, that are let in; none: none.")
@click.option("--task-history-limit", type=click.IntRange(min=0), metavar="N", help="Ended tasks kept for each slot.")
@click.option("--cert-expiry", metavar="DURATION", help="How long certificates of nodes live, such as 2160h.")
@click.option("--node-grace", metavar="DURATION", help="How long a node may be silent before it counts as down; 5s.")
@click.option("--label-add", multiple=True, metavar="KEY=VALUE", help="Set a label; may be repeated.")
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label; may be repeated.")
@format_option
def update(
    allow: str | None,
    task_history_limit: int | None,
    cert_expiry: str | None,
    node_grace: str | None,
    label_add: Sequence[str],
    label_rm: Sequence[str],
    form: str,
) -> None:
    """Change the cluster.

    --allow says the whole policy: which options that touch the machine a container runs on services may ask for, such
    as privileged,devices,gpus,security_opt,pid. What runs already runs on when its word is taken away.
    """
    if (allow, task_history_limit, cert_expiry, node_grace) == (None,) * 4 and not label_add and not label_rm:
        raise BadRequest(
            "nothing to change: give --allow, --task-history-limit, --cert-expiry, --node-grace or "
            "--label-add/--label-rm"
        )
    expiry = None if cert_expiry is None else _duration("--cert-expiry", cert_expiry)
    grace = None if node_grace is None else show_duration(_duration("--node-grace", node_grace))
    words = None if allow is None else policy(allow)

    def wish(spec: Mapping[str, Any]) -> dict[str, Any]:
        labels = relabelled(spec.get("Labels") or {}, label_add, label_rm, owner="cluster")
        labels = labels if grace is None else {**labels, NODE_GRACE: grace}
        after: dict[str, Any] = {**spec, "Labels": labels if words is None else _with_policy(labels, words)}
        if task_history_limit is not None:
            kept = {**(spec.get("Orchestration") or {}), "TaskHistoryRetentionLimit": task_history_limit}
            after["Orchestration"] = kept
        if expiry is not None:
            after["CAConfig"] = {**(spec.get("CAConfig") or {}), "NodeCertExpiry": expiry}
        return after

    with connected() as client:
        name, became, warnings = changed(client, wish)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    print_became("cluster", name, became, form)


def policy(text: str) -> tuple[str, ...]:
    """The words of `--allow`, sorted; whether they are known, the manager says."""
    words = sorted({word.strip() for word in text.split(",") if word.strip()})
    if NONE in words and len(words) > 1:
        raise BadRequest(f"--allow {text}: {NONE} stands alone")
    if not words:
        raise BadRequest(f"--allow has no words; write --allow {NONE} to allow nothing")
    return () if words == [NONE] else tuple(words)


def shown(found: Mapping[str, Any]) -> dict[str, str]:
    """The cluster for people, line by line."""
    spec = found["Spec"]
    labels = dict(spec.get("Labels") or {})
    allowed = ", ".join(word.strip() for word in labels.pop(ALLOW, "").split(",") if word.strip())
    grace = labels.pop(NODE_GRACE, _GRACE)
    history = (spec.get("Orchestration") or {}).get("TaskHistoryRetentionLimit")
    expiry = (spec.get("CAConfig") or {}).get("NodeCertExpiry")
    return {
        "ID": found["ID"],
        "Created": found.get("CreatedAt", ""),
        "Allowed": allowed or NONE,
        "Task history limit": str(_HISTORY if history is None else history),
        "Node grace": grace,
        "Certificate expiry": show_duration(expiry or _EXPIRY),
        "Address pool": ", ".join(found.get("DefaultAddrPool") or ()),
        "Labels": ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE,
    }


def _with_policy(labels: Mapping[str, str], words: Sequence[str]) -> dict[str, str]:
    others = {key: value for key, value in labels.items() if key != ALLOW}
    return {**others, ALLOW: ",".join(words)} if words else others


def changed(client: Client, wish: Wish) -> tuple[str, str, Sequence[str]]:
    """Name, what became of it, and warnings. Someone who wrote between the look and the wish is let go first, once."""
    try:
        return _change(client, wish)
    except Conflict:
        return _change(client, wish)


def _change(client: Client, wish: Wish) -> tuple[str, str, Sequence[str]]:
    found = client.get("/swarm")
    after = wish(found["Spec"])
    if after == found["Spec"]:
        return found["ID"], "unchanged", ()
    answer = client.post("/swarm/update", after, version=str(found["Version"]["Index"]))
    return found["ID"], "updated", (answer or {}).get("Warnings") or ()


def _duration(option: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadRequest(f"{option}: {error}") from None
