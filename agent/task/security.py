"""Privileges of a container in the engine's form, its `SecurityOpt`. Pure."""

import base64
import binascii

from swarmpy.errors import BadRequest, Unsupported
from swarmpy.models.container import AppArmorOptions, Privileges, SeccompOptions, SELinuxContext


def security_options(privileges: Privileges | None) -> list[str]:
    """Raises `BadRequest` for words that are unknown, `Unsupported` for credential specs."""
    if privileges is None:
        return []
    if privileges.credential_spec is not None:
        raise Unsupported("Privileges.CredentialSpec belongs to Windows, which this agent does not run on")
    options = ["no-new-privileges=true"] if privileges.no_new_privileges else []
    if privileges.selinux_context is not None:
        options += _selinux(privileges.selinux_context)
    if privileges.seccomp is not None:
        options += _seccomp(privileges.seccomp)
    if privileges.apparmor is not None:
        options += _apparmor(privileges.apparmor)
    return options


def _selinux(context: SELinuxContext) -> list[str]:
    if context.disable:
        return ["label=disable"]
    parts = {"user": context.user, "role": context.role, "type": context.type, "level": context.level}
    return [f"label={name}:{value}" for name, value in parts.items() if value]


def _seccomp(options: SeccompOptions) -> list[str]:
    match options.mode or "default":
        case "default":
            return []
        case "unconfined":
            return ["seccomp=unconfined"]
        case "custom":
            try:
                profile = base64.b64decode(options.profile or "", validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise BadRequest("Privileges.Seccomp.Profile is not a profile in base 64") from None
            return [f"seccomp={profile}"]
        case unknown:
            raise BadRequest(f"Privileges.Seccomp.Mode {unknown!r}: the modes are default, unconfined, custom")


def _apparmor(options: AppArmorOptions) -> list[str]:
    match options.mode or "default":
        case "default":
            return []
        case "disabled":
            return ["apparmor=unconfined"]
        case unknown:
            raise BadRequest(f"Privileges.AppArmor.Mode {unknown!r}: the modes are default, disabled")
