"""Many documents at once: judged a portion at a time, and stored in one transaction or looked at together."""

import asyncio
import datetime as dt
import importlib
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.results import InsertManyResult

import integrity
import integrity.aio
from integrity import BeingDeleted, InvalidBulkWrite, Model, Ref
from integrity.declare.reserved import CONDEMNED
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.lean import LeanStore
from integrity.store.port import Store
from integrity.store.run import run
from integrity.writes.batch import Batch
from integrity.writes.insert_many import _Piece
from integrity.writes.outcome import Outcome
from integrity.writes.references.timing import Timing

Client = MongoClient[dict[str, Any]]

PORTION = 4


class Mother(Model, collection="mothers"):
    id: int


class Kid(Model, collection="kids"):
    id: int
    mother: Annotated[int | None, Ref(Mother)] = None
    godmother: Annotated[int | None, Ref(Mother, on_delete="no_action")] = None
    name: str = "Ann"


class Commands(CommandListener):
    """The names of the commands that were sent, and of what."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.comments: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        of = event.command.get(event.command_name)
        self.names.append(f"{event.command_name} {of}" if isinstance(of, str) else event.command_name)
        self.comments.append(event.command.get("comment"))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""


@pytest.fixture(params=["blocking", "asynchronous"])
def insert(request: Any, uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Insert kids: blocking or not, a few in a portion."""
    monkeypatch.setattr(BlockingStore, "portion", PORTION)
    monkeypatch.setattr(AsyncStore, "portion", PORTION)

    def blocking(mode: Any, kids: list[dict[str, Any]], **options: Any) -> Any:
        with Client(uri) as client:
            db = integrity.Database(client[database_name], models=[Mother, Kid], references=mode)
            return db[Kid].insert_many(kids, **options)

    async def other(mode: Any, kids: list[dict[str, Any]], options: Any) -> Any:
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            db = integrity.aio.Database(client[database_name], models=[Mother, Kid], references=mode)
            return await db[Kid].insert_many(kids, **options)

    def asynchronous(mode: Any, kids: list[dict[str, Any]], **options: Any) -> Any:
        return asyncio.run(other(mode, kids, options))

    return blocking if request.param == "blocking" else asynchronous


@pytest.fixture
def stored(client: Client, database_name: str) -> Any:
    """The collection of kids, below three mothers."""
    client[database_name].mothers.insert_many([{"_id": each} for each in range(3)])
    return client[database_name].kids


def kids(count: int, **others: Any) -> list[dict[str, Any]]:
    """Return kids; ``at_7={...}`` is what the one at 7 has instead."""
    found = [{"id": each, "mother": each % 3, "godmother": None, "name": "Ann"} for each in range(count)]
    for name, change in others.items():
        found[int(name.removeprefix("at_"))].update(change)
    return found


MODES = pytest.mark.parametrize("mode", ["pinned", "optimistic"])
COUNTS = pytest.mark.parametrize("count", [PORTION, 3 * PORTION - 1])


@MODES
@COUNTS
def test_all_are_stored_in_their_order(insert: Any, stored: Any, mode: Any, count: int) -> None:
    result = insert(mode, kids(count), ordered=count == PORTION)
    assert result.inserted_ids == list(range(count))
    assert [each["_id"] for each in stored.find()] == list(range(count))


FAULTS: dict[str, dict[str, Any]] = {
    "dangling": {"mother": 99},
    "of the wrong type": {"mother": "x"},
    "refused by the judge": {"name": ""},
    "refused by the server": {"id": 0},
}


@MODES
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_in_a_later_portion_fails_alone(
    insert: Any, stored: Any, mode: Any, ordered: bool, fault: str
) -> None:
    count, at = 3 * PORTION, 2 * PORTION + 1
    with pytest.raises(InvalidBulkWrite) as failed:
        insert(mode, kids(count, **{f"at_{at}": FAULTS[fault]}), ordered=ordered)
    expected = [each for each in range(count) if each < at or (each > at and not ordered)]
    assert [each["index"] for each in failed.value.details["writeErrors"]] == [at]
    assert sorted(each["_id"] for each in stored.find()) == expected
    assert failed.value.details["nInserted"] == len(expected)


@MODES
def test_one_that_fails_in_every_portion(insert: Any, stored: Any, mode: Any) -> None:
    wrong = {"at_1": FAULTS["dangling"], "at_5": {"id": 0}, "at_6": FAULTS["refused by the judge"], "at_9": {"id": 3}}
    with pytest.raises(BulkWriteError) as failed:
        insert(mode, kids(12, **wrong), ordered=False)
    assert [each["index"] for each in failed.value.details["writeErrors"]] == [1, 5, 6, 9]
    assert failed.value.details["nInserted"] == stored.count_documents({}) == 8


def test_a_transaction_that_begins_again_counts_once(insert: Any, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = LeanStore.inserted

    async def conflicting(self: LeanStore, collection: str, documents: Any, session: Any, **options: Any) -> Any:
        calls.append(len(documents))
        if len(calls) == 2:  # the second portion, when the third one is being judged
            labels = {"errorLabels": ["TransientTransactionError"]}
            raise OperationFailure("WriteConflict", 112, labels)
        return await real(self, collection, documents, session, **options)

    monkeypatch.setattr(LeanStore, "inserted", conflicting)
    first, *others = kids(3 * PORTION)
    with pytest.raises(InvalidBulkWrite) as failed:
        insert("pinned", [{**first, "ghost": 1}, *others], ordered=False)
    assert [each["index"] for each in failed.value.details["writeErrors"]] == [0]
    assert len(failed.value.violations) == 1
    assert failed.value.details["nInserted"] == stored.count_documents({}) == 3 * PORTION - 1
    assert calls == [PORTION - 1, PORTION, PORTION - 1, PORTION, PORTION]


def test_what_the_server_refuses_is_told_as_the_driver_tells_it(insert: Any, stored: Any) -> None:
    with pytest.raises(BulkWriteError) as failed:
        insert("pinned", kids(PORTION, at_1={"id": 0}, at_2={"id": 0}), ordered=False)
    assert [(each["index"], each["op"]["_id"]) for each in failed.value.details["writeErrors"]] == [(1, 0), (2, 0)]


@pytest.mark.parametrize("comment", [None, "mine"])
def test_a_comment_goes_with_every_portion(
    uri: str, database_name: str, stored: Any, comment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BlockingStore, "portion", PORTION)
    sent = Commands()
    with Client(uri, event_listeners=[sent]) as client:
        db = integrity.Database(client[database_name], models=[Mother, Kid], references="pinned")
        db[Kid].insert_many(kids(2 * PORTION), comment=comment)
    assert [each for name, each in zip(sent.names, sent.comments, strict=True) if name == "insert kids"] == [
        comment
    ] * 2


@pytest.mark.parametrize("began", [True, False])
def test_in_a_transaction_of_the_callers_the_first_command_may_be_too_long(
    uri: str, database_name: str, stored: Any, began: Any
) -> None:
    """The driver says that a transaction begins with the command that it then does not send."""
    some = {f"at_{each}": {"name": "A" * 6_000_000} for each in (1, 2, 3)}
    orphans = [{**each, "mother": None} for each in kids(4, **some)]
    with Client(uri) as client:
        db = integrity.Database(client[database_name], models=[Mother, Kid], references="pinned")
        with db.transaction():
            if began:
                db[Kid].insert_one({"id": 9})
            db[Kid].insert_many(orphans)
    assert stored.count_documents({}) == 4 + began


def test_outside_of_a_transaction_the_driver_inserts() -> None:
    """It has the write concern, and repeats a command."""
    sent = []

    async def insert_many(*args: Any, **options: Any) -> InsertManyResult:
        sent.append((*args, options))
        return InsertManyResult([1], acknowledged=True)

    store: Any = SimpleNamespace(insert_many=insert_many)
    guard: Any = SimpleNamespace(collection="kids", store=store, entry=None)
    batch = Batch(range(1), [{"_id": 1}])
    piece = _Piece(guard, [{"_id": 1}], batch, 1, Outcome(guard.entry, ordered=True, joined=False), {})
    piece.restart()
    assert run(piece._inserted(batch.documents, None, store)) == ([1], True)
    assert sent == [("kids", [{"_id": 1}], {"ordered": True})]


PORTIONS = ["insert kids"] * 3
SENT: dict[str, list[str]] = {
    "pinned": ["find mothers", "update integrity.pins", *PORTIONS, "commitTransaction"],
    "optimistic": [*PORTIONS, "find mothers"],
    "in a transaction": ["find mothers", "update integrity.pins", *PORTIONS, "commitTransaction"],
}


@pytest.mark.parametrize("how", SENT)
def test_what_they_name_is_looked_at_once(
    uri: str, database_name: str, stored: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BlockingStore, "portion", PORTION)
    monkeypatch.setattr(BlockingStore, "patient", False)
    sent = Commands()
    mode: Any = "optimistic" if how == "optimistic" else "pinned"
    with Client(uri, event_listeners=[sent]) as client:
        db = integrity.Database(client[database_name], models=[Mother, Kid], references=mode)
        db[Kid].insert_many([{"id": -each, "mother": each - 1} for each in (1, 2, 3)])
        sent.names.clear()
        with db.transaction() if how == "in a transaction" else nullcontext():
            db[Kid].insert_many(kids(3 * PORTION))
        names = list(sent.names)
    assert names == SENT[how]
    assert stored.count_documents({}) == 3 * PORTION + 3


def test_a_transaction_holds_so_many_bytes(insert: Any, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first portion is short and the next ones are long."""
    monkeypatch.setattr(importlib.import_module("integrity.writes.insert_many"), "BYTES", 2000)
    begun = []
    real = Store.matched

    async def counting(self: Store, collection: str, *args: Any, **options: Any) -> int:
        begun.append(collection)
        return await real(self, collection, *args, **options)

    for each in (BlockingStore, AsyncStore):
        monkeypatch.setattr(each, "matched", counting)
    long = {f"at_{each}": {"name": "A" * 600} for each in range(PORTION, 3 * PORTION)}
    assert insert("pinned", kids(3 * PORTION, **long)).inserted_ids == list(range(3 * PORTION))
    assert stored.count_documents({}) == 3 * PORTION
    assert len(begun) == 1 + 4, "four short ones; and eight long ones, two in a transaction"


@pytest.mark.parametrize("place", [0, 3])
def test_more_than_a_command_holds_is_sent_all_the_same(insert: Any, stored: Any, place: int) -> None:
    """A portion of more than 16 MB: told by its first document, or found out when it is encoded."""
    long = {f"at_{each}": {"name": "A" * 6_000_000} for each in range(PORTION) if place == 0 or each}
    assert insert("pinned", kids(2 * PORTION, **long)).inserted_ids == list(range(2 * PORTION))
    assert stored.count_documents({}) == 2 * PORTION


@pytest.mark.parametrize("ordered", [True, False])
def test_one_that_no_command_holds_is_refused_by_itself(insert: Any, stored: Any, ordered: Any) -> None:
    with pytest.raises(InvalidBulkWrite, match="the _id 1 would be larger") as caught:
        insert("pinned", kids(2 * PORTION, at_1={"name": "A" * 17_000_000}), ordered=ordered)
    assert stored.count_documents({}) == caught.value.details["nInserted"] == (1 if ordered else 2 * PORTION - 1)


def test_some_may_name_nothing(insert: Any, stored: Any) -> None:
    """The first portion needs no transaction, and the second one does."""
    nothing = {f"at_{each}": {"mother": None} for each in range(PORTION + 1)}
    assert insert("pinned", kids(3 * PORTION, **nothing)).inserted_ids == list(range(3 * PORTION))
    assert stored.count_documents({}) == 3 * PORTION


def test_what_a_careless_reference_has_seen_a_careful_one_looks_at_again(client: Client, stored: Any) -> None:
    """The careless one does not ask whether it is condemned."""
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    stored.database.mothers.update_one({"_id": 1}, {"$set": {CONDEMNED: {"by": "somebody", "until": soon}}})

    class Careless(Model, collection="kids"):
        id: int
        godmother: Annotated[int | None, Ref(Mother, on_delete="no_action")] = None
        mother: Annotated[int | None, Ref(Mother)] = None

    db = integrity.Database(client[stored.database.name], models=[Mother, Careless], references="pinned")
    db._guards.references.timing = Timing(patience=0.1)
    with pytest.raises(BeingDeleted):
        db[Careless].insert_many([{"id": 1, "godmother": 1, "mother": 0}, {"id": 2, "godmother": 1, "mother": 1}])
    assert stored.count_documents({}) == 0
