"""The caller's deadline, by ``pymongo.timeout()`` or ``timeoutMS``: a transaction is not tried again past it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import pymongo
import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import PyMongoError

import integrity
from integrity import Model, Ref, UnguardedWrite
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore

Client = MongoClient[dict[str, Any]]


class City(Model, collection="cities"):
    id: int


class Shop(Model, collection="shops"):
    id: int
    city: Annotated[int, Ref(City)]


def counted(real: Any, name: str, found: list[str]) -> Any:
    """Return a method that notes each call."""

    async def counting(self: Any, *args: Any, **options: Any) -> None:
        found.append(name)
        await real(self, *args, **options)

    return counting


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was begun and committed, also where the driver sends nothing any more."""
    found: list[str] = []
    for kind in (BlockingStore, AsyncStore):
        for name in ("begin", "commit"):
            monkeypatch.setattr(kind, name, counted(getattr(kind, name), name, found))
    return found


#: How often a transaction is begun and committed until the deadline is over, and once more: and not for two minutes.
FEW = 8


@contextmanager
def slow(client: Client, command: str, application: str) -> Iterator[None]:
    """Let the server hold a command of an application's up for longer than its deadline."""
    data = {"failCommands": [command], "blockConnection": True, "blockTimeMS": 3000, "appName": application}
    client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        client.admin.command({"killAllSessions": []})  # a commit that was cut off leaves its transaction open for long


def fill(client: Client, database_name: str) -> None:
    """Store a parent and a child, and what the protocols keep, however long that takes."""
    db = integrity.Database(client[database_name], models=[City, Shop])
    db[City].insert_one({"id": 1})
    db[Shop].insert_one({"id": 1, "city": 1})


@pytest.mark.parametrize("how", ["pymongo.timeout", "timeoutMS"])
@pytest.mark.parametrize("command", ["update", "commitTransaction"])
def test_a_transaction_ends_at_the_deadline(
    uri: str, client: Client, database_name: str, command: str, how: str, tried: list[str]
) -> None:
    fill(client, database_name)
    said: dict[str, Any] = {"timeoutMS": 1000} if how == "timeoutMS" else {}
    with Client(uri, appname="deadlines", **said) as own:
        db = integrity.Database(own[database_name], models=[City, Shop])
        with slow(client, command, "deadlines"):
            tried.clear()
            with nullcontext() if said else pymongo.timeout(1), pytest.raises(PyMongoError) as caught:
                db[Shop].insert_one({"id": 2, "city": 1})
            assert caught.value.timeout
            assert 1 <= len(tried) <= FEW


async def test_a_transaction_of_a_task_ends_at_the_deadline(
    uri: str, client: Client, database_name: str, tried: list[str]
) -> None:
    fill(client, database_name)
    options: dict[str, Any] = {"appname": "deadlines", "timeoutMS": 1000}
    async with AsyncMongoClient[dict[str, Any]](uri, **options) as own:
        db = integrity.aio.Database(own[database_name], models=[City, Shop])
        with slow(client, "commitTransaction", "deadlines"):
            tried.clear()
            with pytest.raises(PyMongoError):
                await db[Shop].insert_one({"id": 2, "city": 1})
            assert 1 <= len(tried) <= FEW


def test_the_callers_own_body_may_take_longer_than_an_operation(uri: str, client: Client, database_name: str) -> None:
    fill(client, database_name)
    with Client(uri, timeoutMS=2000) as own:
        db = integrity.Database(own[database_name], models=[City, Shop])

        def body(_: Any) -> None:
            db[City].insert_one({"id": 2})
            time.sleep(2.1)
            db[Shop].insert_one({"id": 2, "city": 2})

        db.with_transaction(body)
        assert db[Shop].count_documents({}) == 2


def test_a_parent_in_a_capped_collection_is_refused_at_once(client: Client, database_name: str) -> None:
    client[database_name].create_collection("cities", capped=True, size=100_000)
    db = integrity.Database(client[database_name], models=[City, Shop])
    db[City].insert_one({"id": 1})
    with pytest.raises(UnguardedWrite, match="cannot read a capped collection"):
        db[Shop].insert_one({"id": 1, "city": 1})
    assert db[Shop].count_documents({}) == 0
