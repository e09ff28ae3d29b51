"""The driver options of a network: MTU, VNI, encryption. Pure."""

from manager.allocator.networks import is_encrypted
from manager.allocator.vnis import LAST_VNI, wished_vni
from manager.orchestrator.reasons import name_of
from manager.state import State
from swarmpy.container_values import is_number_within
from swarmpy.errors import BadRequest, Conflict, Unsupported
from swarmpy.models.network import ENCRYPTED_OPTION, MTU_OPTION, VNI_OPTION, NetworkCreate
from swarmpy.shown import shown
from swarmpy.states import NodeState
from swarmpy.wire import WIREGUARD

_MOST_NAMED = 5


def check_options(state: State, wish: NetworkCreate) -> None:
    options = wish.options or {}
    _check_mtu(options.get(MTU_OPTION))
    _check_vni(state, options.get(VNI_OPTION))
    if ENCRYPTED_OPTION in options and options[ENCRYPTED_OPTION].lower() not in ("", "true", "false"):
        raise BadRequest(f"Options {ENCRYPTED_OPTION}: {options[ENCRYPTED_OPTION]!r} is neither true nor false")
    if is_encrypted(options):
        _check_encryption(state)


def _check_mtu(text: str | None) -> None:
    # 68 octets is the least that every IPv4 link must carry.
    if text is not None and not is_number_within(text, 68, 65535):
        raise BadRequest(f"Options {MTU_OPTION}: {shown(text)} is not a number between 68 and 65535")


def _check_vni(state: State, text: str | None) -> None:
    if text is None:
        return
    if not is_number_within(text, 1, LAST_VNI):
        raise BadRequest(f"Options {VNI_OPTION}: {text!r} is not one number between 1 and {LAST_VNI}")
    for network in state.networks.values():
        if int(text) in (network.vni, wished_vni(network)):
            raise Conflict(f"Options {VNI_OPTION}: {text} is the VNI of network {network.spec.name}; choose another")


def _check_encryption(state: State) -> None:
    ready = (node for node in state.nodes.values() if node.state is NodeState.READY)
    lacking = sorted(name_of(node) for node in ready if WIREGUARD not in node.features)
    if lacking:
        more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
        raise Unsupported(
            f"Options {ENCRYPTED_OPTION}: the kernels of {', '.join(lacking[:_MOST_NAMED])}{more} have no WireGuard, "
            "by which networks are encrypted, or the command wg is not there; install wireguard-tools on every node "
            "and load the kernel's module (or run wireguard-go spwg0), or leave the option out"
        )
