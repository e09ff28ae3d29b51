"""The text of messages to agents: the same, whoever shares what of it."""

import pytest

from manager.dispatcher.frames import MapPart, SharedMap, frame_of
from swarmpy.network_map import Endpoint, MappedPort, MappedService, Peer
from swarmpy.wire import Beaten, Full, from_manager


def a_part(network: str, endpoints: int = 2) -> MapPart:
    return MapPart(
        peers=(Peer(network_id=network, node_id="n1", subnet="10.0.1.0/24", address="192.0.2.1"),),
        services=(
            MappedService(
                network_id=network,
                service_id="web",
                names=("wéb", 'a"b'),
                ports=(MappedPort(protocol="tcp", published=80, target=8080),),
            ),
        ),
        endpoints=tuple(
            Endpoint(network_id=network, task_id=f"t{n}", service_id="web", node_id="n1", address=f"10.0.1.{n + 2}")
            for n in range(endpoints)
        ),
    )


@pytest.mark.parametrize("parts", [(), (a_part("a"),), (a_part("a"), a_part("b", 0), MapPart(), a_part("c"))], ids=len)
def test_a_shared_map_reads_as_if_it_had_been_written_for_one(parts: tuple[MapPart, ...]) -> None:
    message = Full(revision=7, tasks=(), networks=(), map=SharedMap.of(parts), node_labels={"map": "}"})

    assert from_manager.validate_json(frame_of(message)) == from_manager.validate_json(message.model_dump_json())


def test_the_text_of_a_part_is_made_once() -> None:
    part = a_part("a")

    assert part.texts is part.texts


def test_other_messages_are_written_plainly() -> None:
    assert frame_of(Beaten(beat_every=2)) == '{"type":"beaten","beat_every":2.0}'
