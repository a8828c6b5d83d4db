"""What a synchronisation may forget, what it tells again, and what it waits for."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pydantic import Field
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.write_concern import WriteConcern

import integrity
from integrity import CopyOf, Model, Ref
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.copies import Synced, keeping, recording, sync, waiting
from tests.lagging import alone
from tests.ownership.library import MODELS, Author, Award, Book
from tests.ownership.test_refresh import ADA
from tests.writes.handles import Awaited, Handle

Raw = Database[dict[str, Any]]
Client = MongoClient[dict[str, Any]]

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Slip(Model, collection="slips"):
    id: int
    book_id: Annotated[int, Ref(Book)]
    author: Annotated[str | None, CopyOf(Book, "author", via="book_id"), Field(max_length=5)] = None
    writer: Annotated[str | None, CopyOf(Book, "author", via="book_id")] = None


def recorded(raw: Raw, collection: str, path: str, key: Any) -> None:
    """Record copies of an owner as possibly stale, as a writer that died has."""
    said = {"collection": collection, "path": path, "key": key, "change": ObjectId(), "until": PAST}
    raw["integrity.refreshes"].insert_one({"_id": f"{collection}:{path}:{key}", **said})


def synced(db: integrity.Database, raw: Raw, tell: Callable[[str], None] | None = None) -> Synced:
    return run(sync(db._guards.copies, BlockingStore(raw), progress=tell))


def records(raw: Raw) -> list[str]:
    return [each["_id"] for each in raw["integrity.refreshes"].find().sort("_id")]


@contextmanager
def hasty(replica: Mongod, name: str) -> Iterator[tuple[integrity.Database, Raw, Client]]:
    """A library whose writes wait for a majority for 300 ms only, with a stale copy that every member has heard of."""
    with Client(replica.uri, w=1, wtimeoutMS=300) as client, Client(replica.uri, w=3) as patient:
        try:
            db = integrity.Database(patient[name], models=MODELS, actor="*")
            db[Author].insert_one(dict(ADA))
            db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
            patient[name]["authors"].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
            recorded(patient[name], "books", "author", 1)
            soon = integrity.Database(client[name], models=MODELS, actor="*")
            run(soon._guards.references.prepare(soon._guards.store))
            yield soon, client[name], patient
        finally:
            patient.drop_database(name)


def test_a_record_is_not_forgotten_for_copies_that_no_majority_has(replica: Mongod, database_name: str) -> None:
    """With the primary that has them, and the process that refreshed them, the copies would be stale again."""
    with hasty(replica, database_name) as (db, raw, patient):
        with alone(patient):
            # By one that died before its majority was there.
            raw["books"].with_options(write_concern=WriteConcern(1)).update_one({}, {"$set": {"author": "Ada L."}})
            with pytest.raises(PyMongoError, match="time"):
                synced(db, raw)
            assert records(raw) == ["books:author:1"]
        assert synced(db, raw).finished == 1
        assert records(raw) == []


def test_a_record_is_not_forgotten_for_an_owner_that_only_the_primary_takes_for_deleted(
    replica: Mongod, database_name: str
) -> None:
    with hasty(replica, database_name) as (db, raw, patient), alone(patient):
        raw["authors"].with_options(write_concern=WriteConcern(1)).delete_one({"_id": 1})
        with pytest.raises(PyMongoError, match="time"):
            synced(db, raw)
        assert records(raw) == ["books:author:1"]


class _Told(CommandListener):
    """Notes what was asked for, outside of transactions with its read concern."""

    def __init__(self) -> None:
        self.found: list[tuple[str, ...]] = []

    def started(self, event: CommandStartedEvent) -> None:
        name, concern = event.command_name, event.command.get("readConcern", {})
        what = [name, str(event.command[name])]
        if name == "find" and "autocommit" not in event.command:
            what += [concern.get("level", "local"), "later" if "afterClusterTime" in concern else "first"]
        self.found.append(tuple(what))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""


@pytest.fixture
def told(uri: str) -> Iterator[tuple[Client, _Told]]:
    """A client of its own, and what is asked for by it."""
    listener = _Told()
    with Client(uri, event_listeners=[listener], readPreference="secondaryPreferred") as client:
        yield client, listener


def test_what_a_record_is_forgotten_by_is_read_after_it_and_stays(told: tuple[Client, _Told], raw: Raw) -> None:
    """The record, its owner, the copies: each as a majority has it, and not before the one before."""
    client, listener = told
    db = integrity.Database(client[raw.name], models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1, "author": "Ada"})
    recorded(raw, "books", "author", 1)
    db.sync()
    recorded(raw, "books", "author", 1)
    listener.found.clear()
    assert db.sync().finished == 1
    assert listener.found == [
        ("find", "integrity.refreshes", "local", "first"),
        ("find", "integrity.refreshes", "local", "first"),
        ("find", "integrity.refreshes", "majority", "later"),
        ("find", "authors", "majority", "later"),
        ("find", "books", "majority", "later"),
        ("delete", "integrity.refreshes"),
        ("commitTransaction", "1"),
        ("find", "integrity.refreshes", "local", "first"),
    ]


async def test_a_copy_that_stays_stale_is_told_by_each_synchronisation(db: Handle, raw: Raw) -> None:
    await db[Author].insert_one(dict(ADA))
    await db[Award].insert_one({"_id": 1, "handle": "ada"})
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
    recorded(raw, "awards", "born", "ada")
    for _ in range(3):
        done = await Awaited(db.db).sync()
        assert (list(done.misfits), done.finished) == (["awards.born"], 0)
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": 1816}})
    done = await Awaited(db.db).sync()
    assert (done.misfits, done.finished, records(raw)) == ({}, 1, [])
    assert raw["awards"].distinct("born") == [1816]


@pytest.mark.parametrize("mended", ["deleted", "by hand", "owner deleted"])
def test_a_copy_that_is_stale_no_more_is_told_of_no_more(raw: Raw, mended: str) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Award].insert_one({"_id": 1, "handle": "ada"})
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
    recorded(raw, "awards", "born", "ada")
    assert db.sync().misfits
    if mended == "deleted":
        db[Award].delete_one({"_id": 1})
    elif mended == "by hand":
        raw["awards"].update_one({"_id": 1}, {"$set": {"born": None}})
    else:
        db[Author].delete_one({"_id": 1})
    assert (db.sync().misfits, records(raw)) == ({}, [])


def test_copies_of_a_copy_are_refreshed_or_told_of_each_by_itself(raw: Raw) -> None:
    """One of them cannot hold the value: the others were left stale with it, and a second run said nothing."""
    db = integrity.Database(raw, models=[*MODELS, Slip], actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
    db[Slip].insert_one({"_id": 1, "book_id": 1})
    raw["authors"].update_one({"_id": 1}, {"$set": {"name": "Augusta"}})
    recorded(raw, "books", "author", 1)
    for _ in range(2):
        assert list(db.sync().misfits) == ["slips.author"]
        assert raw["books"].distinct("author") == ["Augusta"]
        assert raw["slips"].find_one() == {"_id": 1, "book_id": 1, "author": "Ada", "writer": "Augusta"}
    db[Author].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
    assert (db.sync().misfits, records(raw)) == ({}, [])
    assert raw["slips"].find_one() == {"_id": 1, "book_id": 1, "author": "Eve", "writer": "Eve"}


def test_a_copy_that_stays_stale_costs_the_next_synchronisation_a_few_reads(
    told: tuple[Client, _Told], raw: Raw
) -> None:
    """However many documents hold it, and however often its owner has changed."""
    client, listener = told
    db = integrity.Database(client[raw.name], models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Award].insert_many([{"_id": each, "handle": "ada"} for each in range(300)])
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
    recorded(raw, "awards", "born", "ada")
    db._guards.copies.limit = 10
    db.sync()
    db.sync()
    listener.found.clear()
    done = db.sync()
    assert [each[:2] for each in listener.found] == [
        ("find", "integrity.refreshes"),
        ("find", "integrity.refreshes"),
        ("find", "integrity.refreshes"),
        ("find", "authors"),
        ("find", "awards"),
        ("killCursors", "awards"),
        ("find", "integrity.refreshes"),
    ]
    assert done.documents == 10


def test_copies_that_stay_stale_are_not_all_that_is_finished_by_the_way(raw: Raw) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    owners = range(2, 2 + keeping.BY_THE_WAY)
    db[Author].insert_one(dict(ADA))
    db[Author].insert_many([{"_id": each, "name": "Bob", "handle": f"bob{each}", "born": 1} for each in owners])
    db[Award].insert_many([{"_id": each, "handle": f"bob{each}"} for each in owners])
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
    raw["authors"].update_many({"_id": {"$gt": 1}}, {"$set": {"born": None}})
    for each in owners:
        recorded(raw, "awards", "born", f"bob{each}")
    assert list(db.sync().misfits) == ["awards.born"]
    raw["integrity.refreshes"].update_many({}, {"$set": {"until": PAST}})
    raw["authors"].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
    recorded(raw, "books", "author", 1)
    raw["integrity.refreshes"].update_one({"_id": "books:author:1"}, {"$set": {"until": PAST + dt.timedelta(1)}})
    later = integrity.Database(raw, models=MODELS, actor="*")
    later[Book].insert_one({"_id": 2, "title": "Two", "author_id": 1})
    assert raw["books"].distinct("author") == ["Eve"]
    assert len(records(raw)) == keeping.BY_THE_WAY


def test_a_change_of_the_owner_takes_up_a_record_that_was_left(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Award].insert_one({"_id": 1, "handle": "ada"})
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
    db._guards.copies.limit = 0
    change = db[Author].update_one

    async def dead(*_: Any) -> None:
        """Finish nothing."""

    with monkeypatch.context() as patched:
        patched.setattr(keeping.Keeper, "finish", dead)
        change({"_id": 1}, {"$set": {"born": 1816}})
    (record,) = records(raw)
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
    assert db.sync().misfits
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": 1817}})
    with monkeypatch.context() as patched:
        patched.setattr(keeping.Keeper, "finish", dead)
        change({"_id": 1}, {"$set": {"born": 1818}})
    raw["integrity.refreshes"].update_one({"_id": record}, {"$set": {"until": PAST}})
    later = integrity.Database(raw, models=MODELS, actor="*")
    later[Award].insert_one({"_id": 2, "handle": "ada"})  # finishes by the way what is for whoever comes next
    assert (raw["awards"].distinct("born"), records(raw)) == ([1818], [])


def test_an_owner_that_changes_while_its_copies_are_found_unfit_is_looked_at_again(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Award].insert_one({"_id": 1, "handle": "ada"})
    raw["authors"].update_one({"_id": 1}, {"$set": {"born": None}})
    recorded(raw, "awards", "born", "ada")
    keep = recording.keep

    async def meanwhile(*args: Any) -> bool:
        raw["authors"].update_one({"_id": 1}, {"$set": {"born": 1816}})
        raw["integrity.refreshes"].update_one({}, {"$set": {"change": ObjectId()}})
        monkeypatch.setattr(recording, "keep", keep)
        return await keep(*args)

    monkeypatch.setattr(recording, "keep", meanwhile)
    done = db.sync()
    assert (done.misfits, raw["awards"].distinct("born"), records(raw)) == ({}, [1816], [])


def test_without_transactions_what_is_recorded_for_nothing_is_forgotten(standalone: Mongod, database_name: str) -> None:
    """Of a database that was restored there, say."""
    with Client(standalone.uri) as client:
        try:
            db = integrity.Database(client[database_name], models=MODELS, actor="*")
            db[Author].insert_one(dict(ADA))
            db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
            recorded(client[database_name], "books", "author", 1)
            assert db.sync().finished == 1
            assert records(client[database_name]) == []
        finally:
            client.drop_database(database_name)


@pytest.mark.parametrize("held", ["books", "integrity.refreshes"])
def test_what_a_process_that_was_killed_holds_is_told_while_it_is_waited_for(
    raw: Raw, client: Client, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    db = integrity.Database(raw, models=MODELS, actor="*")
    db[Author].insert_one(dict(ADA))
    db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
    raw["authors"].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
    recorded(raw, "books", "author", 1)
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    lines: list[str] = []
    with client.start_session() as killed:
        killed.start_transaction()
        raw[held].update_one({}, {"$set": {"held": 1}}, session=killed)

        def tell(line: str) -> None:
            lines.append(line)
            if "waiting" in line:
                assert killed.in_transaction, "it is told once"
                killed.abort_transaction()

        assert synced(db, raw, tell).finished == 1
    first, last = lines
    assert first.startswith("books.author: waiting for another transaction")
    assert last == "books.author: 1 documents"
    assert raw["books"].distinct("author") == ["Eve"]


def test_what_two_that_live_do_to_each_other_for_a_moment_is_not_told() -> None:
    lines: list[str] = []
    met = waiting.waiting(lines.append, "books.author")
    conflict = OperationFailure("WriteConflict", 112)
    met(conflict, waiting.PATIENCE / 2)
    met(AutoReconnect("gone"), waiting.PATIENCE * 2)
    assert lines == []
    met(conflict, waiting.PATIENCE)
    met(conflict, waiting.PATIENCE * 2)
    assert len(lines) == 1
