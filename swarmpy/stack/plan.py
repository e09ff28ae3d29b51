"""From loaded files to what a deployment is to bring about. Pure; refuses all at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from swarmpy.stack.canonical import DEFAULT_NETWORK, Config
from swarmpy.stack.convert import network_name, service_of
from swarmpy.stack.depends import LeftOut, by_need, check_waits, profile_option
from swarmpy.stack.docker_json import Object, stated
from swarmpy.stack.faults import Faults
from swarmpy.stack.keys import judge
from swarmpy.stack.names import fault_of_name, with_stack_label
from swarmpy.stack.objects import Contents, external_objects, made_objects
from swarmpy.stack.places import Places, places_of
from swarmpy.stack.sound import in_whole
from swarmpy.stack.tree import Map, Path, Problem, StackError, in_order, marked

NO_CONTENTS: Contents = {}
NOTHING_LEFT_OUT: LeftOut = {}


@dataclass(frozen=True, slots=True)
class StackPlan:
    """Documents to create, services last: they name secrets, configs and networks by name and not by id.

    `external` are names of networks that must be there already; so are the two others, of secrets and configs.
    `warnings` name what the files say in vain.
    """

    name: str
    networks: tuple[Object, ...]
    external: tuple[str, ...]
    services: tuple[Object, ...]
    warnings: tuple[str, ...]
    # What they hold is in no repr.
    secrets: tuple[Object, ...] = field(default=(), repr=False)
    configs: tuple[Object, ...] = field(default=(), repr=False)
    external_secrets: tuple[str, ...] = ()
    external_configs: tuple[str, ...] = ()
    places: Places = field(default=Places(), repr=False, compare=False)


def plan_stack(
    name: str,
    config: Config,
    trees: Sequence[Map],
    contents: Contents = NO_CONTENTS,
    known: Sequence[Problem] = (),
    left_out: LeftOut = NOTHING_LEFT_OUT,
) -> StackPlan:
    """`contents` are those of the secrets and configs that the files declare, `known` is what is known to be wrong
    with the files; it is no part of `config` then.

    Raises `StackError` with everything that keeps the stack from being deployed.
    """
    judgements = [judge(tree) for tree in trees]
    faults = Faults()
    services = config.get("services") or {}
    if not services:
        faults.add((), _no_services(left_out))
    specs = tuple(service_of(name, key, services[key], config, faults) for key in by_need(services))
    networks, external = _networks(name, config, faults)
    secrets = made_objects("secrets", name, config, contents, faults)
    configs = made_objects("configs", name, config, contents, faults)
    check_waits(services, left_out, faults)
    problems = [*known, *(problem for judgement in judgements for problem in judgement.refusals)]
    problems += _marked(_in_whole(faults.found, known), trees, problems)
    if (fault := fault_of_name(name)) is not None:
        # No file says it.
        problems.append(Problem(None, (), f"STACK, as the command is given it: {fault}"))
    if problems:
        raise StackError(problems)
    warnings = in_order(
        [*(warning for judgement in judgements for warning in judgement.warnings), *_marked(faults.doubts, trees, ())]
    )
    return StackPlan(
        name,
        networks,
        external,
        specs,
        tuple(map(str, warnings)),
        secrets,
        configs,
        external_objects("secrets", name, config),
        external_objects("configs", name, config),
        places_of(name, config, trees),
    )


def _networks(stack: str, config: Config, faults: Faults) -> tuple[tuple[Object, ...], tuple[str, ...]]:
    """Only those that a service uses; what is said of the others must be sound, too."""
    known: Config = config.get("networks") or {}
    for network, given in known.items():
        for index, pool in enumerate(((given or {}).get("ipam") or {}).get("config") or ()):
            _check_subnet(pool.get("subnet"), ("networks", network, "ipam", "config", index, "subnet"), faults)
    uses = (service.get("networks") or (DEFAULT_NETWORK,) for service in (config.get("services") or {}).values())
    used = sorted({network for names in uses for network in names})
    made, external = [], []
    for network in used:
        given = known.get(network) or {}
        if given.get("external"):
            external.append(network_name(stack, network, known))
        elif network in known or network == DEFAULT_NETWORK:
            made.append(_network(stack, network, known))
    return tuple(made), tuple(external)


def _network(stack: str, network: str, known: Config) -> Object:
    given = known.get(network) or {}
    return stated(
        {
            "Name": network_name(stack, network, known),
            "Driver": "overlay",
            "Scope": "swarm",
            "Internal": given.get("internal") or None,
            "Attachable": given.get("attachable") or None,
            "IPAM": _ipam(given.get("ipam") or {}),
            "EnableIPv6": given.get("enable_ipv6") or None,
            "Options": given.get("driver_opts") or None,
            "Labels": with_stack_label(stack, given.get("labels")),
        }
    )


def _ipam(given: Config) -> Object | None:
    pools = [
        stated(
            {
                "Subnet": pool.get("subnet"),
                "IPRange": pool.get("ip_range"),
                "Gateway": pool.get("gateway"),
                "AuxiliaryAddresses": pool.get("aux_addresses"),
            }
        )
        for pool in given.get("config") or ()
    ]
    return stated({"Config": pools or None, "Options": given.get("options") or None}) or None


def _check_subnet(subnet: str | None, path: Path, faults: Faults) -> None:
    try:
        ip_network(subnet or "")
    except ValueError as error:
        faults.add(path, f"{subnet!r} is no subnet: {error}")


def _no_services(left_out: LeftOut) -> str:
    if not left_out:
        return "no services: a stack has at least one"
    profiles = list(dict.fromkeys(profile for named in left_out.values() for profile in named))
    text = f"no services: all of them belong to profiles that are not enabled ({', '.join(profiles)}); "
    return f"{text}take some in with {profile_option(profiles)}"


def _in_whole(found: Sequence[tuple[Path, str]], known: Sequence[Problem]) -> list[tuple[Path, str]]:
    """What is known to be wrong is no part of what was converted."""
    places = in_whole([path for path, _ in found], [problem.where for problem in known if problem.where])
    return [(path, text) for path, (_, text) in zip(places, found, strict=True)]


def _marked(found: Sequence[tuple[Path, str]], trees: Sequence[Map], known: Sequence[Problem]) -> list[Problem]:
    """The faults with their places. Of what is known to be wrong, and of what holds that, nothing more is said: it may
    be wrong no more once the known is mended."""
    wrong = {problem.where for problem in known if problem.where}
    holders = {where[:end] for where in wrong for end in range(1, len(where) + 1)}
    return [
        marked(trees, path, text)
        for path, text in found
        if path not in holders and not any(path[:end] in wrong for end in range(1, len(path) + 1))
    ]
