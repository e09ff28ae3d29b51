"""The same flags, typed to docker and to swarmpy, leave equal specs."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.shell import Shell, running_shell

from swarmpy.stack.diff import changes

DOCKER = shutil.which("docker")
pytestmark = pytest.mark.skipif(DOCKER is None, reason="the docker client is not installed")

FULL = (
    "--env=A=1", "--env=B=2", "--label=x=1", "--container-label=y=2", "--constraint=node.labels.a==b",
    "--placement-pref=spread=node.labels.rack", "--mount=type=bind,source=/a,target=/b",
    "--mount=type=volume,source=vol,target=/c", "--group=g", "--host=db:10.0.0.1", "--dns=1.1.1.1",
    "--dns-search=example.com", "--dns-option=ndots:2", "--cap-add=NET_ADMIN", "--cap-drop=CHOWN", "--sysctl=a.b=1",
    "--ulimit=nofile=1:2", "--limit-cpu=0.5", "--limit-memory=64m", "--reserve-memory=32m", "--replicas=2",
    "--publish=published=8080,target=80,mode=host", "--generic-resource=gpu=2", "--health-cmd=true",
    "--restart-condition=on-failure", "--update-delay=1s", "--log-driver=json-file", "--log-opt=max-size=1m",
    "--hostname=h", "--user=1:2", "--workdir=/w", "--init", "--read-only", "--stop-grace-period=3s",
)  # fmt: skip
UPDATES: tuple[tuple[str, ...], ...] = (
    ("--image=shop/web:2", "--replicas=5", "--args=a 'b c'", "--entrypoint=/x y"),
    ("--env-add=A=3", "--env-add=C=4", "--env-rm=B", "--label-add=z=1", "--label-rm=x", "--container-label-add=q",
     "--container-label-rm=y"),
    ("--constraint-add=node.role==worker", "--constraint-rm=node.labels.a==b", "--placement-pref-add=spread=node.id",
     "--placement-pref-rm=spread=node.labels.rack", "--replicas-max-per-node=2"),
    ("--limit-cpu=0", "--limit-memory=1g", "--limit-pids=7", "--reserve-cpu=0.25", "--reserve-memory=0"),
    ("--generic-resource-add=ssd=3",),
    ("--mount-add=type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777", "--mount-rm=/b",
     "--mount-add=type=volume,src=w,dst=/c,ro,volume-nocopy,volume-label=k=v,volume-driver=d,volume-opt=o=1"),
    ("--mount-add=type=bind,source=/q,target=/q,bind-propagation=rslave,readonly", "--mount-rm=/nowhere"),
    ("--publish-add=published=53,target=53,protocol=udp,mode=host", "--publish-rm=target=80,mode=host"),
    ("--update-parallelism=0", "--update-order=start-first", "--update-failure-action=rollback",
     "--update-max-failure-ratio=0.5", "--update-monitor=9s"),
    ("--rollback-parallelism=3", "--rollback-delay=2s", "--rollback-order=start-first",
     "--rollback-failure-action=continue", "--rollback-monitor=1s", "--rollback-max-failure-ratio=1"),
    ("--rollback-delay=2s",),
    ("--restart-delay=9s", "--restart-max-attempts=3", "--restart-window=1m", "--restart-condition=none"),
    ("--health-interval=2s", "--health-retries=4", "--health-timeout=1s", "--health-start-period=3s"),
    ("--no-healthcheck",),
    ("--health-cmd=",),
    ("--user=u", "--group-add=a", "--group-rm=g", "--workdir=/v", "--hostname=", "--stop-signal=SIGINT"),
    ("--host-add=x:10.0.0.2", "--host-rm=db", "--dns-add=8.8.8.8", "--dns-rm=1.1.1.1", "--dns-option-add=timeout:1",
     "--dns-option-rm=ndots:2", "--dns-search-add=a.b", "--dns-search-rm=example.com"),
    ("--host-rm=db:10.0.0.9",),
    ("--cap-add=CHOWN", "--cap-drop=NET_ADMIN"),
    ("--cap-add=kill", "--cap-drop=CAP_MKNOD"),
    ("--cap-drop=ALL",),
    ("--cap-add=RESET", "--cap-drop=RESET"),
    ("--sysctl-add=c.d=2", "--sysctl-rm=a.b", "--ulimit-add=nproc=3", "--ulimit-rm=nofile"),
    ("--stop-grace-period=1m30s", "--init=false", "--read-only=false", "--tty"),
    ("--log-driver=local", "--log-opt=a=b"),
    ("--log-driver=none",),
    ("--endpoint-mode=dnsrr",),
    ("--force",),
    (),
)  # fmt: skip
# docker fails where there is none.
UPDATES_OF_FULL = (("--generic-resource-rm=gpu", "--generic-resource-add=ssd=4"), ("--generic-resource-rm=gpu",))
# Lists whose order docker draws by lot, or sorts by what the other cannot know.
_UNORDERED = {"Env", "GenericResources", "Networks"}


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running_shell(tmp_path) as running:
        yield running


async def docker(shell: Shell, *words: str) -> None:
    assert DOCKER is not None
    process = await asyncio.create_subprocess_exec(
        DOCKER, "-H", shell.host, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(shell.folder), "DOCKER_CONFIG": str(shell.folder)},
    )  # fmt: skip
    said = await shell.finished(process)
    assert said.code == 0, said.err


def said(value: Any, key: str = "") -> Any:
    """What a spec says: without names of the two services, and without empty values."""
    if isinstance(value, dict):
        kept = {name: said(item, name) for name, item in value.items() if name != "Name" or key}
        return {name: item for name, item in kept.items() if item not in (None, "", [], {}, False)}
    if isinstance(value, list):
        items = [said(item, key) for item in value]
        return sorted(items, key=str) if key in _UNORDERED else items
    return value


def spec_of(shell: Shell, name: str) -> Any:
    return said(shell.service(name).spec.to_docker())


@pytest.mark.parametrize("first", [(), FULL], ids=["bare", "full"])
async def test_updates_with_the_same_flags_leave_equal_specs(shell: Shell, first: tuple[str, ...]) -> None:
    for name in ("theirs", "ours"):
        await docker(
            shell, "service", "create", "-d", "--no-resolve-image", "--name", name, *first, "shop/web:1", "run"
        )
    made = {name: shell.service(name) for name in ("theirs", "ours")}
    different = {}
    for flags in (*UPDATES, *(UPDATES_OF_FULL if first else ())):
        # Each from the first spec: what one update left must not hide what the next one does.
        for name in made:
            await shell.api.keep(made[name])
        await docker(shell, "service", "update", "-d", "--no-resolve-image", *flags, "theirs")
        await shell.ok("service", "update", "-d", "--no-resolve-image", *flags, "ours")
        theirs, ours = spec_of(shell, "theirs"), spec_of(shell, "ours")
        if theirs != ours:
            different[flags] = [(change.path, change.old, change.new) for change in changes(ours, theirs, {})]
    assert different == {}


@pytest.mark.parametrize(
    "flags",
    [
        (),
        FULL,
        ("--mode=global", "--endpoint-mode=dnsrr"),
        ("--mode=replicated-job", "--replicas=3"),
        ("--mode=replicated-job", "--replicas=3", "--max-concurrent=2"),
        ("--mode=global-job", "--restart-condition=none"),
        ("--no-healthcheck", "-e", "A=1", "-l", "b=c", "-t", "-u", "me", "-w", "/x"),
        ("--entrypoint=a b", "--stop-signal=SIGINT", "--network=front", "--network=name=back,alias=w"),
    ],
    ids=lambda flags: " ".join(flags)[:60] or "none",
)  # fmt: skip
async def test_services_made_with_the_same_flags_are_equal(shell: Shell, flags: tuple[str, ...]) -> None:
    for network in ("front", "back"):
        await docker(shell, "network", "create", "-d", "overlay", network)
    words = (*flags, "shop/web:1", "run", "-x", "--tty", "a b")
    await docker(shell, "service", "create", "-d", "--no-resolve-image", "--name", "theirs", *words)
    await shell.ok("service", "create", "-d", "--no-resolve-image", "--name", "ours", *words)
    assert spec_of(shell, "theirs") == spec_of(shell, "ours")


async def test_networks_are_added_and_removed_by_name(shell: Shell) -> None:
    for network in ("front", "back", "side"):
        await docker(shell, "network", "create", "-d", "overlay", network)
    for name in ("theirs", "ours"):
        await docker(shell, "service", "create", "-d", "--no-resolve-image", "--name", name, "--network=front",
                     "--network=side", "shop/web:1")  # fmt: skip
    flags = ("--network-rm=front", "--network-add=name=back,alias=b")
    await docker(shell, "service", "update", "-d", "--no-resolve-image", *flags, "theirs")
    await shell.ok("service", "update", "-d", *flags, "ours")
    assert spec_of(shell, "theirs") == spec_of(shell, "ours")
