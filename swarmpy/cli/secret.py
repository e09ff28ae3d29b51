"""`swarmpy secret`: make, list, look at and remove secrets."""

from collections.abc import Sequence

import click

from swarmpy.cli import kept
from swarmpy.cli.options import filter_option, format_option, no_trunc_option, quiet_option


@click.group("secret")
def secret() -> None:
    """Make, list, look at and remove secrets."""


@secret.command()
@click.argument("name", metavar="NAME")
@click.argument("source", required=False, metavar="FILE|-")
@kept.from_env_option
@kept.label_option
@kept.template_option
@format_option
def create(
    name: str, source: str | None, from_env: str | None, labels: Sequence[str], template_driver: str | None, form: str
) -> None:
    """Make a secret of a file, of standard input (-), or of a variable of the environment.

    What it holds is shown to nobody again; only services that refer to it read it.
    """
    kept.create("secret", name, source, from_env=from_env, labels=labels, template_driver=template_driver, form=form)


@secret.command("ls")
@filter_option
@quiet_option
@no_trunc_option
@format_option
def list_all(filters: Sequence[str], quiet: bool, no_trunc: bool, form: str) -> None:
    """List secrets."""
    kept.print_list("secret", filters, quiet=quiet, whole=no_trunc, form=form)


@secret.command()
@click.argument("names", nargs=-1, required=True, metavar="SECRET...")
@kept.pretty_option
@format_option
def inspect(names: Sequence[str], pretty: bool, form: str) -> None:
    """Show secrets whole, as the API has them."""
    kept.print_whole("secret", names, pretty=pretty, form=form)


@secret.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="SECRET...")
@format_option
def remove(names: Sequence[str], form: str) -> int:
    """Remove secrets that no service uses."""
    return kept.remove("secret", names, form)
