"""`swarmpy`: the command as a whole. Finds the module of a noun when the noun is used, turns errors into exit codes."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from swarmpy.errors import SwarmpyError

BUG = 70
INTERRUPTED = 130
DEFAULT_HOST = "unix:///run/swarmpy/swarmpy.sock"

# Noun -> (module:attribute, help). The help stands here so that `swarmpy --help` imports none of the modules.
COMMANDS = {
    "up": ("swarmpy.cli.up:up", "Run a node on this machine, in the foreground."),
    "install": ("swarmpy.cli.install:install", "Run a node on this machine as a service of systemd."),
    "leave": ("swarmpy.cli.up:leave", "Take this node out of its cluster."),
    "token": ("swarmpy.cli.token:token", "Show or change what other machines join with."),
    "stack": ("swarmpy.cli.stack:stack", "Deploy and look at stacks of services."),
    "service": ("swarmpy.cli.service:service", "Make, look at, update, scale and remove services."),
    "node": ("swarmpy.cli.node:node", "Look at, label, drain, promote and remove nodes."),
    "cluster": ("swarmpy.cli.cluster:cluster", "Look at the cluster and change what it allows, keeps and renews."),
    "task": ("swarmpy.cli.task:task", "Look at single tasks."),
    "network": ("swarmpy.cli.network:network", "Make, list, look at, remove and prune networks."),
    "secret": ("swarmpy.cli.kept_group:secret", "Make, list, look at and remove secrets."),
    "config": ("swarmpy.cli.kept_group:config", "Make, list, look at and remove configs."),
    "lab": ("swarmpy.cli.lab:lab", "Make a real cluster of many nodes on this one machine, for tests and trials."),
    "info": ("swarmpy.cli.system:info", "Show the cluster in short."),
    "version": ("swarmpy.cli.system:version", "Show the versions of the command and of the manager."),
}


class LazyGroup(click.Group):
    """Imports a noun's module when the noun is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "-H",
    "--host",
    envvar="SWARMPY_HOST",
    default=DEFAULT_HOST,
    show_default=True,
    metavar="URL",
    help="Socket of the manager; also SWARMPY_HOST.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.pass_context
def swarmpy(ctx: click.Context, host: str, debug: bool) -> None:
    """A lightweight orchestrator for containers on many machines."""
    ctx.obj = host


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code tells what became of it (docs/exit-codes.md)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = swarmpy.main(list(arguments), prog_name="swarmpy", standalone_mode=False)
        sys.stdout.flush()
    except SwarmpyError as error:
        return _told(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _told("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return 0
    except Exception as error:
        if "--debug" in arguments:
            raise
        hint = "this is a fault of swarmpy; run it again with `swarmpy --debug ...` for the details"
        return _told(f"unexpected {type(error).__name__}: {error}; {hint}", BUG)
    return code if isinstance(code, int) else 0


def _told(message: str, code: int) -> int:
    click.echo(f"swarmpy: {message}", err=True)
    return code


def _drop_output() -> None:
    """The reader went away: nothing more to say, and the interpreter's own flush at exit must not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
