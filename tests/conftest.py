"""The servers that the tests run on: real ones, started once per worker and when first asked for.

    mongod      a single-node replica set: transactions and change streams
    standalone  no replica set: no transactions
    replica     three members, with elections; a test that kills one restarts it

All three have enableTestCommands, so that a test can make commands fail (`failCommand`).
"""

import os
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from pymongo import MongoClient

from integrity.embedded import Mongod

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that: the programs
# that the tests interrupt would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a change is what turns a test red, and no chance. `make torture` looks for others.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None, print_blob=True)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

TEST_COMMANDS = ("--setParameter", "enableTestCommands=1")


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """A single-node replica set."""
    with Mongod(args=TEST_COMMANDS) as server:
        yield server


@pytest.fixture(scope="session")
def standalone() -> Iterator[Mongod]:
    """A server that is no replica set."""
    with Mongod(standalone=True, args=TEST_COMMANDS) as server:
        yield server


@pytest.fixture(scope="session")
def replica() -> Iterator[Mongod]:
    """A replica set of three members."""
    with Mongod(members=3, args=TEST_COMMANDS) as server:
        yield server


@pytest.fixture(scope="session")
def uri(mongod: Mongod) -> str:
    """Where `mongod` listens."""
    return mongod.uri


@pytest.fixture(scope="session")
def client(uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """PyMongo's client of `mongod`; shared, so a test that closes one makes its own."""
    with MongoClient[dict[str, Any]](uri) as client:
        yield client


@pytest.fixture
def database_name(client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """A database of the test's own, dropped after it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    client.drop_database(name)
