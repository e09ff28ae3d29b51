"""Making a node that holds no data of the database one of its members. Does not start the member."""

from manager.members.port import InitialCluster, MemberList
from swarmpy.logs import logger

log = logger("members")


async def admit(members: MemberList, node_id: str, peer_url: str) -> InitialCluster:
    """What the node's member must be told at its first start. May be repeated until it has started.

    What an earlier member of this node left is removed: it had data, which the node has no more, and one that forgot
    what it voted for must not come back under the same id. Another node's at the same place stays: `Conflict`. Raises
    what `MemberList` does.
    """
    for defunct in await members.members():
        if defunct.is_started and defunct.name == node_id:
            await members.remove(defunct.id)
            log.info("etcd.member_removed", member=defunct.name, reason="its node joins again without its data")
    return await members.add(peer_url, node_id)
