"""After a crash, under validators of the user's own, in a user's transaction: what the happy path does not show."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import NetworkTimeout, PyMongoError, WriteConcernError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import integrity
from integrity import BeingDeleted, Database, IntegrityError, Model, Ref, RestrictedDelete, Unique
from integrity.cli import main
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.references import (
    Protocol,
    Recovered,
    Timing,
    carry_out,
    condemned,
    group_commit,
    optimistic,
    recover,
    recovery,
)
from integrity.writes.references.condemned import Condemnation, Fenced

STRICT = {
    "$jsonSchema": {"bsonType": "object", "properties": {"_id": {"bsonType": "int"}}, "additionalProperties": False}
}

PROGRAM = """
from typing import Annotated
from integrity import Model, Ref

class Box(Model, collection="boxes"):
    id: int

class Item(Model, collection="items"):
    id: int
    box: Annotated[int, Ref(Box)]

class Sticker(Model, collection="stickers"):
    id: int
    box: Annotated[int, Ref(Box, on_delete="cascade")]
"""


class Box(Model, collection="boxes"):
    id: int


class Item(Model, collection="items"):
    id: int
    box: Annotated[int, Ref(Box)]


class Sticker(Model, collection="stickers"):
    id: int
    box: Annotated[int, Ref(Box, on_delete="cascade")]


class Wheel(Model, collection="wheels"):
    id: int
    sticker: Annotated[int, Ref(Sticker)]


class Parent(Model, collection="parents"):
    id: int
    code: Annotated[str, Unique()]


class Label(Model, collection="labels"):
    id: int
    code: Annotated[str, Ref(Parent, field="code")]


MODELS: list[type[Model]] = [Box, Item, Sticker]


@pytest.fixture(params=["replica set", "standalone"])
def raw(request: pytest.FixtureRequest, client: MongoClient[dict[str, Any]], database_name: str) -> Any:
    if request.param == "replica set":
        yield client[database_name]
    else:
        alone: MongoClient[dict[str, Any]] = request.getfixturevalue("alone")
        yield alone[database_name]
        alone.drop_database(database_name)


def later(raw: Any, seconds: float, models: list[type[Model]] = MODELS) -> Recovered:
    """Recover as another process would, so many seconds later."""
    registry = integrity.Registry(models)
    now = lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=seconds)  # noqa: E731 - a clock
    timing = dataclasses.replace(Timing(), now=now)
    return run(recover(Protocol(registry, timing=timing), BlockingStore(raw)))


class _KilledError(BaseException):
    """The process is gone."""


def in_small_batches(raw: Any, monkeypatch: pytest.MonkeyPatch) -> integrity.Database:
    """Two boxes, one of them with 12 stickers, and a handle whose deletes go on in batches of five."""
    monkeypatch.setattr(carry_out, "CHUNK", 5)
    monkeypatch.setattr(condemned, "CHUNK", 1)  # a record for each box
    db = integrity.Database(raw, models=MODELS)
    db._guards.references.limit = 0
    raw.boxes.insert_many([{"_id": 1}, {"_id": 2}])
    raw.stickers.insert_many([{"_id": each, "box": 1} for each in range(12)])
    return db


def killed_in_the_middle(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete the boxes with their stickers, and die after the first batch."""

    def progress(done: int, _: int) -> None:
        if done:
            raise _KilledError

    db = in_small_batches(raw, monkeypatch)
    with pytest.raises(_KilledError):
        db[Box].delete_many({}, progress=progress)
    assert 0 < raw.stickers.count_documents({}) < 12


def test_what_was_decided_is_finished_when_the_lease_is_over(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_in_the_middle(raw, monkeypatch)
    assert later(raw, 5).finished == 0
    assert raw.boxes.count_documents({"_condemned": {"$exists": True}}) == 2
    assert later(raw, 60).finished == 1
    assert (raw.boxes.count_documents({}), raw.stickers.count_documents({})) == (0, 0)
    assert later(raw, 600).forgotten == 1
    assert raw["integrity.condemned"].count_documents({}) == 0


def test_so_it_is_where_no_document_takes_a_flag_or_the_process_died_while_it_said_that_it_was_done(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.create_collection("boxes", validator=STRICT)
    killed_in_the_middle(raw, monkeypatch)
    records = raw["integrity.condemned"]
    records.update_one({"state": "acting"}, {"$set": {"state": "gone"}})
    assert later(raw, 60).finished == 1
    assert (raw.boxes.count_documents({}), raw.stickers.count_documents({})) == (0, 0)
    assert records.distinct("state") == ["gone"]


def test_who_was_taken_over_between_two_batches_deletes_nothing_more(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.create_collection("boxes", validator=STRICT)  # takes no flag: the record alone is the fence
    db = in_small_batches(raw, monkeypatch)

    def progress(done: int, _: int) -> None:
        if done and not raw.items.count_documents({}):
            assert later(raw, 60).finished == 1
            other = integrity.Database(raw, models=MODELS)
            other[Box].insert_one({"_id": 1})
            other[Item].insert_one({"_id": 1, "box": 1})

    with pytest.raises(RestrictedDelete):
        db[Box].delete_many({}, progress=progress)
    assert raw.boxes.count_documents({}) == 1


@pytest.mark.parametrize("validator", [{}, STRICT], ids=["flag", "record"])
def test_while_a_delete_goes_on_its_children_are_refused(
    raw: Any, monkeypatch: pytest.MonkeyPatch, validator: dict[str, Any]
) -> None:
    raw.create_collection("boxes", validator=validator)
    killed_in_the_middle(raw, monkeypatch)
    db = integrity.Database(raw, models=MODELS)
    db._guards.references.timing = dataclasses.replace(Timing(), patience=0.2)
    with pytest.raises(BeingDeleted, match="integrity recover"):
        db[Item].insert_one({"_id": 1, "box": 1})
    assert raw.items.count_documents({}) == 0
    with pytest.raises(BeingDeleted, match="another delete"):
        db[Box].delete_many({})
    assert later(raw, 60).finished == 1  # its flags are on, where there are any
    assert raw.boxes.count_documents({}) == 0


def test_what_was_replaced_since_it_was_condemned_lives_with_what_is_left_of_it(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_in_the_middle(raw, monkeypatch)
    raw.boxes.replace_one({"_id": 1}, {"_id": 1})
    left = raw.stickers.count_documents({})
    assert later(raw, 60).finished == 1
    assert (raw.boxes.distinct("_id"), raw.stickers.count_documents({})) == ([1], left)


def test_a_stray_that_is_repaired_meanwhile_is_none(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    db = integrity.Database(raw, models=MODELS)
    db[Box].insert_many([{"_id": 1}, {"_id": 2}])
    db[Box].delete_one({"_id": 1})
    raw.items.insert_one({"_id": 1, "box": 1})
    remove = recovery._remove

    async def repaired(*args: Any) -> bool:
        raw.items.update_one({"_id": 1}, {"$set": {"box": 2}})
        return await remove(*args)

    monkeypatch.setattr(recovery, "_remove", repaired)
    later(raw, 600)
    assert list(raw.items.find()) == [{"_id": 1, "box": 2}]


def test_what_is_not_there_is_not_remembered_as_seen(raw: Any) -> None:
    """Who dies below it would leave an orphan that no sweep looks for."""
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    raw.boxes.insert_many([{"_id": each} for each in range(4)])
    items = db[Item]
    items.insert_many([{"_id": each, "box": each} for each in range(4)])
    raw.items.delete_many({})
    raw.boxes.delete_many({"_id": {"$gt": 0}})
    with pytest.raises(integrity.DanglingReference):
        items.insert_one({"_id": 1, "box": 1})
    for box in (2, 9):  # seen lately, and never
        with pytest.raises(integrity.InvalidBulkWrite):
            items.insert_many([{"_id": box, "box": box}, {"_id": 10 + box, "box": 0}], ordered=False)
    with pytest.raises(integrity.InvalidBulkWrite):  # ordered: what comes after it is taken back as well
        items.insert_many([{"_id": 20, "box": 0}, {"_id": 21, "box": 3}, {"_id": 22, "box": 0}])
    assert raw.items.distinct("_id", {"_id": {"$gte": 20}}) == [20]
    items.insert_one({"_id": 23, "box": 0})
    seen: Any = db._guards.references.witnesses._seen
    assert [at[-1] for at in seen] == [0]


@pytest.mark.parametrize("many", [False, True], ids=["alone", "bulk"])
def test_what_another_one_has_put_there_meanwhile_is_not_taken_back(
    raw: Any, monkeypatch: pytest.MonkeyPatch, *, many: bool
) -> None:
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    raw.boxes.insert_many([{"_id": 1}, {"_id": 2}])
    db[Item].insert_one({"_id": 1, "box": 1})
    raw.items.delete_many({})
    raw.boxes.delete_one({"_id": 1})
    take_back = optimistic.take_back

    async def meanwhile(*args: Any) -> None:
        raw.items.replace_one({"_id": 1}, {"_id": 1, "box": 2})
        await take_back(*args)

    monkeypatch.setattr(optimistic if many else group_commit, "take_back", meanwhile)
    with pytest.raises(PyMongoError):
        db[Item].insert_many([{"_id": 1, "box": 1}]) if many else db[Item].insert_one({"_id": 1, "box": 1})
    assert list(raw.items.find()) == [{"_id": 1, "box": 2}]


def test_a_child_that_was_never_acknowledged_is_swept(raw: Any) -> None:
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    db[Box].insert_many([{"_id": 1}, {"_id": 2}])
    db[Box].delete_many({})
    # What a process leaves that dies between its insert and its look.
    raw.items.insert_many([{"_id": 1, "box": 1}, {"_id": 2, "box": 2}])
    db[Box].insert_one({"_id": 2})
    done = later(raw, 600)
    assert done.strays == [("items", 1)]
    assert [each["_id"] for each in raw.items.find()] == [2]


def test_a_stray_that_others_refer_to_is_not_forgotten(raw: Any) -> None:
    db = with_wheels(raw)
    db[Box].delete_one({"_id": 1})
    raw.stickers.insert_one({"_id": 1, "box": 1})  # of a process that died before it looked
    raw.wheels.insert_one({"_id": 1, "sticker": 1})
    for seconds in (600, 700):
        done = later(raw, seconds, [*MODELS, Wheel])
        assert (done.kept, done.forgotten) == ([("stickers", 1)], 0)
    raw.wheels.delete_one({"_id": 1})
    done = later(raw, 800, [*MODELS, Wheel])
    assert (done.strays, done.forgotten) == ([("stickers", 1)], 1)


def test_two_that_sweep_at_the_same_time_leave_the_stray_to_one_of_them(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    for _ in range(2):
        db[Box].insert_one({"_id": 1})
        db[Box].delete_one({"_id": 1})
    raw.items.insert_one({"_id": 1, "box": 1})
    real = recovery._remove

    async def meanwhile(*args: Any) -> bool:
        monkeypatch.setattr(recovery, "_remove", real)
        later(raw, 600)
        return await real(*args)

    monkeypatch.setattr(recovery, "_remove", meanwhile)
    later(raw, 600)
    assert not raw["integrity.condemned"].count_documents({"collection": "boxes"})
    assert raw.items.count_documents({}) == 0


def test_an_interrupted_delete_does_not_forget_what_is_gone(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    db[Box].insert_one({"_id": 1})
    real = Condemnation.renew

    async def interrupted(self: Condemnation, store: Any, state: str, session: Any = None) -> None:
        await real(self, store, state, session)
        if state == "gone":
            if session is not None:
                session.commit_transaction()  # the answer to it is lost
            raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Condemnation, "renew", interrupted)
        with pytest.raises(_KilledError):
            db[Box].delete_one({"_id": 1})
    assert raw.boxes.count_documents({}) == 0
    raw.items.insert_one({"_id": 1, "box": 1})  # of a process that died before it looked
    assert later(raw, 600).strays == [("items", 1)]


def with_wheels(raw: Any) -> integrity.Database:
    """Two boxes, whose stickers are referred to: they bear a flag while they are deleted."""
    raw.boxes.insert_many([{"_id": 1}, {"_id": 2}])
    return integrity.Database(raw, models=[*MODELS, Wheel])


def test_what_a_cascade_spares_is_condemned_no_more_whenever_the_process_dies(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = with_wheels(raw)
    raw.stickers.insert_one({"_id": 1, "box": 1})
    condemn, say = Condemnation.extend, Condemnation.renew

    async def then_it_moves_away(*args: Any, **options: Any) -> None:
        await condemn(*args, **options)
        raw.stickers.update_one({"_id": 1}, {"$set": {"box": 2}})

    async def killed(self: Condemnation, store: Any, state: str, session: Any = None) -> None:
        await say(self, store, state, session)
        if state == "gone":
            if session is not None:
                session.commit_transaction()
            raise _KilledError

    async def nothing(*_: Any, **__: Any) -> None: ...

    with monkeypatch.context() as patched:
        patched.setattr(Condemnation, "extend", then_it_moves_away)
        patched.setattr(Condemnation, "renew", killed)
        patched.setattr(Condemnation, "release", nothing)
        with pytest.raises(_KilledError):
            db[Box].delete_one({"_id": 1})
    assert list(raw.stickers.find()) == [{"_id": 1, "box": 2}]


def test_what_moves_away_from_a_cascade_that_grows_is_condemned_no_more(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = with_wheels(raw)
    raw.stickers.insert_many([{"_id": 1, "box": 1}, {"_id": 2, "box": 1}])
    condemn = Condemnation.extend

    async def while_others_write(*args: Any, **options: Any) -> None:
        late = raw.stickers.count_documents({"_id": 3}) == 0
        if late:
            raw.stickers.insert_one({"_id": 3, "box": 1})
        await condemn(*args, **options)
        if late:
            raw.stickers.update_one({"_id": 2}, {"$set": {"box": 2}})

    monkeypatch.setattr(Condemnation, "extend", while_others_write)
    db[Box].delete_one({"_id": 1})
    assert list(raw.stickers.find()) == [{"_id": 2, "box": 2}]


def test_what_is_replaced_while_it_is_condemned_is_condemned_once_more(
    client: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = client[database_name]
    db = integrity.Database(raw, models=MODELS)
    raw.boxes.insert_one({"_id": 1})
    condemn = Condemnation.extend
    times: list[int] = []

    async def then_it_is_replaced(*args: Any, **options: Any) -> None:
        await condemn(*args, **options)
        if not times:
            raw.boxes.replace_one({"_id": 1}, {"_id": 1})
        times.append(1)

    monkeypatch.setattr(Condemnation, "extend", then_it_is_replaced)
    assert db[Box].delete_one({"_id": 1}).deleted_count == 1
    assert not raw.boxes.count_documents({})
    assert len(times) == 2


def test_a_key_that_changes_while_its_document_is_condemned_is_condemned_as_well(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who refers to the document by its new key has to be found, too."""
    raw.parents.insert_one({"_id": 1, "code": "a"})
    db = integrity.Database(raw, models=[Parent, Label])
    condemn = Condemnation.extend

    async def then_its_key_changes(*args: Any, **options: Any) -> None:
        await condemn(*args, **options)
        raw.parents.update_one({"_id": 1}, {"$set": {"code": "b"}})

    monkeypatch.setattr(Condemnation, "extend", then_its_key_changes)
    assert db[Parent].delete_one({"_id": 1}).deleted_count == 1
    assert set(raw["integrity.condemned"].distinct("keys.v")) >= {"a", "b"}


def test_what_matches_no_more_when_it_is_condemned_is_not_deleted(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.parents.insert_one({"_id": 1, "code": "a"})
    db = integrity.Database(raw, models=[Parent, Label])
    condemn = Condemnation.extend

    async def then_it_changes(*args: Any, **options: Any) -> None:
        await condemn(*args, **options)
        raw.parents.update_one({"_id": 1}, {"$set": {"code": "b"}})

    monkeypatch.setattr(Condemnation, "extend", then_it_changes)
    assert db[Parent].delete_many({"code": "a"}).deleted_count == 0
    assert list(raw.parents.find()) == [{"_id": 1, "code": "b"}]


def test_a_flag_that_arrives_when_its_delete_was_given_up_is_taken_off(mongod: Any, database_name: str) -> None:
    """The server is still at the command whose answer the process has stopped waiting for."""
    late = {"failCommands": ["update"], "blockConnection": True, "blockTimeMS": 1500, "appName": "hasty"}
    with (
        MongoClient[dict[str, Any]](mongod.uri) as client,
        MongoClient[dict[str, Any]](mongod.uri, socketTimeoutMS=500, appname="hasty") as hasty,
    ):
        raw = client[database_name]
        raw.boxes.insert_one({"_id": 1})
        db = integrity.Database(hasty[database_name], models=MODELS)
        db[Box].delete_one({"_id": 2})  # everything is there
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": late})
        with pytest.raises(NetworkTimeout):
            db[Box].delete_one({"_id": 1})
        while not raw.boxes.count_documents({"_condemned": {"$exists": True}}):
            time.sleep(0.05)
        assert later(raw, 60).undone == 1
        assert list(raw.boxes.find()) == [{"_id": 1}]
        assert raw["integrity.condemned"].count_documents({}) == 0


def test_a_delete_whose_commit_too_few_confirm_does_not_forget_what_is_gone(mongod: Any, database_name: str) -> None:
    data = {
        "failCommands": ["commitTransaction"], "appName": database_name,
        "writeConcernError": {"code": 100, "codeName": "UnsatisfiableWriteConcern", "errmsg": "too few"},
    }  # fmt: skip
    with MongoClient[dict[str, Any]](mongod.uri, appname=database_name) as client:
        raw = client[database_name]
        db = integrity.Database(raw, models=MODELS)
        db[Box].insert_one({"_id": 1})
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        with pytest.raises(WriteConcernError, match="too few"):
            db[Box].delete_one({"_id": 1})
        assert (raw.boxes.count_documents({}), raw["integrity.condemned"].distinct("state")) == (0, ["gone"])


@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_a_flag_that_no_record_knows_of_is_taken_off(
    client: MongoClient[dict[str, Any]], database_name: str, mode: Any
) -> None:
    """As after a backup of the boxes alone, made while some were being deleted."""
    raw = client[database_name]
    past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    raw.boxes.insert_many([{"_id": each, "_condemned": {"by": ObjectId(), "until": past}} for each in range(3)])
    db = integrity.Database(raw, models=MODELS, references=mode)
    db[Item].insert_one({"_id": 1, "box": 0})
    db[Item].insert_many([{"_id": 2, "box": 1}])
    assert db[Box].delete_one({"_id": 2}).deleted_count == 1
    assert list(raw.boxes.find()) == [{"_id": 0}, {"_id": 1}]


def test_a_flag_that_no_record_knows_of_stands_for_its_lease(raw: Any) -> None:
    """Its record may be on its way to whoever reads an older state."""
    by = ObjectId()
    lease = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    raw.boxes.insert_one({"_id": 1, "_condemned": {"by": by, "until": lease}})
    run(recovery.one(Protocol(integrity.Registry(MODELS)), BlockingStore(raw), by, flagged=lease.replace(tzinfo=None)))
    assert raw.boxes.count_documents({"_condemned": {"$exists": True}}) == 1


def test_who_was_taken_over_deletes_nothing(alone: MongoClient[dict[str, Any]], database_name: str) -> None:
    raw = alone[database_name]
    raw.create_collection("boxes", validator=STRICT)  # takes no flag: the record alone is the fence
    db, other = (integrity.Database(raw, models=MODELS) for _ in range(2))
    db[Box].insert_one({"_id": 1})
    say = Condemnation.renew

    async def slowly(self: Condemnation, store: Any, state: str, session: Any = None) -> None:
        async def meanwhile(*args: Any) -> None:
            with pytest.raises(Fenced):  # its records are there, and another one's
                await say(self, store, state, session)
            await unflag(*args)

        if not raw.items.count_documents({}):
            patched.setattr(recovery, "unflag", meanwhile)
            assert later(raw, 60).undone == 1
            other[Item].insert_one({"_id": 1, "box": 1})
        await say(self, store, state, session)

    unflag = condemned.unflag
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Condemnation, "renew", slowly)
            with pytest.raises(RestrictedDelete):
                db[Box].delete_one({"_id": 1})
        assert raw.boxes.count_documents({}) == 1
    finally:
        alone.drop_database(database_name)


def test_who_gives_a_sign_of_life_in_time_is_not_taken_over(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_in_the_middle(raw, monkeypatch)
    read, records = recovery._records, raw["integrity.condemned"]

    async def and_it_lives(store: Any, token: Any) -> Any:
        found = await read(store, token)
        records.update_many({}, {"$set": {"until": dt.datetime(2100, 1, 1)}})  # noqa: DTZ001 - as BSON stores it
        return found

    monkeypatch.setattr(recovery, "_records", and_it_lives)
    assert later(raw, 60).finished == 0
    assert raw.boxes.count_documents({"_condemned": {"$exists": True}}) == 2


class Unconfirmed(CommandListener):
    """The writes that an election may take back: no transaction's, and not of a majority."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()

    def started(self, event: CommandStartedEvent) -> None:
        said, name = event.command, event.command_name
        writes = name in {"insert", "update", "delete", "createIndexes"} and "autocommit" not in said
        if writes and said.get("writeConcern", {}).get("w") != "majority":
            self.found.add((name, said[name]))

    def succeeded(self, _: CommandSucceededEvent) -> None: ...

    def failed(self, _: CommandFailedEvent) -> None: ...


def test_what_the_orderings_rely_on_is_a_majoritys(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_out, "CHUNK", 5)
    seen = Unconfirmed()
    raw.boxes.insert_many([{"_id": each} for each in range(4)])
    raw.stickers.insert_many([{"_id": each, "box": 1} for each in range(7)])
    with MongoClient[dict[str, Any]](*raw.client.address, directConnection=True, event_listeners=[seen]) as client:
        watched = client[raw.name]
        db = integrity.Database(watched, models=MODELS, references="optimistic")
        items = db[Item]
        items.insert_one({"_id": 1, "box": 0})
        items.insert_many([{"_id": 2, "box": 2}, {"_id": 3, "box": 3}])
        raw.items.delete_many({"box": {"$gt": 1}})
        raw.boxes.delete_many({"_id": {"$gt": 1}})  # it has seen them lately, and takes back what it inserts below them
        with pytest.raises(integrity.DanglingReference):
            items.insert_one({"_id": 2, "box": 2})
        with pytest.raises(integrity.InvalidBulkWrite):
            items.insert_many([{"_id": 3, "box": 3}])
        db._guards.references.limit = 0
        assert db[Box].delete_one({"_id": 1}).deleted_count == 1
        raw.items.delete_many({})
        killed_in_the_middle(watched, monkeypatch)
        assert (later(watched, 60).finished, later(watched, 600).forgotten) == (1, 2)
    assert seen.found == {("insert", "boxes"), ("insert", "stickers")}  # the test's own


def test_a_validator_of_the_users_own_stays_strict(raw: Any) -> None:
    raw.create_collection("boxes", validator=STRICT)
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    db._guards.references.timing = dataclasses.replace(Timing(), notice=0.05)
    db._guards.references.notices._timing = db._guards.references.timing
    db[Box].insert_many([{"_id": 1}, {"_id": 2}])
    db[Item].insert_one({"_id": 1, "box": 1})
    assert db[Box].delete_one({"_id": 2}).deleted_count == 1
    assert raw["integrity.protocol"].find_one({"_id": "beside:boxes"})
    with pytest.raises(RestrictedDelete):
        db[Box].delete_one({"_id": 1})
    time.sleep(0.1)  # as old as knowledge of notices may get
    db[Item].insert_one({"_id": 2, "box": 1})
    with pytest.raises(integrity.DanglingReference):
        db[Item].insert_one({"_id": 3, "box": 2})


def test_a_change_of_a_key_makes_optimistic_writers_pin_and_is_swept(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    raw = client[database_name]
    db = integrity.Database(raw, models=[Parent, Label], references="optimistic")
    db._guards.references.timing = dataclasses.replace(Timing(), notice=0.05)
    db._guards.references.notices._timing = db._guards.references.timing
    db[Parent].insert_one({"_id": 1, "code": "a"})
    db[Label].insert_one({"_id": 1, "code": "a"})
    db[Label].delete_one({"_id": 1})
    db[Parent].update_one({"_id": 1}, {"$set": {"code": "b"}})
    assert raw["integrity.protocol"].find_one({"_id": "beside:parents"})
    assert raw["integrity.condemned"].distinct("keys.v") == ["a"]


def test_a_delete_in_a_transaction_makes_optimistic_writers_pin(
    client: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = client[database_name]
    slept: list[float] = []
    sleep = BlockingStore.sleep

    async def noted(self: BlockingStore, seconds: float) -> None:
        slept.append(seconds)
        await sleep(self, seconds)

    monkeypatch.setattr(BlockingStore, "sleep", noted)
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    db._guards.references.timing = dataclasses.replace(Timing(), notice=0.05)
    db._guards.references.notices._timing = db._guards.references.timing
    db[Box].insert_many([{"_id": 1}, {"_id": 2}])
    db[Item].insert_one({"_id": 1, "box": 1})
    with pytest.raises(BeingDeleted) as caught, db.transaction():
        db[Box].delete_one({"_id": 2})
    assert caught.value.has_error_label("TransientTransactionError")
    assert max(slept) > 0.05  # until every writer knows: their knowledge may be so old, and a command under way
    db.with_transaction(lambda _: db[Box].delete_one({"_id": 2}))
    assert db[Box].count_documents({}) == 1
    assert raw["integrity.condemned"].distinct("state") == ["gone"]  # who did not know yet may have died: it is swept
    time.sleep(0.1)
    before = raw["integrity.pins"].aggregate([{"$group": {"_id": None, "n": {"$sum": "$n"}}}]).next()["n"]
    db[Item].insert_one({"_id": 2, "box": 1})
    assert raw["integrity.pins"].aggregate([{"$group": {"_id": None, "n": {"$sum": "$n"}}}]).next()["n"] == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("modes", [["pinned"], ["optimistic"], ["pinned", "optimistic"]], ids=" and ".join)
def test_threads_leave_no_orphan(client: MongoClient[dict[str, Any]], database_name: str, modes: list[str]) -> None:
    raw = client[database_name]
    handles = [integrity.Database(raw, models=MODELS, references=each) for each in modes]
    raw.boxes.insert_many([{"_id": each} for each in range(20)])
    handles[0][Item].insert_one({"_id": -1, "box": 0})
    acknowledged: list[int] = []
    until = time.monotonic() + 4

    def work(db: Database, name: int) -> None:
        pick = random.Random(name)
        number = name * 1_000_000
        while time.monotonic() < until:
            number += 1
            with suppress(IntegrityError, PyMongoError):
                if pick.random() < 0.8:
                    db[Item].insert_one({"_id": number, "box": pick.randrange(20)})
                    acknowledged.append(number)
                else:
                    db[Box].delete_one({"_id": pick.randrange(1, 20)})

    threads = [threading.Thread(target=work, args=(handles[each % len(handles)], each)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    boxes = {each["_id"] for each in raw.boxes.find()}
    items = {each["_id"]: each["box"] for each in raw.items.find()}
    assert [each for each in items.values() if each not in boxes] == []
    assert set(acknowledged) <= set(items)
    assert acknowledged


def test_the_commands_check_plan_and_recover(
    uri: str,
    client: MongoClient[dict[str, Any]],
    database_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "declared.py"
    models.write_text(PROGRAM)
    raw = client[database_name]
    raw.boxes.insert_many([{"_id": 1}, {"_id": 2}])
    raw.stickers.insert_one({"_id": 1, "box": 2})
    raw.items.insert_one({"_id": 1, "box": 1})
    where = ["--uri", uri, "--database", database_name]
    assert main(["check", str(models)]) == 0
    assert "3 models" in capsys.readouterr().out
    assert main(["plan-delete", str(models), "Box", '{"_id": 2}', *where]) == 0
    assert "└── stickers.box: 1 document deleted (1)" in capsys.readouterr().out
    assert main(["plan-delete", str(models), "Box", "{}", *where, "-f", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["refusals"] == {"Item.box": 1}
    assert raw.boxes.count_documents({}) == 2
    assert main(["plan-delete", str(models), "Box", "{", *where]) == 2
    assert main(["recover", str(models), *where, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["waiting"] == 0
