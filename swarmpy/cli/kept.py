"""What `swarmpy secret` and `swarmpy config` share: they are made, listed, shown and removed alike."""

import base64
import os
from collections.abc import Sequence
from typing import Any

import click

from swarmpy.cli.bounded import LARGEST_DATA, named, read_bytes
from swarmpy.cli.options import (
    JSON,
    connected,
    parse_filters,
    parse_labels,
    print_became,
    print_inspected,
    print_rows,
)
from swarmpy.cli.render import parse_time
from swarmpy.cli.views import KEPT_COLUMNS, kept_row
from swarmpy.errors import BadRequest
from swarmpy.templating import DRIVER

label_option = click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
template_option = click.option(
    "--template-driver",
    type=click.Choice([DRIVER]),
    help="The data are a template, filled in for each task.",
)
from_env_option = click.option(
    "--from-env", metavar="VARIABLE", help="The data are the value of this variable of the environment."
)
pretty_option = click.option("--pretty", is_flag=True, help="For people.")


def create(
    kind: str,
    name: str,
    source: str | None,
    *,
    from_env: str | None,
    labels: Sequence[str],
    template_driver: str | None,
    form: str,
) -> None:
    """The id of what was made, as docker prints it."""
    spec: dict[str, Any] = {"Name": name, "Labels": parse_labels(labels, "--label")}
    if template_driver is not None:
        spec["Templating"] = {"Name": template_driver}
    spec["Data"] = base64.b64encode(read_data(source, from_env, LARGEST_DATA[f"{kind}s"])).decode()
    with connected() as client:
        made: str = client.post(f"/{kind}s/create", spec)["ID"]
    if form == JSON:
        print_became(kind, name, "created", form)
    else:
        click.echo(made)


def read_data(source: str | None, from_env: str | None, largest: int) -> bytes:
    """Of the file, of standard input (`-`), or of a variable: never of an argument, which others on the machine see."""
    if (source is None) == (from_env is None):
        raise BadRequest("give either a FILE (- is standard input) or --from-env VARIABLE")
    if from_env is not None:
        value = os.environb.get(from_env.encode())
        if value is None:
            raise BadRequest(f"--from-env {from_env}: the environment has no such variable")
        return value
    try:
        return read_bytes(source or "", largest)
    except OSError as error:
        raise BadRequest(f"{source} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadRequest(f"{named(source or '')}: {error}") from None


def print_list(kind: str, filters: Sequence[str], *, quiet: bool, whole: bool, form: str) -> None:
    from swarmpy.clock import SystemClock

    with connected() as client:
        found = client.get(f"/{kind}s", filters=parse_filters(filters))
    found.sort(key=lambda item: item["Spec"]["Name"])
    if quiet:
        for item in found:
            click.echo(item["ID"])
    else:
        now = SystemClock().now()
        print_rows(KEPT_COLUMNS, [kept_row(item, now, whole=whole or form == JSON) for item in found], form)


def print_whole(kind: str, names: Sequence[str], *, pretty: bool, form: str) -> None:
    if pretty and form == JSON:
        raise BadRequest("--pretty and --format json exclude each other")
    with connected() as client:
        found = [client.get(f"/{kind}s/{name}") for name in names]
    if pretty:
        click.echo(b"\n\n".join(_pretty(item) for item in found))
    else:
        print_inspected(found, form)


def _pretty(item: dict[str, Any]) -> bytes:
    spec = item["Spec"]
    lines = [f"ID:\t\t\t{item['ID']}", f"Name:\t\t\t{spec['Name']}"]
    if spec.get("Labels"):
        lines.append("Labels:")
        lines += [f" - {key}={value}" for key, value in sorted(spec["Labels"].items())]
    for title, key in (("Created at:", "CreatedAt"), ("Updated at:", "UpdatedAt")):
        lines.append(f"{title}            \t{parse_time(item[key]):%Y-%m-%d %H:%M:%S %Z}")
    text = "\n".join(lines).encode()
    return text + b"\nData:\n" + base64.b64decode(spec["Data"]) if "Data" in spec else text


def remove(kind: str, names: Sequence[str], form: str) -> int:
    from swarmpy.cli.removal import remove_each

    with connected() as client:
        return remove_each(kind, names, lambda name: client.delete(f"/{kind}s/{name}"), form)
