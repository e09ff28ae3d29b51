"""Which rules the engine's firewall lacks."""

import pytest

from agent.network.docker_user import DockerUser, missing, present

RULES = (
    "-i spb+ -o spb+ -j ACCEPT",
    "-i spb+ -o spx+ -j ACCEPT",
    "-i spx+ -o spb+ -j ACCEPT",
    "-o spb+ -m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT",
    "-o spx+ -m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT",
    "-i spb+ -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT",
    "-i spx+ -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT",
)
ALL = "\n".join(f"-A DOCKER-USER {rule}" for rule in RULES)


def test_an_empty_chain_gets_all() -> None:
    assert {" ".join(command) for command in missing("-N DOCKER-USER\n")} == {
        f"-I DOCKER-USER 1 {rule}" for rule in RULES
    }


def test_where_the_engine_has_no_chain_there_is_nothing_to_do() -> None:
    assert missing("-P FORWARD ACCEPT\n-N DOCKER\n") == ()


@pytest.mark.parametrize("after", ["", "\n-A DOCKER-USER -j RETURN", "\n-A DOCKER-USER -s 192.0.2.7/32 -j DROP"])
def test_a_chain_that_has_them_is_left_alone(after: str) -> None:
    assert missing(f"-N DOCKER-USER\n{ALL}{after}\n") == ()


def test_they_come_after_the_owners_rules_and_before_the_end() -> None:
    listing = "-N DOCKER-USER\n-A DOCKER-USER -s 192.0.2.7/32 -j DROP\n-A DOCKER-USER -j RETURN\n"

    assert {command[2] for command in missing(listing)} == {"2"}


def test_only_what_was_lost_is_put() -> None:
    listing = f"-N DOCKER-USER\n{ALL}\n-A DOCKER-USER -j RETURN\n".replace(f"-A DOCKER-USER {RULES[1]}\n", "")

    assert missing(listing) == (("-I", "DOCKER-USER", "7", "-i", "spb+", "-o", "spx+", "-j", "ACCEPT"),)


def test_a_rule_behind_the_end_is_not_there() -> None:
    assert len(missing(f"-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n{ALL}\n")) == len(RULES)


async def test_a_node_without_iptables_needs_nothing() -> None:
    assert await DockerUser(("iptables-that-is-nowhere",)).mend() == ()


def test_only_ours_are_taken_away() -> None:
    listing = f"-N DOCKER-USER\n-A DOCKER-USER -s 192.0.2.7/32 -j DROP\n{ALL}\n-A DOCKER-USER -j RETURN\n"

    assert len(present(listing)) == len(RULES)
    assert present(listing)[0] == ("-D", "DOCKER-USER", *RULES[0].split())
    assert present("-P FORWARD ACCEPT\n") == ()
