"""The caller's own transactions: guarded writes join them, see them, and roll back with them."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from contextlib import nullcontext
from typing import Any

import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import DeleteOne, InsertOne, MongoClient
from pymongo.database import Database
from pymongo.errors import InvalidOperation, OperationFailure
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import integrity
from integrity import ImmutableField, IntegrityError, InvalidBulkWrite, InvalidDocument, TransactionRequired
from integrity.embedded import Mongod
from tests.writes.conftest import stored
from tests.writes.handles import Handle, opened
from tests.writes.shop import CUSTOMER, MODELS, Customer, Node, Span

Raw = Database[dict[str, Any]]


async def test_what_is_written_in_the_block_is_seen_there_and_committed_at_its_end(db: Handle, raw: Raw) -> None:
    async with db.transaction() as tx:
        await db[Node].insert_one({"_id": 1})
        await db.acting_as("somebody")[Node].insert_one({"_id": 2, "parent": 1})
        await db[Node].insert_one({"_id": 3}, session=tx.session)
        assert await db[Node].count_documents({}) == 3
        assert [each["_id"] for each in await db[Node].all(sort=[("_id", 1)])] == [1, 2, 3]
        assert await db[Node].piped([{"$count": "n"}]) == [{"n": 3}]
        assert raw["nodes"].count_documents({}) == 0
    assert raw["nodes"].count_documents({}) == 3


async def test_every_operation_is_part_of_the_block(db: Handle, raw: Raw) -> None:
    nodes, spans = db[Node], db[Span]
    await nodes.insert_many([{"_id": each} for each in range(6)])
    await spans.insert_many([{"_id": each, "low": each, "high": 9} for each in range(5)])
    before = stored(raw)

    async def all_of_them() -> None:
        async with db.transaction():
            await nodes.insert_one({"_id": 8, "parent": 5})
            assert await nodes.find_one(8) == {"_id": 8, "parent": 5}
            assert 8 in await nodes.distinct("_id")
            assert not (await nodes.plan_delete({"_id": 5})).allowed
            await nodes.insert_many([{"_id": 9}])
            await nodes.delete_one({"_id": 0})
            await nodes.delete_many({"_id": 1})
            assert await nodes.find_one_and_delete({"_id": 2}) == {"_id": 2, "parent": None}
            await nodes.bulk_write([DeleteOne({"_id": 3}), InsertOne({"_id": 10})])
            await spans.update_one({"_id": 0}, {"$set": {"low": -1}})
            await spans.update_many({"_id": 1}, {"$set": {"low": -2}})
            await spans.replace_one({"_id": 2}, {"low": -3, "high": 3})
            await spans.find_one_and_update({"_id": 3}, {"$set": {"low": -4}})
            await spans.find_one_and_replace({"_id": 4}, {"low": -5, "high": 5})
            assert await spans.count_documents({"low": {"$lt": 0}}) == 5
            assert stored(raw) == before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await all_of_them()
    assert stored(raw) == before


async def test_the_first_write_to_a_database_may_be_a_transaction(db: Handle, raw: Raw) -> None:
    assert raw.list_collection_names() == []
    async with db.transaction():
        await db[Span].insert_one({"_id": 1, "low": 1, "high": 5})  # begins it, and needs nothing of the library's
        await db[Node].insert_one({"_id": 1})
        await db[Node].insert_one({"_id": 2, "parent": 1})
    assert raw["nodes"].count_documents({}) == 2


async def test_an_exception_rolls_everything_back(db: Handle, raw: Raw) -> None:
    await db[Span].insert_one({"_id": 1, "low": 1, "high": 5})
    before = stored(raw)

    async def fail() -> None:
        async with db.transaction():
            await db[Node].insert_one({"_id": 1})
            await db[Span].update_one({"_id": 1}, {"$inc": {"low": 1}})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert stored(raw) == before
    await db[Node].insert_one({"_id": 1})  # the block is over: nothing is joined


async def test_a_refused_write_that_is_caught_leaves_no_byte_in_a_transaction_that_goes_on(
    db: Handle, raw: Raw
) -> None:
    await db[Span].insert_many([{"_id": 1, "low": 1, "high": 5}, {"_id": 2, "low": 2, "high": 50}])
    before = stored(raw)
    async with db.transaction():
        await db[Span].insert_one({"_id": 7, "low": 7, "high": 15})  # what only the transaction sees is judged, too
        for call in (
            db[Span].update_one({"_id": 7}, {"$inc": {"low": 9}}),
            db[Span].update_many({"_id": 7}, {"$inc": {"low": 9}}),
            db[Span].update_one({"_id": 1}, {"$inc": {"low": 9}}),
            db[Span].update_many({}, {"$inc": {"low": 9}}),
            db[Span].update_one({"_id": 3, "low": 9}, {"$inc": {"high": 2}}, upsert=True),
            db[Span].find_one_and_update({"_id": 1}, [{"$set": {"high": "$$ROOT"}}]),
            db[Span].replace_one({"_id": 1}, {"low": 9, "high": 1}),
            db[Span].insert_one({"_id": 4, "low": 9, "high": 1}),
        ):
            with pytest.raises(InvalidDocument):
                await call
        assert await db[Span].find_one_and_delete({"_id": 7}) == {"_id": 7, "low": 7, "high": 15}
        await db[Node].insert_one({"_id": 1})
    after = stored(raw)
    assert after.pop("nodes") != before.pop("nodes")
    assert after == before


async def test_rolling_back_by_hand_ends_the_block_for_every_operation(db: Handle, raw: Raw) -> None:
    async with db.transaction() as tx:
        await db[Node].insert_one({"_id": 1})
        outcome = tx.rollback()
        if outcome is not None:
            await outcome
        with pytest.raises(InvalidOperation, match="has ended"):
            await db[Node].insert_one({"_id": 2})
    assert raw["nodes"].count_documents({}) == 0


async def test_there_is_no_transaction_inside_of_another(db: Handle) -> None:
    async with db.transaction():
        with pytest.raises(InvalidOperation, match="already"):
            async with db.transaction():
                pass


def test_a_session_of_pymongos_own_is_joined(client: MongoClient[dict[str, Any]], raw: Raw) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Span].insert_one({"_id": 1, "low": 1, "high": 5})
    with client.start_session() as session, session.start_transaction():
        db[Span].update_one({"_id": 1}, {"$inc": {"low": 1}}, session=session)
        assert raw["spans"].find_one({}, {"low": 1}) == {"_id": 1, "low": 1}
        session.abort_transaction()
    assert raw["spans"].find_one({}, {"low": 1}) == {"_id": 1, "low": 1}


def test_with_transaction_runs_its_body_again_where_it_met_another(raw: Raw) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Span].insert_one({"_id": 1, "low": 0, "high": 50})
    calls: list[int] = []

    def body(tx: Any) -> str:
        found = db[Span].find_one({"_id": 1})
        assert found is not None
        if not calls:  # another writer comes in between
            raw["spans"].update_one({"_id": 1}, {"$inc": {"low": 1}})
        calls.append(found["low"])
        db[Span].update_one({"_id": 1}, {"$set": {"low": found["low"] + 10}}, session=tx.session)
        return "done"

    assert db.with_transaction(body) == "done"
    assert calls == [0, 1]
    assert raw["spans"].distinct("low") == [11]


async def test_with_transaction_of_an_asynchronous_database(uri: str, database_name: str, raw: Raw) -> None:
    async with opened("async", uri, database_name, models=MODELS) as handle:

        async def body(tx: Any) -> int:
            assert tx.session.in_transaction
            await handle[Node].insert_one({"_id": 1})
            return 5

        assert await handle.db.with_transaction(body) == 5
    assert raw["nodes"].count_documents({}) == 1


async def test_each_task_has_its_own_transaction(uri: str, database_name: str, raw: Raw) -> None:
    async with opened("async", uri, database_name, models=MODELS) as db:
        await db[Node].insert_one({"_id": 0})

        async def one(number: int, *, fail: bool) -> None:
            async with db.transaction():
                await db[Node].insert_one({"_id": number})
                await asyncio.sleep(0)
                if fail:
                    raise ZeroDivisionError

        await asyncio.gather(*(one(each, fail=each % 2 == 0) for each in range(1, 7)), return_exceptions=True)
    assert sorted(raw["nodes"].distinct("_id")) == [0, 1, 3, 5]


async def test_a_task_that_outlives_the_block_it_was_started_in_is_told_how(
    uri: str, database_name: str, raw: Raw
) -> None:
    async with opened("async", uri, database_name, models=MODELS) as db:
        over = asyncio.Event()

        async def later(number: int) -> None:
            await over.wait()
            await db[Node].insert_one({"_id": number})

        async with db.transaction():
            inside = asyncio.create_task(later(1))
            apart = asyncio.create_task(later(2), context=contextvars.Context())
            await asyncio.sleep(0)
        over.set()
        with pytest.raises(InvalidOperation, match="a context of its own"):
            await inside
        await apart
    assert raw["nodes"].distinct("_id") == [2]


async def test_a_block_that_is_left_elsewhere_than_it_was_entered_says_so(
    uri: str, database_name: str, raw: Raw
) -> None:
    """A framework may run each half of a fixture or a dependency in a thread or task of its own."""
    async with opened("async", uri, database_name, models=MODELS) as db:
        block = db.transaction()
        tx = await asyncio.create_task(block.__aenter__())
        await db[Node].insert_one({"_id": 1})
        await db[Node].insert_one({"_id": 2}, session=tx.session)
        error = ZeroDivisionError()
        with pytest.warns(RuntimeWarning, match=r"only where session=tx.session was passed") as warned:
            await block.__aexit__(type(error), error, None)
        assert len(warned) == 1
    assert raw["nodes"].distinct("_id") == [1]


def test_so_does_a_blocking_one(client: MongoClient[dict[str, Any]], raw: Raw) -> None:
    db = integrity.Database(client[raw.name], models=MODELS)
    for error in (None, ZeroDivisionError()):
        block = db.transaction()
        contextvars.copy_context().run(block.__enter__)
        db[Node].insert_one({"_id": 1 if error else 2})
        with pytest.warns(RuntimeWarning, match="entered in another thread, task or context") as warned:
            block.__exit__(type(error) if error else None, error, None)
        assert warned[0].filename == __file__
    assert sorted(raw["nodes"].distinct("_id")) == [1, 2]
    assert not db[Node].find_one({"_id": 3})  # nothing is left bound here


_NEVER_LEFT = """
import sys
import integrity
from tests.writes.shop import MODELS, Node
tx = integrity.connect(sys.argv[1], database=sys.argv[2], models=MODELS).transaction()
tx.__enter__()
"""


def test_an_interpreter_ends_with_a_block_that_was_never_left(uri: str, raw: Raw) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _NEVER_LEFT, uri, raw.name], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


class Commands(CommandListener):
    """The names of what was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command_name)

    def succeeded(self, _: CommandSucceededEvent) -> None: ...

    def failed(self, _: CommandFailedEvent) -> None: ...


@pytest.mark.parametrize(
    ("fails", "outcome"),
    [
        ({"errorCode": 50}, (1, 1, False)),  # MaxTimeMSExpired: who limits it has waited as long as they wanted to
        ({"errorCode": 64}, (1, 2, True)),  # WriteConcernFailed: whether it is committed is not known
        ({"errorCode": 251, "errorLabels": ["TransientTransactionError"]}, (2, 2, True)),  # it is not: all of it again
    ],
)
def test_a_commit_is_repeated_as_its_error_says(
    uri: str, database_name: str, fails: dict[str, Any], outcome: tuple[int, int, bool]
) -> None:
    seen = Commands()
    data = {"failCommands": ["commitTransaction"], "appName": database_name, **fails}
    with MongoClient[dict[str, Any]](uri, appname=database_name, event_listeners=[seen]) as client:
        db = integrity.Database(client[database_name], models=MODELS)
        db[Node].insert_one({"_id": 1, "parent": 1})
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        seen.sent.clear()
        with nullcontext() if outcome[2] else pytest.raises(OperationFailure):
            db[Node].insert_one({"_id": 2, "parent": 1})
        counts = (seen.sent.count("insert"), seen.sent.count("commitTransaction"))
        assert (*counts, bool(db[Node].find_one({"_id": 2}))) == outcome


async def test_a_duplicate_in_a_transaction_is_ours(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    with pytest.raises(IntegrityError, match="UNQ001"):
        async with db.transaction():
            await db[Customer].insert_one({**CUSTOMER, "_id": 2})
    assert raw["customers"].count_documents({}) == 1


async def test_an_unordered_bulk_ends_with_the_transaction_that_the_server_has_aborted(db: Handle, raw: Raw) -> None:
    """What comes after is not sent: its error would say of a duplicate that the transaction may be run again."""
    await db[Node].insert_one({"_id": 1})
    await db[Span].insert_one({"_id": 1, "low": 1, "high": 1})
    with pytest.raises(InvalidBulkWrite, match="UNQ001") as caught:
        async with db.transaction():
            await db[Node].bulk_write([InsertOne({"_id": 1}), InsertOne({"_id": 2})], ordered=False)
    assert not caught.value.has_error_label("TransientTransactionError")
    for after in ([], [{"_id": 2, "parent": 3}]):
        with pytest.raises(InvalidBulkWrite, match="UNQ001"):
            async with db.transaction():
                await db[Node].insert_many([{"_id": 1}, *after], ordered=False)
    more_than_one_command = [{"_id": each, "low": each, "high": each} for each in range(1, 2200)]
    with pytest.raises(InvalidBulkWrite, match="UNQ001"):
        async with db.transaction():
            await db[Span].insert_many(more_than_one_command, ordered=False)
    assert raw["nodes"].distinct("_id") == raw["spans"].distinct("_id") == [1]


@pytest.mark.parametrize("method", ["update_one", "update_many"])
async def test_what_is_written_once_is_so_in_a_document_of_any_size(db: Handle, raw: Raw, method: str) -> None:
    """Of a large one the driver gives the bytes as a view; it passed for a document without any field before."""
    await db[Customer].insert_one({**CUSTOMER, "name": "A" * 5000})
    async with db.transaction():
        with pytest.raises(ImmutableField):
            await getattr(db[Customer], method)({"_id": 1}, {"$unset": {"country": ""}})
    assert raw["customers"].distinct("country") == ["NL"]


def test_a_standalone_server_says_that_it_has_no_transactions(standalone: Mongod) -> None:
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        db = integrity.Database(client["lonely"], models=[Node])
        with pytest.raises(TransactionRequired, match="replica set"), db.transaction():
            db[Node].insert_one({"_id": 1})
        client.drop_database("lonely")


UNUSUAL: dict[str, bytes] = {
    "a symbol": b"\x0elabel\x00\x02\x00\x00\x00a\x00",
    "undefined": b"\x06label\x00",
    "no UTF-8": b"\x02label\x00\x03\x00\x00\x00\xff\xfe\x00",
    "much": b"\x02label\x00\x89\x13\x00\x00" + b"x" * 5000 + b"\x00",  # the driver gives it as a view of its reply
}


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("field", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_put_back_has_its_own_bytes(
    client: MongoClient[Any], database_name: str, field: bytes, many: bool
) -> None:
    """A document of another program, with what no document of Python's has."""
    low, high = (b"\x10" + name + b"\x00" + bytes([number, 0, 0, 0]) for name, number in ((b"low", 1), (b"high", 5)))
    body = b"\x10_id\x00\x01\x00\x00\x00" + low + high + field + b"\x00"
    original = RawBSONDocument((len(body) + 4).to_bytes(4, "little") + body)
    client[database_name]["spans"].insert_one(original)
    db = integrity.Database(client[database_name], models=MODELS, actor="*")
    with db.transaction():
        update = db[Span].update_many if many else db[Span].update_one
        with pytest.raises(InvalidDocument):
            update({"_id": 1}, {"$inc": {"low": 50}})
    assert stored(client[database_name])["spans"] == [original.raw]


@pytest.mark.parametrize("block", [True, False], ids=["its abort", "its own undoing"])
async def test_what_a_cancelled_task_of_motors_still_sends_does_not_overtake(
    uri: str, database_name: str, raw: Raw, block: bool
) -> None:
    raw.create_collection("nodes")

    class Late(CommandListener):
        """Holds an insert back, in its thread."""

        def __init__(self) -> None:
            self.sending, self.go = threading.Event(), threading.Event()

        def started(self, event: CommandStartedEvent) -> None:
            if event.command_name == "insert" and event.command["insert"] == "nodes":
                self.sending.set()
                self.go.wait(10)

        def succeeded(self, _: object) -> None: ...
        def failed(self, _: object) -> None: ...

    late = Late()
    motor: Any = AsyncIOMotorClient(uri, event_listeners=[late])
    db = integrity.aio.Database(motor[database_name], models=MODELS)

    async def write() -> None:
        async with db.transaction():
            await db[Node].insert_one({"_id": 1})

    async def undone() -> None:
        try:
            await db[Node].insert_one({"_id": 1})
        except asyncio.CancelledError:
            await db[Node].delete_one({"_id": 1})
            raise

    task = asyncio.create_task(write() if block else undone())
    await asyncio.to_thread(late.sending.wait, 10)
    task.cancel()
    await asyncio.wait([task], timeout=0.3)  # what takes the insert back waits for it
    late.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    motor.close()
    with pymongo.timeout(5):  # a transaction that is left open would hold it up for a minute
        raw["nodes"].insert_one({"_id": 1})
