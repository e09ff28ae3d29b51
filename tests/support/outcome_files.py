"""Stack files of the table of deploy outcomes, as documents: small services that end or fail as asked."""

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

SLEEP = ["sleep", "1000"]
# For how long a service is watched: one that stays, and one whose failure is to be seen, however late it is told.
SHORTLY, LONG = "500ms", "40s"


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def web(
    command: list[str],
    *,
    deploy: Mapping[str, Any] | None = None,
    monitor: str = SHORTLY,
    action: str = "",
    **keys: Any,
) -> Document:
    """A service of one task. `action` is what its updates do on a failure."""
    config = {"monitor": monitor} | ({"failure_action": action} if action else {})
    return {
        "image": "lab:1",
        "command": command,
        "stop_grace_period": "0s",
        "deploy": {"update_config": config, "rollback_config": {"monitor": SHORTLY}, **(deploy or {})},
        **keys,
    }


def stack(command: list[str], **keys: Any) -> Document:
    """A file with one service, `web`."""
    return {"services": {"web": web(command, **keys)}}


def once(command: list[str], condition: str = "none", **policy: Any) -> Document:
    return stack(command, monitor=LONG, deploy={"restart_policy": {"condition": condition, **policy}})


def job(command: list[str], *, total: int = 1, volumes: tuple[str, ...] = (), **policy: Any) -> Document:
    deploy = {"mode": "replicated-job", "replicas": total, "restart_policy": {"condition": "on-failure", **policy}}
    file = stack(command, deploy=deploy, volumes=list(volumes))
    for refused_for_jobs in ("update_config", "rollback_config"):
        del file["services"]["web"]["deploy"][refused_for_jobs]
    named = [volume.partition(":")[0] for volume in volumes]
    return file | {"volumes": {name: {} for name in named}}


def health(test: str, **keys: Any) -> Document:
    """Asked twice a second; one bad answer is enough."""
    return {"test": ["CMD-SHELL", test], "interval": "500ms", "retries": 1, **keys}


def port(published: int) -> list[Document]:
    return [{"mode": "host", "target": 80, "published": published}]
