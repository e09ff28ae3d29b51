"""`swarmpy secret` and `swarmpy config`: one group of commands, made twice."""

from collections.abc import Sequence

import click

from swarmpy.cli import kept
from swarmpy.cli.options import filter_option, format_option, no_trunc_option, quiet_option


def _group(kind: str, *, on_create: str, on_inspect: str) -> click.Group:
    """What is said of `create` and `inspect` beyond what they do is the kind's own."""
    group = click.Group(kind, help=f"Make, list, look at and remove {kind}s.")
    for command in (_create(kind, on_create), _list(kind), _inspect(kind, on_inspect), _remove(kind)):
        group.add_command(command)
    return group


def _create(kind: str, note: str) -> click.Command:
    what = f"Make a {kind} of a file, of standard input (-), or of a variable of the environment."

    @click.command("create", help=f"{what}\n\n{note}")
    @click.argument("name", metavar="NAME")
    @click.argument("source", required=False, metavar="FILE|-")
    @kept.from_env_option
    @kept.label_option
    @kept.template_option
    @format_option
    def create(
        name: str,
        source: str | None,
        from_env: str | None,
        labels: Sequence[str],
        template_driver: str | None,
        form: str,
    ) -> None:
        kept.create(kind, name, source, from_env=from_env, labels=labels, template_driver=template_driver, form=form)

    return create


def _list(kind: str) -> click.Command:
    @click.command("ls", help=f"List {kind}s.")
    @filter_option
    @quiet_option
    @no_trunc_option
    @format_option
    def list_all(filters: Sequence[str], quiet: bool, no_trunc: bool, form: str) -> None:
        kept.print_list(kind, filters, quiet=quiet, whole=no_trunc, form=form)

    return list_all


def _inspect(kind: str, note: str) -> click.Command:
    @click.command("inspect", help=f"Show {kind}s whole, as the API has them{note}.")
    @click.argument("names", nargs=-1, required=True, metavar=f"{kind.upper()}...")
    @kept.pretty_option
    @format_option
    def inspect(names: Sequence[str], pretty: bool, form: str) -> None:
        kept.print_whole(kind, names, pretty=pretty, form=form)

    return inspect


def _remove(kind: str) -> click.Command:
    @click.command("rm", help=f"Remove {kind}s that no service uses.")
    @click.argument("names", nargs=-1, required=True, metavar=f"{kind.upper()}...")
    @format_option
    def remove(names: Sequence[str], form: str) -> int:
        return kept.remove(kind, names, form)

    return remove


secret = _group(
    "secret",
    on_create="What it holds is shown to nobody again; only services that refer to it read it.",
    on_inspect="",
)
config = _group(
    "config",
    on_create="What it holds is shown by `inspect`; use a secret for what is none of everybody's business.",
    on_inspect="; with --pretty also what is in them",
)
