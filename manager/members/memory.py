"""Members in memory, with the rules that etcd has for changing them. Tests start and stop the members by hand."""

from dataclasses import replace

from manager.members.port import InitialCluster, Member, MemberID, MemberList, find_predecessors, initial_cluster
from swarmpy.errors import Conflict, NotFound, Unavailable


class MemoryMembers(MemberList):
    """`running` holds the ids of those whose process runs."""

    def __init__(self, first: Member) -> None:
        self.running: set[MemberID] = {first.id}
        self._members: dict[MemberID, Member] = {first.id: first}
        self._next_id = first.id + 1
        self._is_closed = False

    # what a test does

    def start(self, name: str, peer_url: str) -> None:
        member = self._at(peer_url)
        self._members[member.id] = replace(member, name=name)
        self.running.add(member.id)

    def stop(self, name: str) -> None:
        self.running -= {member.id for member in self._members.values() if member.name == name}

    # what the port promises

    async def members(self) -> tuple[Member, ...]:
        self._require_majority()
        return tuple(sorted(self._members.values(), key=lambda member: member.id))

    async def add(self, peer_url: str, name: str) -> InitialCluster:
        known = await self.members()
        if predecessors := find_predecessors(known, peer_url, name):
            raise Conflict(f"the member {predecessors[0].name} ({peer_url}) has data already; remove it first")
        if not any(peer_url in member.peer_urls for member in known):
            if any(not member.votes for member in known):
                raise Unavailable("another new member is not ready yet; try again when it is")
            if any(member.id not in self.running for member in known):
                raise Unavailable("a member is away; try again")
            self._members[self._next_id] = Member(self._next_id, "", (peer_url,), votes=False)
            self._next_id += 1
        return initial_cluster(await self.members(), peer_url, name)

    async def promote(self, member: MemberID) -> None:
        self._require_majority()
        found = self._known(member)
        if member not in self.running:
            raise Unavailable("the new member has not learnt all yet; try again")
        self._members[member] = replace(found, votes=True)

    async def remove(self, member: MemberID) -> None:
        self._require_majority()
        found = self._members.get(member)
        if found is None:
            return
        voters = self._voters() - {member}
        if found.votes and member in self.running and 2 * len(voters & self.running) <= len(voters):
            raise Unavailable("a member is away; try again")
        del self._members[member]
        self.running.discard(member)

    async def readdress(self, member: MemberID, peer_url: str) -> None:
        self._require_majority()
        found = self._known(member)
        if not found.votes and found.peer_urls != (peer_url,):
            raise Unavailable("a member moves when it votes; try again when it does")
        if any(peer_url in one.peer_urls for one in self._members.values() if one.id != member):
            raise Conflict(f"another member is at {peer_url} already")
        self._members[member] = replace(found, peer_urls=(peer_url,))

    async def close(self) -> None:
        self._is_closed = True

    def _require_majority(self) -> None:
        if self._is_closed:
            raise Unavailable("this list of members is closed")
        voters = self._voters()
        if 2 * len(voters & self.running) <= len(voters):
            raise Unavailable("the members have lost their majority")

    def _voters(self) -> set[MemberID]:
        return {member.id for member in self._members.values() if member.votes}

    def _at(self, peer_url: str) -> Member:
        return next(member for member in self._members.values() if peer_url in member.peer_urls)

    def _known(self, member: MemberID) -> Member:
        if member not in self._members:
            raise NotFound(f"no member {member:x}")
        return self._members[member]
