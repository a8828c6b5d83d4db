"""Replies are given as they come from the server: every document byte for byte as it is stored, and each once."""

import gc
import struct
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import encode
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.cursor import AsyncRawBatchCursor
from pymongo.database import Database
from pymongo.errors import CursorNotFound, OperationFailure
from pymongo.synchronous.cursor import RawBatchCursor

from integrity.store import pages
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.motor import MotorStore
from integrity.store.pages import Elements
from integrity.store.port import Pages, Store

Client = MongoClient[dict[str, Any]]
Opened = Callable[[], Any]


@pytest.fixture
def database(client: Client, database_name: str) -> Database[dict[str, Any]]:
    """A database of the test's own."""
    return client[database_name]


@pytest.fixture(params=["blocking", "asynchronous", "motor"])
def opened(request: pytest.FixtureRequest, uri: str, database_name: str) -> Opened:
    """Opens a store of each kind, by a client of its own."""

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Store]:
        if request.param == "blocking":
            with Client(uri) as blocking:
                yield BlockingStore(blocking[database_name])
        elif request.param == "asynchronous":
            async with AsyncMongoClient[dict[str, Any]](uri) as asynchronous:
                yield AsyncStore(asynchronous[database_name])
        else:
            motor: Any = AsyncIOMotorClient(uri)
            try:
                yield MotorStore(motor[database_name])
            finally:
                motor.close()

    return open_it


def taken_apart(reply: bytes) -> list[bytes]:
    """The documents of a reply's array, with their numbers looked at, or of a stream of documents."""
    found: list[bytes] = []
    at = 0
    while at < len(reply):
        if isinstance(reply, Elements):
            head = b"\x03%d\0" % len(found)
            assert reply[at : at + len(head)] == head
            at += len(head)
        size: int = struct.unpack_from("<i", reply, at)[0]
        found.append(reply[at : at + size])
        at += size
    return found


async def read(some: Pages) -> list[bytes]:
    """Every reply until the end."""
    found = []
    while reply := await some.next():
        found.append(reply)
    assert await some.next() == b""
    return found


@pytest.fixture
def documents(database: Database[dict[str, Any]]) -> list[bytes]:
    """Documents of many sizes as they are stored, with what PyMongo would decode and encode as something else."""
    stored = [encode({"_id": at, "text": "\u00e9" * (at % 50), "inner": {"list": [at, "x"]}}) for at in range(250)]
    odd = b"\x10_id\0\xfb\0\0\0" + b"\x0eold\0\x02\0\0\0x\0" + b"\x06gone\0" + b"\x02bad\0\x02\0\0\0\xff\0"
    stored.append(struct.pack("<i", len(odd) + 5) + odd + b"\0")
    database.command(
        {"insert": "many", "documents": [RawBSONDocument(each) for each in stored], "ordered": True},
    )
    assert database.many.count_documents({}) == len(stored)
    return stored


@pytest.mark.parametrize("size", [1, 10, 100, 101, 250, 251, 1000])
async def test_every_document_comes_as_it_is_stored(opened: Opened, documents: list[bytes], size: int) -> None:
    """Over as many replies as it takes, and each of them as the server's array: nothing is taken apart."""
    async with opened() as store:
        found = await read(store.pages("many", {}, batch_size=size, sort=[("_id", 1)]))
    assert [type(each) for each in found] == [Elements] * len(found)
    parts = [taken_apart(each) for each in found]
    assert [len(each) for each in parts] == [size] * (251 // size) + [251 % size] * (251 % size > 0)
    assert [one for each in parts for one in each] == documents


async def test_what_is_asked_for_is_asked_of_the_server(opened: Opened, documents: list[bytes]) -> None:
    async with opened() as store:
        found = await read(store.pages("many", {"_id": {"$lt": 7}}, sort=[("_id", -1)]))
    assert [one for each in found for one in taken_apart(each)] == documents[6::-1]


async def test_nothing_comes_where_nothing_is(opened: Opened, documents: list[bytes]) -> None:
    """No document that is asked for, or no collection at all."""
    assert documents
    async with opened() as store:
        assert await read(store.pages("many", {"_id": -1})) == []
        assert await read(store.pages("missing")) == []


async def test_an_error_of_the_server_is_raised(opened: Opened, documents: list[bytes]) -> None:
    """At once, and in the middle of what is read."""
    assert documents
    async with opened() as store:
        with pytest.raises(OperationFailure, match="unknown top level operator"):
            await read(store.pages("many", {"$wrong": 1}))
        some = store.pages("many", {}, batch_size=10)
        assert len(taken_apart(await some.next())) == 10
        cursor: Any = getattr(some, "_cursor")  # noqa: B009 - what no caller sees
        await store.command({"killCursors": "many", "cursors": [cursor.cursor_id]})
        with pytest.raises(CursorNotFound):
            await some.next()
        await some.close()


def cursors(client: Client) -> int:
    """How many cursors are open on the server."""
    return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])


async def test_no_cursor_is_left_on_the_server(opened: Opened, client: Client, documents: list[bytes]) -> None:
    """Where what is read is left before its end, and where it is read to the end."""
    assert documents
    before = cursors(client)
    async with opened() as store:
        some = store.pages("many", {}, batch_size=10)
        await some.next()
        assert cursors(client) == before + 1
        await some.close()
        assert cursors(client) == before
        await read(store.pages("many", {}, batch_size=100))
        assert cursors(client) == before
        await store.pages("many").close()


@pytest.fixture(params=["no word for it", "other replies", "other payload"])
def another_driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that unpacks replies in some other way than is known."""
    if request.param == "no word for it":
        monkeypatch.setattr(pages, "hasattr", lambda *_: False, raising=False)
    elif request.param == "other replies":
        monkeypatch.setattr(pages, "_BATCHES", {})
    else:
        monkeypatch.setattr(
            pages,
            "getattr",
            lambda of, name, default: default if name != "delegate" else getattr(of, name, default),
            raising=False,
        )


@pytest.mark.usefixtures("another_driver")
async def test_another_driver_gives_its_own_stream(opened: Opened, client: Client, documents: list[bytes]) -> None:
    """Of the same documents, one after the other."""
    before = cursors(client)
    async with opened() as store:
        found = await read(store.pages("many", {}, batch_size=100, sort=[("_id", 1)]))
        assert [type(each) for each in found] == [bytes] * 3
        assert [one for each in found for one in taken_apart(each)] == documents
        some = store.pages("many", {}, batch_size=10)
        await some.next()
        await some.close()
        assert await read(store.pages("missing")) == []
    assert cursors(client) == before


class Reply:
    """A reply of the server."""

    def __init__(self, payload: Any) -> None:
        self.payload_document = payload


@pytest.mark.parametrize("name", ["firstBatch", "nextBatch"])
def test_a_reply_is_read_but_for_its_array(name: str) -> None:
    """What stands behind the array, in the cursor and behind the cursor, is read as ever."""
    documents: Sequence[Any] = [{"_id": 1}, {"_id": 2, "x": "y"}]
    whole = {"cursor": {name: documents, "id": 5, "ns": "a.b"}, "ok": 1.0, "more": {"z": [1]}}
    for payload in (encode(whole), memoryview(encode(whole))):
        (found,) = pages._unpacked(Reply(payload)) or []
        (elements,) = found["cursor"].pop(name)
        assert taken_apart(elements) == [encode(each) for each in documents]
        assert found == {"cursor": {"id": 5, "ns": "a.b"}, "ok": 1.0, "more": {"z": [1]}}
    empty = encode({"cursor": {name: [], "id": 0, "ns": "a.b"}, "ok": 1.0})
    assert pages._unpacked(Reply(empty)) == [{"cursor": {name: [], "id": 0, "ns": "a.b"}, "ok": 1.0}]


@pytest.mark.parametrize(
    "other",
    [
        {"ok": 0.0, "errmsg": "no", "code": 1},
        {"cursor": {"id": 5, "ns": "a.b", "firstBatch": [{"_id": 1}]}, "ok": 1.0},
        {"ok": 1.0, "cursor": {"firstBatch": [{"_id": 1}], "id": 5, "ns": "a.b"}},
        {"cursor": {"firstBatch": {"_id": 1}, "id": 5, "ns": "a.b"}, "ok": 1.0},
        {"cursor": 5, "ok": 1.0},
        {"others": {"firstBatch": [{"_id": 1}], "id": 5, "ns": "a.b"}, "ok": 1.0},
        {},
    ],
)
def test_another_reply_is_the_drivers(other: dict[str, Any]) -> None:
    """An error, or whatever is not in the order that it is known in."""
    assert pages._unpacked(Reply(encode(other))) is None
    assert pages._unpacked(Reply(None)) is None
    assert pages._unpacked(object()) is None


def test_the_driver_still_has_what_is_relied_on() -> None:
    """Where it has not, the driver's own stream is taken, which is slower."""
    assert hasattr(RawBatchCursor, "_unpack_response")
    assert hasattr(AsyncRawBatchCursor, "_unpack_response")


def test_a_cursor_that_nobody_refers_to_is_gone(database: Database[dict[str, Any]]) -> None:
    """Then the driver closes it on the server; in a circle of references it would wait for the collector."""
    database.many.insert_many([{"_id": each} for each in range(10)])
    gc.disable()
    try:
        cursor: Any = pages.uncut(database.many.find_raw_batches(batch_size=2))
        assert next(cursor)
        gone = weakref.ref(cursor)
        del cursor
        assert gone() is None
    finally:
        gc.enable()
