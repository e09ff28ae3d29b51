"""Messages to agents as the text of one frame. Pure.

The whole map of a large network is megabytes, and after a change of leader every node is told it: the text of each
network's part is made once, and shared by all messages that hold it.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

from pydantic import PrivateAttr, TypeAdapter

from swarmpy.network_map import Endpoint, MapChanges, MappedService, NetworkMap, Peer
from swarmpy.wire import FromManager, Full

_peers: TypeAdapter[tuple[Peer, ...]] = TypeAdapter(tuple[Peer, ...])
_services: TypeAdapter[tuple[MappedService, ...]] = TypeAdapter(tuple[MappedService, ...])
_endpoints: TypeAdapter[tuple[Endpoint, ...]] = TypeAdapter(tuple[Endpoint, ...])


class MapPart(MapChanges):
    """All there is of one network."""

    @cached_property
    def texts(self) -> tuple[str, str, str]:
        """Its peers, services and endpoints in JSON, without the brackets around each list."""
        lists = (_peers.dump_json(self.peers), _services.dump_json(self.services), _endpoints.dump_json(self.endpoints))
        peers, services, endpoints = (found.decode()[1:-1] for found in lists)
        return peers, services, endpoints


class SharedMap(NetworkMap):
    """The map that these parts make up."""

    _parts: tuple[MapPart, ...] = PrivateAttr(default=())

    @classmethod
    def of(cls, parts: Sequence[MapPart]) -> "SharedMap":
        # The entries were checked when they were made.
        made = cls.model_construct(
            peers=tuple(chain.from_iterable(part.peers for part in parts)),
            services=tuple(chain.from_iterable(part.services for part in parts)),
            endpoints=tuple(chain.from_iterable(part.endpoints for part in parts)),
        )
        made._parts = tuple(parts)
        return made

    def as_json(self) -> str:
        lists = (",".join(filter(None, texts)) for texts in zip(*(part.texts for part in self._parts), strict=True))
        peers, services, endpoints = lists if self._parts else ("", "", "")
        return f'{{"peers":[{peers}],"services":[{services}],"endpoints":[{endpoints}]}}'


def frame_of(message: FromManager) -> str:
    if not isinstance(message, Full) or not isinstance(message.map, SharedMap):
        return message.model_dump_json(exclude_none=True)
    rest = message.model_dump_json(exclude_none=True, exclude={"map"})
    return f'{rest[:-1]},"map":{message.map.as_json()}}}'
