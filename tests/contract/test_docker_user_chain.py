"""The engine's chain, with the real iptables in a namespace."""

import shutil
from collections.abc import Iterator

import pytest
from support.netlab import Namespace, why_not

from agent.network.docker_user import DockerUser
from swarmpy.errors import Unavailable

LACKS = why_not() or ("" if shutil.which("iptables") else "needs iptables")
pytestmark = pytest.mark.skipif(bool(LACKS), reason=LACKS)


@pytest.fixture
def machine() -> Iterator[Namespace]:
    made = Namespace("machine")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def chain(machine: Namespace) -> DockerUser:
    return DockerUser(("nsenter", f"--net=/proc/{machine.pid}/ns/net", "iptables"))


async def test_without_the_chain_nothing_is_done(machine: Namespace, chain: DockerUser) -> None:
    assert await chain.mend() == ()
    assert "sp" not in machine.run("iptables", "-S")


async def test_the_rules_are_put_once_and_again_when_one_is_lost(machine: Namespace, chain: DockerUser) -> None:
    machine.run("iptables", "-N", "DOCKER-USER")
    machine.run("iptables", "-A", "DOCKER-USER", "-s", "192.0.2.7", "-j", "DROP")
    machine.run("iptables", "-A", "DOCKER-USER", "-j", "RETURN")

    assert len(await chain.mend()) == 7
    assert await chain.mend() == ()
    machine.run("iptables", "-D", "DOCKER-USER", "-i", "spb+", "-o", "spx+", "-j", "ACCEPT")
    assert await chain.mend() == ("iptables rule -i spb+ -o spx+ -j ACCEPT of chain DOCKER-USER was missing",)

    rules = machine.run("iptables", "-S", "DOCKER-USER").splitlines()
    assert [rule.split()[-1] for rule in rules] == ["DOCKER-USER", "DROP", *["ACCEPT"] * 7, "RETURN"]


async def test_a_chain_that_has_gone_is_told_until_the_engine_has_put_it_again(
    machine: Namespace, chain: DockerUser
) -> None:
    machine.run("iptables", "-N", "DOCKER-USER")
    await chain.mend()
    machine.run("iptables", "-F")
    machine.run("iptables", "-X")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"packet rules are gone.*restart the engine"):
            await chain.mend()
    machine.run("iptables", "-N", "DOCKER-USER")
    assert len(await chain.mend()) == 7
