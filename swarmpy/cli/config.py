"""`swarmpy config`: make, list, look at and remove configs."""

from collections.abc import Sequence

import click

from swarmpy.cli import kept
from swarmpy.cli.options import filter_option, format_option, no_trunc_option, quiet_option


@click.group("config")
def config() -> None:
    """Make, list, look at and remove configs."""


@config.command()
@click.argument("name", metavar="NAME")
@click.argument("source", required=False, metavar="FILE|-")
@kept.from_env_option
@kept.label_option
@kept.template_option
@format_option
def create(
    name: str, source: str | None, from_env: str | None, labels: Sequence[str], template_driver: str | None, form: str
) -> None:
    """Make a config of a file, of standard input (-), or of a variable of the environment.

    What it holds is shown by `inspect`; use a secret for what is none of everybody's business.
    """
    kept.create("config", name, source, from_env=from_env, labels=labels, template_driver=template_driver, form=form)


@config.command("ls")
@filter_option
@quiet_option
@no_trunc_option
@format_option
def list_all(filters: Sequence[str], quiet: bool, no_trunc: bool, form: str) -> None:
    """List configs."""
    kept.print_list("config", filters, quiet=quiet, whole=no_trunc, form=form)


@config.command()
@click.argument("names", nargs=-1, required=True, metavar="CONFIG...")
@kept.pretty_option
@format_option
def inspect(names: Sequence[str], pretty: bool, form: str) -> None:
    """Show configs whole, as the API has them; with --pretty also what is in them."""
    kept.print_whole("config", names, pretty=pretty, form=form)


@config.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="CONFIG...")
@format_option
def remove(names: Sequence[str], form: str) -> int:
    """Remove configs that no service uses."""
    return kept.remove("config", names, form)
