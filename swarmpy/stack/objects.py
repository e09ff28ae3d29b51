"""Secrets and configs: those that a deployment makes, and how services use them. Pure.

What the files hold was read before; it comes in as bytes and goes out in base64, and into no sentence.
"""

import base64
import posixpath
from collections.abc import Mapping

from swarmpy.container_values import CONFIG_FOLDER, SECRET_FOLDER
from swarmpy.errors import BadRequest
from swarmpy.stack.canonical import Config
from swarmpy.stack.docker_json import Object, stated
from swarmpy.stack.faults import Faults
from swarmpy.stack.names import scoped, with_stack_label
from swarmpy.stack.tree import Path
from swarmpy.templating import check_driver, check_template

# By section and key of the file.
Contents = Mapping[tuple[str, str], bytes]

_REFERENCE = {"secrets": "SecretName", "configs": "ConfigName"}
_FOLDERS = {"secrets": SECRET_FOLDER, "configs": CONFIG_FOLDER}
_READABLE = 0o444


def made_objects(section: str, stack: str, config: Config, contents: Contents, faults: Faults) -> tuple[Object, ...]:
    """All of the section that are not external, used or not, as docker makes them."""
    made = []
    for key, given in (config.get(section) or {}).items():
        if given.get("external"):
            continue
        if not given.get("driver") and (section, key) not in contents:
            faults.add((section, key), "does not say what it holds: give it a file")
            continue
        _check_template(section, key, given, contents, faults)
        made.append(_made(section, stack, key, given, contents))
    return tuple(made)


def _check_template(section: str, key: str, given: Config, contents: Contents, faults: Faults) -> None:
    driver = given.get("template_driver")
    if not driver or (section, key) not in contents:
        return
    try:
        check_driver(driver)
    except BadRequest as error:
        faults.add((section, key, "template_driver"), str(error))
        return
    try:
        check_template(contents[section, key].decode())
    except UnicodeDecodeError:
        faults.add((section, key), "a template must be UTF-8 text, and what it holds is none")
    except BadRequest as error:
        faults.add((section, key), str(error))


def _made(section: str, stack: str, key: str, given: Config, contents: Contents) -> Object:
    data = contents.get((section, key))
    driver = {"Name": given["driver"], "Options": given.get("driver_opts")} if given.get("driver") else None
    return stated(
        {
            "Name": object_name(stack, key, given),
            "Labels": with_stack_label(stack, given.get("labels")),
            "Data": None if data is None else base64.b64encode(data).decode(),
            "Driver": stated(driver) if driver else None,
            "Templating": {"Name": given["template_driver"]} if given.get("template_driver") else None,
        }
    )


def external_objects(section: str, stack: str, config: Config) -> tuple[str, ...]:
    """The names of those that services use and that must be there already."""
    known = config.get(section) or {}
    uses = (use for service in (config.get("services") or {}).values() for use in service.get(section) or ())
    used = {use.get("source") for use in uses}
    return tuple(
        sorted(
            {object_name(stack, key, given) for key, given in known.items() if key in used and given.get("external")}
        )
    )


def object_name(stack: str, key: str, given: Config) -> str:
    return str(given.get("name") or scoped(stack, key))


def references_of(
    section: str, stack: str, service: Config, config: Config, path: Path, faults: Faults
) -> list[Object] | None:
    """By name: the ids are the cluster's, and whoever sends the service fills them in."""
    known = config.get(section) or {}
    found: list[Object] = []
    for index, use in enumerate(service.get(section) or ()):
        source = use.get("source")
        if source not in known:
            faults.add((*path, section, index), f"{source} is not in the section `{section}`")
            continue
        target = use.get("target") or source
        mode = use.get("mode")
        file: Object = {
            "Name": target,
            "UID": use.get("uid") or "0",
            "GID": use.get("gid") or "0",
            "Mode": _READABLE if mode is None else int(mode),
        }
        found.append({"File": file, _REFERENCE[section]: object_name(stack, source, known[source])})
    targets = [posixpath.join(_FOLDERS[section], reference["File"]["Name"]) for reference in found]
    for target in dict.fromkeys(target for target in targets if targets.count(target) > 1):
        faults.add((*path, section), f"two of them are to stand at {target}")
    # As docker sorts them, so that neither another order in the file nor another client changes anything.
    return sorted(found, key=lambda use: (str(use[_REFERENCE[section]]), str(use["File"]["Name"]))) or None
