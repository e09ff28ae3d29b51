"""The kernel's packet rules through the command `nft`. Knows no rule but those it asks the kernel's abilities with."""

import asyncio
import hashlib
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from agent.network import messages
from agent.network.command import Ended, run
from agent.network.lists import hear_the_kernel_alone
from agent.network.rules_port import Features, RulesRefused
from agent.network.table import TABLE

FAMILIES = ("bridge", "ip")
# The whole of thousands of services takes seconds on a slow machine; nft never waits for anybody else.
_LIMIT = 60.0
# Protocol of netlink (linux/netlink.h), seconds, bytes.
_NETFILTER, _ANSWERED_WITHIN, _ANSWER = 12, 5.0, 8192

_PROBE = "swarmpy_probe"
_RULES = f"""add table ip {_PROBE}
add map ip {_PROBE} ports {{ type inet_proto . inet_service : verdict; }}
add chain ip {_PROBE} one {{ type nat hook prerouting priority -105; }}
add chain ip {_PROBE} two {{ type nat hook postrouting priority 95; }}
add chain ip {_PROBE} three {{ type filter hook forward priority -5; }}
add rule ip {_PROBE} one meta l4proto . th dport vmap @ports
add rule ip {_PROBE} one dnat to numgen random mod 2 map {{ 0 : 192.0.2.1, 1 : 192.0.2.2 }}
add rule ip {_PROBE} two masquerade
add rule ip {_PROBE} three ct state established accept
add rule ip {_PROBE} three reject with icmp type port-unreachable
"""
_FIB = f"""add table ip {_PROBE}
add chain ip {_PROBE} one {{ type nat hook prerouting priority -105; }}
add rule ip {_PROBE} one fib daddr type local accept
"""
_BRIDGE = f"""add table bridge {_PROBE}
add chain bridge {_PROBE} one {{ type filter hook prerouting priority -300; }}
add rule bridge {_PROBE} one ip saddr 192.0.2.1 ether daddr set 02:00:00:00:00:01 meta pkttype set host
"""
# What is kept of a command in an error: some have thousands of elements.
_WIDTH = 160
_ERROR = re.compile(r"^\S*?:(?P<line>\d+):\S* Error: (?P<what>.*?)\s*$", re.MULTILINE)
_ELEMENTS = re.compile(r"elements = \{([^}]*)\}")


class Nft:
    """`command` may lead into another network namespace first; `enter` then brings a thread there."""

    def __init__(self, command: Sequence[str] = ("nft",), enter: Callable[[], None] | None = None) -> None:
        self._command = tuple(command)
        self._enter = enter

    async def apply(self, script: str) -> None:
        if not script:
            return
        ended = await self._run("-f", "-", given=script)
        if ended.code:
            raise RulesRefused(f"the kernel did not take the packet rules: {ended.complaint}")

    async def fingerprint(self) -> str | None:
        digest = hashlib.sha256()
        tables = await self._run("list", "tables")
        listed = [tables]
        for family in FAMILIES:
            # One that is not there was deleted, or the kernel cannot have it.
            if f"table {family} {TABLE}" in tables.output.splitlines():
                listed.append(await self._run("-s", "list", "table", family, TABLE))
                digest.update(in_fixed_order(listed[-1].output).encode())
        return None if any(ended.code for ended in listed) else digest.hexdigest()

    async def generation(self) -> int | None:
        return await asyncio.to_thread(self._generation)

    def _generation(self) -> int | None:
        # A thread that entered another namespace does not come back.
        with ThreadPoolExecutor(1, "nft", self._enter) as inside:
            return inside.submit(_generation_here).result()

    async def probe(self) -> Features:
        """Asks the kernel to check rules, not to take them."""
        rules, fib, bridge = [await self._run("-c", "-f", "-", given=script) for script in (_RULES, _FIB, _BRIDGE)]
        return Features(rules=not rules.code, bridge=not bridge.code, fib=not fib.code, reason=rules.complaint)

    async def _run(self, *words: str, given: str = "") -> Ended:
        ended = await run((*self._command, *words), limit=_LIMIT, given=given)
        return ended if ended.failure else replace(ended, complaint=in_one_sentence(ended.complaint, given))


def _generation_here() -> int | None:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as asking:
            asking.settimeout(_ANSWERED_WITHIN)
            hear_the_kernel_alone(asking)
            asking.send(messages.ask_generation(1))
            told = [messages.generation_of(message) for message in messages.split(asking.recv(_ANSWER))]
    except OSError:
        return None
    return next((number for number in told if number is not None), None)


def in_one_sentence(complaint: str, script: str) -> str:
    """The first error of many, with the command that it is about."""
    lines = script.splitlines()
    if (found := _ERROR.search(complaint)) and 0 < int(found["line"]) <= len(lines):
        line = lines[int(found["line"]) - 1]
        return f"{found['what']} in `{line if len(line) <= _WIDTH else line[:_WIDTH] + '...'}`"
    return " ".join(complaint.split())


def in_fixed_order(listing: str) -> str:
    """The kernel lists the elements of a set as its hash table has them just now."""
    return _ELEMENTS.sub(lambda found: ",".join(sorted(each.strip() for each in found[1].split(","))), listing)
