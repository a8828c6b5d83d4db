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
from pymongo.errors import NetworkTimeout, PyMongoError

import integrity
from integrity import BeingDeleted, Database, IntegrityError, Model, Ref, RestrictedDelete
from integrity.cli import main
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.references import Protocol, Recovered, Timing, recover, recovery
from integrity.writes.references.condemned import Condemnation

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


MODELS: list[type[Model]] = [Box, Item, Sticker]


@pytest.fixture(params=["replica set", "standalone"])
def raw(request: pytest.FixtureRequest, client: MongoClient[dict[str, Any]], database_name: str) -> Any:
    if request.param == "replica set":
        yield client[database_name]
    else:
        alone: MongoClient[dict[str, Any]] = request.getfixturevalue("alone")
        yield alone[database_name]
        alone.drop_database(database_name)


def later(raw: Any, seconds: float) -> Recovered:
    """Recover as another process would, so many seconds later."""
    registry = integrity.Registry(MODELS)
    now = lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=seconds)  # noqa: E731 - a clock
    timing = dataclasses.replace(Timing(), now=now)
    return run(recover(Protocol(registry, timing=timing), BlockingStore(raw)))


class _KilledError(BaseException):
    """The process is gone."""


def killed_in_the_middle(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete a box with 1,200 stickers, and die after the first batch."""
    db = integrity.Database(raw, models=MODELS)
    raw.boxes.insert_one({"_id": 1})
    raw.stickers.insert_many([{"_id": each, "box": 1} for each in range(1200)])

    def progress(done: int, _: int) -> None:
        if done:
            raise _KilledError

    with pytest.raises(_KilledError):
        db[Box].delete_many({}, progress=progress)
    assert 0 < raw.stickers.count_documents({}) < 1200


def test_what_was_decided_is_finished_when_the_lease_is_over(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_in_the_middle(raw, monkeypatch)
    assert later(raw, 5).finished == 0
    assert raw.boxes.count_documents({"_condemned": {"$exists": True}}) == 1
    assert later(raw, 60).finished == 1
    assert (raw.boxes.count_documents({}), raw.stickers.count_documents({})) == (0, 0)
    assert later(raw, 600).forgotten == 1
    assert raw["integrity.condemned"].count_documents({}) == 0


def test_while_a_delete_goes_on_its_children_are_refused(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_in_the_middle(raw, monkeypatch)
    db = integrity.Database(raw, models=MODELS)
    db._guards.references.timing = dataclasses.replace(Timing(), patience=0.2)
    with pytest.raises(BeingDeleted, match="integrity recover"):
        db[Item].insert_one({"_id": 1, "box": 1})
    assert raw.items.count_documents({}) == 0


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

    class Wheel(Model, collection="wheels"):
        id: int
        sticker: Annotated[int, Ref(Sticker)]

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
        if not raw.items.count_documents({}):
            assert later(raw, 60).undone == 1
            other[Item].insert_one({"_id": 1, "box": 1})
        await say(self, store, state, session)

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
    assert raw.boxes.count_documents({"_condemned": {"$exists": True}}) == 1


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


def test_a_delete_in_a_transaction_makes_optimistic_writers_pin(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    raw = client[database_name]
    db = integrity.Database(raw, models=MODELS, references="optimistic")
    db._guards.references.timing = dataclasses.replace(Timing(), notice=0.05)
    db._guards.references.notices._timing = db._guards.references.timing
    db[Box].insert_many([{"_id": 1}, {"_id": 2}])
    db[Item].insert_one({"_id": 1, "box": 1})
    with pytest.raises(BeingDeleted) as caught, db.transaction():
        db[Box].delete_one({"_id": 2})
    assert caught.value.has_error_label("TransientTransactionError")
    db.with_transaction(lambda _: db[Box].delete_one({"_id": 2}))
    assert db[Box].count_documents({}) == 1
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
