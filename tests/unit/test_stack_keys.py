"""Every key of a stack file has its standing: the code, the page and the Compose Spec name the same keys."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from swarmpy.stack import schema
from swarmpy.stack.deploy_schema import DEPLOY
from swarmpy.stack.host import READERS
from swarmpy.stack.keys import STANDINGS, Ignored, Refused, judge, standing_of
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.service_schema import SERVICE
from swarmpy.stack.shapes import Either, Fields, ListOf, MapOf, Shape

PAGE = Path(__file__).parents[2] / "docs" / "stack-files.md"
OURS = {"x-swarmpy"}
# The keys of the Compose Spec's schema, section by section.
COMPOSE_SPEC = {
    "file": "version name include services models networks volumes secrets configs",
    "service": """develop deploy annotations attach build blkio_config cap_add cap_drop cgroup cgroup_parent command
        configs container_name cpu_count cpu_percent cpu_shares cpu_quota cpu_period cpu_rt_period cpu_rt_runtime cpus
        cpuset credential_spec depends_on device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint
        env_file label_file environment expose extends provider external_links extra_hosts gpus group_add healthcheck
        hostname image init ipc isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness
        memswap_limit network_mode models networks oom_kill_disable oom_score_adj pid pids_limit platform ports
        post_start pre_stop privileged profiles pull_policy pull_refresh_after read_only restart runtime scale
        security_opt shm_size secrets sysctls stdin_open stop_grace_period stop_signal storage_opt tmpfs tty ulimits
        use_api_socket user uts userns_mode volumes volumes_from working_dir""",
    "deploy": """mode endpoint_mode replicas labels rollback_config update_config resources restart_policy placement""",
    "network": """name driver driver_opts ipam external internal enable_ipv4 enable_ipv6 attachable labels""",
    "volume": "name driver driver_opts external labels",
    "secret": "name environment file external labels driver driver_opts template_driver",
    "config": "name content environment file external labels template_driver",
}
SHAPES = {
    "file": schema.FILE,
    "service": SERVICE,
    "deploy": DEPLOY,
    "network": schema.NETWORK,
    "volume": schema.VOLUME,
    "secret": schema.SECRET,
    "config": schema.CONFIG,
}
# Known to docker stack only.
OF_DOCKER = {"service": {"cgroupns_mode"}}


def keys_of(shape: Shape, path: tuple[str, ...]) -> Iterator[str]:
    """Every key below, written as a pattern, that is not below one that stands as a whole."""
    match shape:
        case Either(shapes=shapes):
            for one in shapes:
                yield from keys_of(one, path)
        case MapOf(value=inner) | ListOf(item=inner):
            yield from keys_of(inner, (*path, "*"))
        case Fields(known=known):
            for key, below in known.items():
                here = (*path, key)
                yield ".".join(here)
                if standing_of(here) is None:
                    yield from keys_of(below, here)


@cache
def rows() -> dict[str, tuple[str, str]]:
    """Standing and reason by key, as the page has them."""
    found: dict[str, tuple[str, str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`") and cells[1] in ("carried out", "ignored", "refused"):
            assert cells[0] not in found, f"{cells[0]} has two rows"
            found[cells[0].strip("`")] = (cells[1], cells[2])
    return found


KEYS = {*keys_of(schema.FILE, ()), "volumes.*.x-cluster-spec"}


def test_the_page_has_a_row_for_each_key_and_no_more() -> None:
    assert sorted(rows()) == sorted(KEYS)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_page_says_of_a_key_what_the_code_does(key: str) -> None:
    standing, reason = rows()[key]
    match STANDINGS.get(key):
        case None:
            assert standing == "carried out"
        case Ignored(because):
            assert (standing, reason) == ("ignored", because)
        case Refused(because):
            assert (standing, reason) == ("refused", because)


def test_each_standing_is_that_of_a_key() -> None:
    assert set(STANDINGS) <= KEYS


@pytest.mark.parametrize("section", COMPOSE_SPEC)
def test_every_key_of_the_compose_spec_is_known_and_no_other(section: str) -> None:
    assert set(SHAPES[section].known) - OURS == set(COMPOSE_SPEC[section].split()) | OF_DOCKER.get(section, set())


def test_each_option_of_the_host_is_a_key_that_is_carried_out() -> None:
    for key in READERS:
        assert key in SERVICE.known
        assert standing_of(("services", "web", key)) is None


def test_a_standing_is_found_by_the_shape_of_the_path() -> None:
    assert standing_of(("services", "web", "build")) is STANDINGS["services.*.build"]
    assert standing_of(("services", "web", "networks", "n", "ipv4_address")) is not None
    assert standing_of(("services", "web", "volumes", 0, "cluster")) is not None
    assert standing_of(("services", "web", "image")) is None
    assert standing_of(("services",)) is None


def test_what_an_external_secret_is_said_to_hold_is_passed_over_with_a_warning() -> None:
    tree = parse_stack("services: {web: {image: x}}\nsecrets:\n  s: {external: true, file: ./f}\n", "s.yaml")
    judgement = judge(tree)
    assert judgement.refusals == ()
    assert [str(one) for one in judgement.warnings] == [
        "s.yaml:3: secrets.s.file: ignored: it is external, and holds what it holds already"
    ]
