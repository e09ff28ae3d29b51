"""Is a container's spec something an engine could start? Says field and cause when not. Pure.

`RULES` is the table: a field, and the check of its text or of each of its texts. What is more than a text has a
function of its own.
"""

from collections.abc import Callable
from ipaddress import ip_address

from manager.admission.faults import at
from manager.admission.mounts import check_mounts
from manager.admission.names import check_hostname, check_image, check_search_domain, check_user
from swarmpy.container_values import (
    check_capability,
    check_extra_host,
    check_signal,
    check_sysctl,
    check_working_dir,
)
from swarmpy.errors import BadRequest
from swarmpy.models.container import ContainerSpec, DNSConfig, HealthConfig, Privileges, Ulimit
from swarmpy.shown import shown
from swarmpy.templating import check_template
from swarmpy.ulimits import check_ulimit

_MILLISECOND = 1_000_000
_HEALTH_WORDS = ("NONE", "CMD", "CMD-SHELL")
# Of a variable, in sentences.
_LONGEST_NAME = 64

Check = Callable[[str], None]


def _check_name_server(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise BadRequest(f"{shown(text)} is no IP address") from None


def _check_dns_option(text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise BadRequest(f"{shown(text)} is no option of name look-ups; write one like ndots:2")


def _check_hostname(text: str) -> None:
    check_template(text, in_file=False)
    check_hostname(text)


RULES: tuple[tuple[str, Check], ...] = (
    ("StopSignal", check_signal),
    ("Dir", check_working_dir),
    ("User", check_user),
    ("Groups", check_user),
    ("Hostname", _check_hostname),
    ("Hosts", check_extra_host),
    ("Sysctls", check_sysctl),
    ("CapabilityAdd", check_capability),
    ("CapabilityDrop", check_capability),
    ("DNSConfig.Nameservers", _check_name_server),
    ("DNSConfig.Search", check_search_domain),
    ("DNSConfig.Options", _check_dns_option),
)


def check_container(spec: ContainerSpec) -> None:
    """Raise `BadRequest` for the first thing that no engine would take."""
    check_image(spec.image)
    _check_env(spec.env or ())
    texts = _texts(spec, spec.dns_config or DNSConfig())
    for field, check in RULES:
        for text in texts[field]:
            with at(f"ContainerSpec.{field}"):
                check(text)
    if spec.stop_grace_period is not None and spec.stop_grace_period < 0:
        raise BadRequest("ContainerSpec.StopGracePeriod must not be negative")
    check_mounts(spec.mounts or ())
    _check_ulimits(spec.ulimits or ())
    if spec.privileges is not None:
        _check_privileges(spec.privileges)
    if spec.health_check is not None:
        _check_health(spec.health_check)


def _texts(spec: ContainerSpec, dns: DNSConfig) -> dict[str, tuple[str, ...]]:
    """Of each field in `RULES`, the texts to check. An empty text is as the image, or the engine, has it."""
    return {
        "StopSignal": _said(spec.stop_signal),
        "Dir": _said(spec.dir),
        "User": _said(spec.user),
        "Groups": spec.groups or (),
        "Hostname": _said(spec.hostname),
        "Hosts": spec.hosts or (),
        "Sysctls": tuple(spec.sysctls or ()),
        "CapabilityAdd": spec.capability_add or (),
        "CapabilityDrop": spec.capability_drop or (),
        "DNSConfig.Nameservers": dns.nameservers or (),
        "DNSConfig.Search": dns.search or (),
        "DNSConfig.Options": dns.options or (),
    }


def _said(text: str | None) -> tuple[str, ...]:
    return (text,) if text else ()


def _check_env(entries: tuple[str, ...]) -> None:
    """Quotes no entry: its value may be a secret."""
    for index, entry in enumerate(entries):
        name, equals, _ = entry.partition("=")
        if not name:
            raise BadRequest(f"ContainerSpec.Env[{index}] has no name before its =; write NAME=value")
        has_name = equals and len(name) <= _LONGEST_NAME
        with at(f"ContainerSpec.Env {name}" if has_name else f"ContainerSpec.Env[{index}]"):
            check_template(entry, in_file=False)


def _check_ulimits(ulimits: tuple[Ulimit, ...]) -> None:
    for limit in ulimits:
        with at("ContainerSpec.Ulimits"):
            check_ulimit(limit.name or "", limit.soft or 0, limit.hard or 0)


def _check_privileges(privileges: Privileges) -> None:
    for name, options, modes in (
        ("Seccomp", privileges.seccomp, ("default", "unconfined", "custom")),
        ("AppArmor", privileges.apparmor, ("default", "disabled")),
    ):
        if options is not None and options.mode and options.mode not in modes:
            raise BadRequest(
                f"ContainerSpec.Privileges.{name}.Mode {shown(options.mode)} is none of {', '.join(modes)}"
            )


def _check_health(health: HealthConfig) -> None:
    if health.test and health.test[0] not in _HEALTH_WORDS:
        words = ", ".join(_HEALTH_WORDS)
        raise BadRequest(
            f"ContainerSpec.Healthcheck.Test starts with {shown(health.test[0])}; it must be one of {words}"
        )
    if health.test and health.test[0] != "NONE" and len(health.test) == 1:
        raise BadRequest(f"ContainerSpec.Healthcheck.Test: no command after {health.test[0]}")
    for field in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(health, field)
        # The engine refuses shorter times, except 0, which means: inherit.
        if value is not None and value != 0 and value < _MILLISECOND:
            name = field.title().replace("_", "")
            raise BadRequest(f"ContainerSpec.Healthcheck.{name} must be 0 or at least one millisecond")
    if health.retries is not None and health.retries < 0:
        raise BadRequest("ContainerSpec.Healthcheck.Retries must not be negative")
