"""What many commands share: their options, the connection to the manager, and how a list is printed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from swarmpy.cli.render import Row, json_line, table
from swarmpy.client import Client
from swarmpy.errors import BadRequest

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

TABLE, JSON = "table", "json"

format_option = click.option(
    "--format",
    "form",
    type=click.Choice([TABLE, JSON]),
    default=TABLE,
    show_default=True,
    help="A table, or one JSON object a line.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only ids.")
no_trunc_option = click.option("--no-trunc", is_flag=True, help="Whole ids and texts.")
filter_option = click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only what matches; may be repeated."
)


def connected() -> Client:
    """A client for the host that the command line or the environment names. Connects on the first request."""
    host: str = click.get_current_context().find_root().obj
    return Client(host)


def parse_filters(given: Iterable[str]) -> dict[str, list[str]]:
    """Values of one key are alternatives; keys must all match."""
    filters: dict[str, list[str]] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise BadRequest(f"filter {item!r} is not of the form KEY=VALUE")
        filters.setdefault(key.strip(), []).append(value)
    return filters


def parse_labels(given: Iterable[str], option: str) -> dict[str, str]:
    """`KEY=VALUE` of this option; a key alone has an empty value."""
    labels = {}
    for item in given:
        key, _, value = item.partition("=")
        if not key:
            raise BadRequest(f"{option} {item!r} has no key; write KEY=VALUE")
        labels[key] = value
    return labels


def print_rows(columns: Mapping[str, str], rows: Sequence[Row], form: str) -> None:
    if form == JSON:
        for row in rows:
            click.echo(json_line({key: row[key] for key in columns}))
    else:
        click.echo(table(columns, rows))


def print_became(kind: str, name: str, became: str, form: str) -> None:
    """What a command made of one thing; in a table's place its name alone, as docker has it."""
    click.echo(json_line({"Kind": kind, "Name": name, "Became": became}) if form == JSON else name)


def tell_warnings(answer: Any) -> None:
    """What the manager has to say about a change that it has carried out."""
    said = answer or {}
    for warning in said.get("Warnings") or filter(None, [said.get("Warning")]):
        click.echo(f"warning: {warning}", err=True)


def print_inspected(objects: Sequence[Any], form: str) -> None:
    """Whole documents of the API: a list as docker prints it, or one object a line."""
    if form == JSON:
        for item in objects:
            click.echo(json_line(item))
    else:
        from swarmpy.cli.render import json_block

        click.echo(json_block(objects))
