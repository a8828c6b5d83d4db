"""Fixtures for pytest: a real server, started when it is first asked for, and a database of each test's own.

In the ``conftest.py`` at the top of the tests::

    pytest_plugins = ["integrity.testing.plugin"]

::

    integrity_server      the server, a single-node replica set: once for a session, or a worker of pytest-xdist
    integrity_database    PyMongo's database, empty, and dropped after the test

The server listens on a free port of the loopback interface, and is gone with its folder after the last test, also when
tests fail. It is that of the extra ``embedded``, or the one in ``INTEGRITY_MONGOD``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity.embedded import Mongod


@pytest.fixture(scope="session")
def integrity_server() -> Iterator[Mongod]:
    """A real server: ``integrity_server.uri`` is where it listens."""
    with Mongod() as server:
        yield server


@pytest.fixture(scope="session")
def _integrity_client(integrity_server: Mongod) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](integrity_server.uri) as client:
        yield client


@pytest.fixture
def integrity_database(
    integrity_server: Mongod, _integrity_client: MongoClient[dict[str, Any]]
) -> Iterator[Database[dict[str, Any]]]:
    """A database of the test's own: ``integrity.Database(integrity_database, models=...)`` guards it.

    So is the client, which the test may close.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    with MongoClient[dict[str, Any]](integrity_server.uri) as client:
        yield client[name]
    _end_transactions(_integrity_client)
    _integrity_client.drop_database(name)


def _end_transactions(client: MongoClient[dict[str, Any]]) -> None:
    """Abort what a test has left open: dropping its database would wait for that for as long as it may last."""
    idle: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": True, "idleSessions": True}},
        {"$match": {"transaction": {"$exists": True}}},
    ]
    left = [{"id": each["lsid"]["id"]} for each in client.admin.aggregate(idle) if "lsid" in each]
    if left:
        client.admin.command({"killSessions": left})
