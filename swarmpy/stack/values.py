"""Values of a service that no engine would take, or that no node could fill in. Pure; the sentences go to `Faults`."""

from functools import partial

from swarmpy.container_values import check_capability, check_signal, check_sysctl, check_working_dir
from swarmpy.stack.canonical import Config
from swarmpy.stack.faults import Faults
from swarmpy.stack.tree import Path
from swarmpy.templating import check_template
from swarmpy.ulimits import check_ulimit


def check_container(service: Config, path: Path, faults: Faults) -> None:
    for key, check in (("stop_signal", check_signal), ("working_dir", check_working_dir)):
        if service.get(key):
            faults.check((*path, key), service[key], check)
    for key in ("cap_add", "cap_drop"):
        for index, name in enumerate(service.get(key) or ()):
            faults.check((*path, key, index), name, check_capability)
    for name, value in (service.get("sysctls") or {}).items():
        faults.check((*path, "sysctls", name), name, check_sysctl)
        if not value:
            faults.add((*path, "sysctls", name), "has no value; write one like net.core.somaxconn=1024")
    for name, limit in (service.get("ulimits") or {}).items():
        both = limit if isinstance(limit, dict) else {"soft": limit, "hard": limit}
        faults.check((*path, "ulimits", name), name, partial(check_ulimit, soft=both["soft"], hard=both["hard"]))
    _check_templates(service, path, faults)


def _check_templates(service: Config, path: Path, faults: Faults) -> None:
    texts: list[tuple[Path, str]] = [(("hostname",), service.get("hostname") or "")]
    for name, value in (service.get("environment") or {}).items():
        texts.append((("environment", name), value or ""))
    for index, mount in enumerate(service.get("volumes") or ()):
        texts += [(("volumes", index, key), mount.get(key) or "") for key in ("source", "target")]
    for where, text in texts:
        faults.check((*path, *where), text, _check_fields)


def _check_fields(text: str) -> None:
    check_template(text, in_file=False)
