"""One engine for all lab tests, one node for the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.dockerd import Dockerd, dockerd
from support.images import import_image
from support.node import Node

IMAGE = "lab:1"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def engine() -> Iterator[Dockerd]:
    with dockerd() as running:
        import_image(running.host, IMAGE)
        yield running


@pytest.fixture(scope="module")
def node(engine: Dockerd) -> Iterator[Node]:
    """A node that is ready. A test may kill any part of it, but leaves it running."""
    lab = Node(engine)
    try:
        lab.start()
        yield lab
    finally:
        lab.close()
