"""Credentials for the registries that images come from, as `docker login` left them on this machine."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarmpy.errors import BadRequest

HUB = "https://index.docker.io/v1/"
_HELPER_TIMEOUT = 30.0
# What helpers give as user name when the secret is an identity token.
_TOKEN_USER = "<token>"


def registry_of(image: str) -> str:
    """The registry part of an image reference, as docker's configuration names it."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return HUB if first in ("docker.io", "index.docker.io") else first
    return HUB


def read_config() -> dict[str, Any]:
    """docker's configuration; empty when there is none."""
    folder = os.environ.get("DOCKER_CONFIG")
    path = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path}: cannot be read as docker's configuration: {error}") from error
    if not isinstance(config, dict):
        raise BadRequest(f"{path}: is no JSON object")
    return config


def auth_header(image: str, config: Mapping[str, Any]) -> dict[str, str]:
    """The header that carries the credential for the image's registry; empty when there is none."""
    registry = registry_of(image)
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    auth = _from_helper(helper, registry) if helper else _from_config(registry, config.get("auths") or {})
    if not auth:
        return {}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}


def _from_config(registry: str, auths: Mapping[str, Any]) -> dict[str, str]:
    """Old entries name the registry as a URL."""
    for name, entry in auths.items():
        bare = name if name == HUB else name.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if bare == registry and entry:
            return _decoded(registry, entry)
    return {}


def _decoded(registry: str, entry: Mapping[str, str]) -> dict[str, str]:
    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"], "serveraddress": registry}
    try:
        user, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    except ValueError as error:
        raise BadRequest(f"docker's configuration holds a damaged credential for {registry}") from error
    return {"username": user, "password": password, "serveraddress": registry} if user else {}


def _from_helper(helper: str, registry: str) -> dict[str, str]:
    command = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [command, "get"], input=registry, capture_output=True, text=True, timeout=_HELPER_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadRequest(f"{command}, which docker's configuration names for {registry}: {error}") from error
    if done.returncode != 0:
        if "credentials not found" in done.stdout + done.stderr:
            return {}
        raise BadRequest(f"{command} gave no credential for {registry}: {(done.stdout + done.stderr).strip()}")
    given = json.loads(done.stdout)
    if given["Username"] == _TOKEN_USER:
        return {"identitytoken": given["Secret"], "serveraddress": registry}
    return {"username": given["Username"], "password": given["Secret"], "serveraddress": registry}
