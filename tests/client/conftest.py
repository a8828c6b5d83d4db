"""What the pool's tests share: slow commands on the real server, and nothing left open."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from integrity.client.processes import CLIENTS
from tests.client.slow import Slow


@pytest.fixture
def slow(client: MongoClient[dict[str, Any]]) -> Iterator[Slow]:
    """Makes commands of one application slow; see `Slow`."""
    slow = Slow(client, f"app_{uuid.uuid4().hex[:12]}")
    yield slow
    slow.stop()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What a test opened, it closed: no client is shared any more, and no thread of ours runs on."""
    before = len(CLIENTS)
    yield
    assert len(CLIENTS) == before
    assert not [each for each in threading.enumerate() if each.name.startswith("pool-test")]
