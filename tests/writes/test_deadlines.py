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

Client = MongoClient[dict[str, Any]]


class City(Model, collection="cities"):
    id: int


class Shop(Model, collection="shops"):
    id: int
    city: Annotated[int, Ref(City)]


@contextmanager
def slow(client: Client, command: str, application: str) -> Iterator[None]:
    """Let the server hold a command of an application's up for two seconds."""
    data = {"failCommands": [command], "blockConnection": True, "blockTimeMS": 2000, "appName": application}
    client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        client.admin.command({"killAllSessions": []})  # a commit that was cut off leaves its transaction open for long


@pytest.mark.parametrize("how", ["pymongo.timeout", "timeoutMS"])
@pytest.mark.parametrize("command", ["update", "commitTransaction"])
def test_a_transaction_ends_at_the_deadline(
    uri: str, client: Client, database_name: str, command: str, how: str
) -> None:
    said: dict[str, Any] = {"timeoutMS": 500} if how == "timeoutMS" else {}
    with Client(uri, appname="deadlines", **said) as own:
        db = integrity.Database(own[database_name], models=[City, Shop])
        db[City].insert_one({"id": 1})
        db[Shop].insert_one({"id": 1, "city": 1})
        with slow(client, command, "deadlines"):
            start = time.monotonic()
            with nullcontext() if said else pymongo.timeout(0.5), pytest.raises(PyMongoError) as caught:
                db[Shop].insert_one({"id": 2, "city": 1})
            assert caught.value.timeout
            assert time.monotonic() - start < 2


async def test_a_transaction_of_a_task_ends_at_the_deadline(uri: str, client: Client, database_name: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](uri, appname="deadlines", timeoutMS=500) as own:
        db = integrity.aio.Database(own[database_name], models=[City, Shop])
        await db[City].insert_one({"id": 1})
        await db[Shop].insert_one({"id": 1, "city": 1})
        with slow(client, "commitTransaction", "deadlines"):
            start = time.monotonic()
            with pytest.raises(PyMongoError):
                await db[Shop].insert_one({"id": 2, "city": 1})
            assert time.monotonic() - start < 2


def test_the_callers_own_body_may_take_longer_than_an_operation(uri: str, database_name: str) -> None:
    with Client(uri, timeoutMS=1000) as own:
        db = integrity.Database(own[database_name], models=[City, Shop])

        def body(_: Any) -> None:
            db[City].insert_one({"id": 1})
            time.sleep(1.1)
            db[Shop].insert_one({"id": 1, "city": 1})

        db.with_transaction(body)
        assert db[Shop].count_documents({}) == 1


def test_a_parent_in_a_capped_collection_is_refused_at_once(client: Client, database_name: str) -> None:
    client[database_name].create_collection("cities", capped=True, size=100_000)
    db = integrity.Database(client[database_name], models=[City, Shop])
    db[City].insert_one({"id": 1})
    with pytest.raises(UnguardedWrite, match="cannot read a capped collection"):
        db[Shop].insert_one({"id": 1, "city": 1})
    assert db[Shop].count_documents({}) == 0
