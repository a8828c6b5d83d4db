"""A transaction whose caller is cancelled, or runs out of time: the server is not left with it.

One that is left open holds up for a minute whoever writes to the same documents.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

import integrity
from integrity import Model
from integrity.client import Pool
from tests.writes.shop import MODELS, Page, Span

Raw = Database[dict[str, Any]]


class Plain(Model, collection="plain"):
    id: int


#: What the tests' own clients are called on the server, where their commands are held up.
NAME = "interrupted"


@contextmanager
def held_up(raw: Raw, command: str) -> Iterator[None]:
    """Let the server hold a command up, as one that is too busy to read it; afterwards until it has read them all."""
    data = {"failCommands": [command], "blockConnection": True, "blockTimeMS": 400, "appName": NAME}
    raw.client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        raw.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    while under_way(raw, command):
        time.sleep(0.02)


def under_way(raw: Raw, command: str) -> list[Any]:
    """The commands of this name that the server has of the tests' own clients."""
    ours = {"$match": {"appName": NAME, "active": True, f"command.{command}": {"$exists": True}}}
    return list(raw.client.admin.aggregate([{"$currentOp": {}}, ours]))


async def sent(raw: Raw, command: str) -> None:
    """Wait until the server holds a command up."""
    while not under_way(raw, command):  # noqa: ASYNC110 - it sets no event
        await asyncio.sleep(0.01)


def free(raw: Raw) -> None:
    """Write to what the transaction has written to, or was about to."""
    with pymongo.timeout(5):
        raw["pages"].update_one({"_id": 1}, {"$set": {"text": "free"}})
        raw["spans"].update_one({"_id": 1}, {"$set": {"high": 8}})
    assert raw["pages"].find_one({"_id": 1}, {"text": 1}) == {"_id": 1, "text": "free"}


@asynccontextmanager
async def shop(colour: str, uri: str, raw: Raw) -> AsyncIterator[integrity.aio.Database]:
    """A guarded shop by a client of one name, warm and with two documents."""
    async with integrity.aio.connect(
        uri,
        models=[*MODELS, Plain],
        actor="*",
        database=raw.name,
        pool=Pool(size=3, max_overflow=2, application_name=NAME),
        driver="motor" if colour == "motor" else "pymongo",
    ) as db:
        await db[Page].insert_one({"_id": 1, "text": "first"})
        await db[Span].insert_one({"_id": 1, "low": 1, "high": 5})
        await db[Span].update_one({"_id": 1}, {"$inc": {"high": 1}})
        yield db


async def block(db: integrity.aio.Database) -> None:
    async with db.transaction():
        await db[Page].update_one({"_id": 1}, {"$set": {"text": "second"}})


async def body(db: integrity.aio.Database) -> None:
    await db.with_transaction(lambda _: db[Page].update_one({"_id": 1}, {"$set": {"text": "second"}}))


async def own(db: integrity.aio.Database) -> None:
    await db[Span].update_one({"_id": 1}, {"$inc": {"high": 1}})


WRITES: dict[str, tuple[Callable[[integrity.aio.Database], Coroutine[Any, Any, None]], str]] = {
    "block": (block, "update"),
    "body": (body, "update"),
    "own": (own, "find"),
    "committed": (block, "commitTransaction"),
}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("write", "command"), WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("colour", ["async", "motor"])
async def test_what_a_cancelled_task_has_sent_does_not_come_after_its_abort(
    colour: str,
    write: Callable[[integrity.aio.Database], Coroutine[Any, Any, None]],
    command: str,
    times: int,
    uri: str,
    database_name: str,
    client: MongoClient[dict[str, Any]],
) -> None:
    raw = client[database_name]
    async with shop(colour, uri, raw) as db:
        with held_up(raw, command):
            task = asyncio.create_task(write(db))
            await sent(raw, command)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0.01)
            with pytest.raises(asyncio.CancelledError):
                await task
        free(raw)
        assert db.pool is not None
        while db.pool.stats().in_use:  # noqa: ASYNC110 - what is given back in a thread sets no event
            await asyncio.sleep(0.01)


async def test_an_abort_that_is_cancelled_itself_is_sent(
    uri: str, database_name: str, client: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits for a connection, say."""
    from pymongo.asynchronous.client_session import AsyncClientSession  # noqa: PLC0415 - the driver's own

    real, waiting = AsyncClientSession._finish_transaction_with_retry, asyncio.Event()

    async def late(self: Any, command: str) -> Any:
        waiting.set()
        await asyncio.sleep(0.05)
        return await real(self, command)

    raw = client[database_name]
    async with shop("async", uri, raw) as db:
        monkeypatch.setattr(AsyncClientSession, "_finish_transaction_with_retry", late)

        async def fail() -> None:
            async with db.transaction():
                await db[Page].update_one({"_id": 1}, {"$set": {"text": "second"}})
                raise ZeroDivisionError

        task = asyncio.create_task(fail())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free(raw)


async def test_a_commit_that_is_cancelled_before_it_is_sent_leaves_nothing_open(
    uri: str, database_name: str, client: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver takes it for sent."""
    from pymongo.asynchronous.client_session import AsyncClientSession  # noqa: PLC0415 - the driver's own

    real, waiting = AsyncClientSession._finish_transaction, asyncio.Event()

    async def late(self: Any, connection: Any, command: str) -> Any:
        if command == "commitTransaction":
            waiting.set()
            await asyncio.sleep(10)
        return await real(self, connection, command)

    raw = client[database_name]
    async with shop("async", uri, raw) as db:
        monkeypatch.setattr(AsyncClientSession, "_finish_transaction", late)
        task = asyncio.create_task(block(db))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free(raw)


def test_a_commit_that_comes_after_the_deadline_leaves_nothing_open(
    uri: str, database_name: str, client: MongoClient[dict[str, Any]]
) -> None:
    raw = client[database_name]
    with integrity.connect(uri, models=MODELS, actor="*", database=database_name) as db:
        db[Page].insert_one({"_id": 1, "text": "first"})
        db[Span].insert_one({"_id": 1, "low": 1, "high": 5})

        def late() -> None:
            with pymongo.timeout(0.2), db.transaction():
                db[Page].update_one({"_id": 1}, {"$set": {"text": "second"}})
                time.sleep(0.3)

        with pytest.raises(PyMongoError):
            late()
        free(raw)


@pytest.mark.parametrize("colour", ["async", "motor"])
async def test_a_commit_that_the_deadline_interrupts_leaves_nothing_open(
    colour: str, uri: str, database_name: str, client: MongoClient[dict[str, Any]]
) -> None:
    raw = client[database_name]
    async with shop(colour, uri, raw) as db:
        with held_up(raw, "commitTransaction"), pytest.raises(PyMongoError), pymongo.timeout(0.2):
            await block(db)
        free(raw)


async def test_a_bulk_of_motors_is_at_its_end_before_its_transaction_is_aborted(
    uri: str, database_name: str, client: MongoClient[dict[str, Any]]
) -> None:
    raw = client[database_name]
    raw.create_collection("plain")
    async with shop("motor", uri, raw) as db:

        async def bulk() -> None:
            async with db.transaction():
                await db[Plain].insert_many([{"_id": number} for number in range(6000)])

        async with db.transaction():
            await db[Plain].find_one({})  # what is prepared once is there
        with held_up(raw, "insert"):
            task = asyncio.create_task(bulk())
            await sent(raw, "insert")
            await asyncio.sleep(0.1)  # until nothing is left to be judged
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not under_way(raw, "insert")
        with pymongo.timeout(5):
            raw["plain"].insert_one({"_id": 1})
        assert raw["plain"].count_documents({}) == 1
