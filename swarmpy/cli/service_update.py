"""`swarmpy service create`, `update`, `rollback`: docker's flags, made a spec by `service_flags`, sent and waited for.

Owns what the flags cannot know by themselves: ids of networks, secrets and configs, files and the environment.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from swarmpy.cli.again import edited_in_turn, told_who_was_faster
from swarmpy.cli.awaited import Awaited, is_changed, parse_timeout, tell_detached
from swarmpy.cli.bounded import read_text
from swarmpy.cli.docker_command import DockerCommand
from swarmpy.cli.held import held_updates
from swarmpy.cli.options import JSON, connected, format_option, print_became, tell_warnings
from swarmpy.cli.service_flag_values import truth
from swarmpy.cli.service_flags import Flag, Given, edited, first_spec, flags_of
from swarmpy.client import Client, Object
from swarmpy.errors import BadRequest
from swarmpy.stack.changes import Kind

_TRUTHS = {
    "detach": "Do not wait until the tasks run.",
    "quiet": "Do not show how it gets on.",
    "with-registry-auth": "Send along the credentials that docker login left here.",
    "no-resolve-image": "Accepted and without effect: no command resolves images.",
}
_REFERENCES = {Kind.SECRET: "Secret", Kind.CONFIG: "Config"}
_SHORT = {"detach": "-d", "quiet": "-q"}


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """How a change is made, whatever it is."""

    limit: timedelta
    form: str
    detach: bool = False
    quiet: bool = False
    with_auth: bool = False


def _change_options(given: dict[str, Any]) -> ChangeOptions:
    """Takes what is not of the table out of what was given."""
    said = {name: given.pop(name.replace("-", "_"), None) for name in _TRUTHS}
    detach, quiet, with_auth, _ = (text is not None and _truth(name, text) for name, text in said.items())
    return ChangeOptions(parse_timeout(given.pop("timeout")), given.pop("form"), detach, quiet, with_auth)


def _truth(name: str, text: str) -> bool:
    try:
        return truth(text)
    except ValueError as error:
        raise BadRequest(f"--{name}: {error}") from error


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, by the flags' names; a truth as `true` or `false`."""
    said = {name.replace("_", "-"): value for name, value in values.items() if value not in (None, ())}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


def _truths_of(given: Given, *, creating: bool) -> Given:
    """A truth in docker's other spellings, such as 1, as `true` or `false`."""
    truths = {name for name, flag in flags_of(creating=creating) if flag.is_truth}
    return {name: str(_truth(name, str(value))).lower() if name in truths else value for name, value in given.items()}


def _with_environment(given: Given, name: str) -> Given:
    """A variable without a value has the one it has here."""
    texts = [
        f"{text}={os.environ[text]}" if "=" not in text and text in os.environ else text for text in given.get(name, ())
    ]
    return {**given, name: texts} if texts else given


def _with_files(given: Given, files: Sequence[str]) -> Given:
    """Variables of files come before those of the command line, which win."""
    from swarmpy.stack.shortforms import parse_env_file

    texts: list[str] = []
    for file in files:
        try:
            found = parse_env_file(read_text(Path(file)), os.environ)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadRequest(f"--env-file {file}: {reason}") from error
        texts += [f"{name}={value}" for name, value in found.items()]
    return {**given, "env": [*texts, *given.get("env", ())]} if texts else given


def _update(name: str, **values: Any) -> int:
    """Change a service, and wait until its tasks run."""
    options = _change_options(values)
    given = _truths_of(_given(values), creating=False)
    if given.get("rollback") is not None:
        others = [flag for flag in given if flag != "rollback"]
        if others:
            raise BadRequest(f"--rollback and --{others[0]} exclude each other")
        if _truth("rollback", str(given["rollback"])):
            return _rolled_back(name, options)
        given = {}
    given = _with_environment(given, "env-add")
    with connected() as client:
        service, before = edited_in_turn(lambda: _edit(client, name, given, options))
        return _awaited(client, service, "updated", before, options)


def _edit(client: Client, name: str, given: Given, options: ChangeOptions) -> tuple[Object, frozenset[str]]:
    """The service as it was before, and its tasks."""
    service = client.get(f"/services/{name}", insertDefaults="false")
    spec = _with_network_names(client, service["Spec"]) if _names_networks(given) else service["Spec"]
    spec = _with_ids(client, edited(spec, given))
    headers, index = _auth(spec) if options.with_auth else {}, str(service["Version"]["Index"])
    query = {} if headers else {"registryAuthFrom": "spec"}
    before = _tasks_of(client, service["ID"], options)
    tell_warnings(client.post(f"/services/{service['ID']}/update", spec, headers=headers, version=index, **query))
    return service, before


def _rolled_back(name: str, options: ChangeOptions, revision: int | None = None) -> int:
    with connected() as client:
        service = client.get(f"/services/{name}", insertDefaults="false")
        before = _tasks_of(client, service["ID"], options)
        path, index = f"/services/{service['ID']}", str(service["Version"]["Index"])
        # Not tried again: what is before the wish of someone else is not what was meant.
        tell_warnings(
            told_who_was_faster(
                lambda: (
                    client.post(f"{path}/update", service["Spec"], version=index, rollback="previous")
                    if revision is None
                    else client.post(f"{path}/rollback", version=index, to=str(revision))
                )
            )
        )
        return _awaited(client, service, "rolled back", before, options)


def _rollback(name: str, to: int | None, **values: Any) -> int:
    """Go back to the wish before the last one, or to any that is kept, and wait until its tasks run."""
    return _rolled_back(name, _change_options(values), to)


def _create(image: str, arguments: Sequence[str], **values: Any) -> int:
    """Make a service, and wait until its tasks run."""
    options, files = _change_options(values), values.pop("env_file")
    given = _truths_of(_given(values), creating=True)
    given = _with_files(_with_environment(given, "env"), files)
    spec = first_spec(image, arguments, given)
    with connected() as client:
        spec = _with_ids(client, spec)
        headers = _auth(spec) if options.with_auth else {}
        service_id = str(client.post("/services/create", spec, headers=headers)["ID"])
        made = {"ID": service_id, "Spec": {"Name": spec["Name"] or service_id}}
        return _awaited(client, made, "created", frozenset(), options)


def _names_networks(given: Given) -> bool:
    return "network-add" in given or "network-rm" in given


def _with_network_names(client: Client, spec: Object) -> Object:
    """The manager takes names for ids: so what is added and removed by name meets its like."""
    names = {network["Id"]: network["Name"] for network in client.get("/networks")}
    template = spec["TaskTemplate"]
    attached = [item | {"Target": names.get(item["Target"], item["Target"])} for item in template.get("Networks") or ()]
    return spec | {"TaskTemplate": template | {"Networks": attached}}


def _with_ids(client: Client, spec: Object) -> Object:
    from swarmpy.cli.deploy import named, with_references

    container = spec["TaskTemplate"]["ContainerSpec"]
    if not any(
        f"{prefix}ID" not in given for prefix in _REFERENCES.values() for given in container.get(f"{prefix}s") or ()
    ):
        return spec
    ids = {}
    for kind, prefix in _REFERENCES.items():
        wanted = [given[f"{prefix}Name"] for given in container.get(f"{prefix}s") or ()]
        ids[kind] = {name: str(item["ID"]) for name, item in named(client, kind, wanted).items()}
    return with_references(spec, ids)


def _auth(spec: Object) -> dict[str, str]:
    from swarmpy.cli.registry import auth_header, read_config

    return auth_header(spec["TaskTemplate"]["ContainerSpec"]["Image"], read_config())


def _tasks_of(client: Client, service_id: str, options: ChangeOptions) -> frozenset[str]:
    if options.detach:
        return frozenset()
    from swarmpy.cli.waiting import tasks_before

    return tasks_before(client, [service_id])


def _awaited(client: Client, service: Object, became: str, before: frozenset[str], options: ChangeOptions) -> int:
    """`service` is as it was before; of one that was made just now, its id and name."""
    service_id, name = service["ID"], service["Spec"]["Name"]
    # docker prints the id of a new service, and the name of one that it has changed.
    print_became("service", service_id if became == "created" and options.form != JSON else name, became, options.form)
    awaited = Awaited(
        {service_id: name},
        before,
        frozenset({service_id}),
        is_rollback=became == "rolled back",
        held=held_updates([service]),
    )
    if options.detach:
        if not options.quiet:
            tell_detached(awaited)
        return 0
    from swarmpy.cli.progress import QUIET
    from swarmpy.cli.waiting import wait_until_converged

    if became == "updated" and not is_changed(client, service, with_credentials=options.with_auth):
        awaited = replace(awaited, changed=frozenset())
    form = QUIET if options.quiet else options.form
    return wait_until_converged(client, awaited, limit=options.limit, form=form)


def _option(name: str, flag: Flag, *, creating: bool) -> click.Option:
    short = [f"-{flag.short}"] if flag.short and (creating or flag.update == flag.create) else []
    return click.Option([f"--{name}", *short], multiple=flag.many, metavar=flag.metavar, help=flag.help)


def _common_options() -> list[click.Parameter]:
    truths = [
        click.Option([f"--{name}", *([_SHORT[name]] if name in _SHORT else [])], metavar="[=BOOL]", help=help)
        for name, help in _TRUTHS.items()
    ]
    limit = click.Option(["--timeout"], default="10m", show_default=True, metavar="TIME", help="How long to wait.")
    form = format_option(lambda: None).__click_params__[0]  # type: ignore[attr-defined]
    return [*truths, limit, form]


def _options(*, creating: bool) -> list[click.Parameter]:
    options = [_option(name, flag, creating=creating) for name, flag in flags_of(creating=creating)]
    return [*_common_options(), *options]


def _truth_names(*, creating: bool) -> frozenset[str]:
    return frozenset({*_TRUTHS, "rollback", *(name for name, flag in flags_of(creating=creating) if flag.is_truth)})


_NAME = click.Argument(["name"], metavar="SERVICE")

update = DockerCommand(
    "update",
    callback=_update,
    help=_update.__doc__,
    params=[
        *_options(creating=False),
        click.Option(["--rollback"], metavar="[=BOOL]", help="Go back to what it was before its last update."),
        _NAME,
    ],
    truths=_truth_names(creating=False),
)
rollback = DockerCommand(
    "rollback",
    callback=_rollback,
    help=_rollback.__doc__,
    params=[
        *_common_options(),
        click.Option(
            ["--to"], type=click.IntRange(min=1), metavar="N", help="A number that `service revisions` shows."
        ),
        _NAME,
    ],
    truths=frozenset(_TRUTHS),
)
create = DockerCommand(
    "create",
    callback=_create,
    help=_create.__doc__,
    context_settings={"allow_interspersed_args": False},
    params=[
        *_options(creating=True),
        click.Option(["--env-file"], multiple=True, metavar="FILE", help="A file of environment variables."),
        click.Argument(["image"], metavar="IMAGE"),
        click.Argument(["arguments"], nargs=-1, metavar="[COMMAND] [ARG...]", type=click.UNPROCESSED),
    ],
    truths=_truth_names(creating=True),
)
