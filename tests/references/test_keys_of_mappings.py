"""References and copies under keys that no path of the server's names, and references that have moved meanwhile."""

from typing import Annotated, Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

import integrity
from integrity import CopyOf, DanglingReference, Model, Ref, RestrictedDelete, Revision, Unique
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.references import protocol
from integrity.writes.references.carry_out import detach
from integrity.writes.references.plan import Child
from integrity.writes.whole import rewrite

Client = MongoClient[dict[str, Any]]
#: None of them can be a step of a path.
KEYS = ["a.b", "$a", "", "a..b", "."]


class Owner(Model, collection="owners"):
    id: int
    name: str
    code: Annotated[str, Unique()]


class Line(Model):
    owner: Annotated[int, Ref(Owner, on_delete="cascade")]
    name: Annotated[str, CopyOf(Owner, "name", via="owner")]


class Nulled(Model, collection="nulled"):
    id: int
    one: dict[str, Annotated[int | None, Ref(Owner, on_delete="set_null")]]
    many: list[dict[str, Annotated[list[Annotated[int, Ref(Owner, on_delete="set_null")]], integrity.Allow([])]]]
    version: Annotated[int, Revision()] = 0


class Coded(Model, collection="coded"):
    id: int
    by: dict[str, Annotated[str, Ref(Owner, field="code", on_update="cascade")]]


class Held(Model, collection="held"):
    id: int
    by: dict[str, Annotated[int, Ref(Owner)]]


class Kept(Model, collection="kept"):
    id: int
    lines: dict[str, Line]


MODELS: list[type[Model]] = [Owner, Nulled, Coded, Held, Kept]


@pytest.fixture(params=["replica set", "standalone"])
def anywhere(request: pytest.FixtureRequest, client: Client, alone: Client, database_name: str) -> Any:
    if request.param == "replica set":
        yield client[database_name]
    else:
        yield alone[database_name]
        alone.drop_database(database_name)


def test_a_reference_under_any_key_is_set_to_null(anywhere: Database[dict[str, Any]]) -> None:
    db = integrity.Database(anywhere, models=MODELS)
    db[Owner].insert_many([{"_id": each, "name": "n", "code": str(each)} for each in (1, 2)])
    one = {**dict.fromkeys(KEYS, 1), "c": 1, "d.e": 2}
    db[Nulled].insert_one({"_id": 1, "one": one, "many": [{"x.y": [1, 2, 1], "": [1], "z": [2, 1]}]})
    assert db[Owner].delete_one({"_id": 1}).deleted_count == 1
    found = anywhere["nulled"].find_one({})
    assert found is not None
    assert list(found["one"].items()) == [*dict.fromkeys([*KEYS, "c"]).items(), ("d.e", 2)]
    assert found["many"] == [{"x.y": [2], "": [], "z": [2]}]
    assert found["version"] > 0


def test_a_key_that_changes_changes_what_refers_to_it_under_any_key(client: Client, database_name: str) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db[Owner].insert_one({"_id": 1, "name": "n", "code": "old"})
    db[Coded].insert_one({"_id": 1, "by": dict.fromkeys([*KEYS, "c"], "old")})
    db[Owner].update_one({"_id": 1}, {"$set": {"code": "new"}})
    assert client[database_name]["coded"].find_one() == {"_id": 1, "by": dict.fromkeys([*KEYS, "c"], "new")}


def test_a_copy_under_any_key_follows_its_owner(client: Client, database_name: str) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db[Owner].insert_many([{"_id": each, "name": f"of {each}", "code": str(each)} for each in (1, 2)])
    db[Kept].insert_one({"_id": 1, "lines": {each: {"owner": 1} for each in [*KEYS, "c"]}})
    db[Owner].update_one({"_id": 1}, {"$set": {"name": "NEW"}})
    kept = client[database_name]["kept"]
    assert kept.find_one() == {"_id": 1, "lines": {each: {"owner": 1, "name": "NEW"} for each in [*KEYS, "c"]}}
    # Another owner, by a stage, which is judged by what it leaves.
    moved = {"owner": 2}
    db[Kept].update_one({"_id": 1}, [{"$set": {"lines": {"$literal": {"a.b": moved, "c": moved}}}}])
    assert kept.find_one() == {"_id": 1, "lines": {each: {"owner": 2, "name": "of 2"} for each in ("a.b", "c")}}


@pytest.mark.parametrize("key", KEYS)
def test_an_insert_that_is_refused_is_taken_back_under_any_key(client: Client, database_name: str, key: str) -> None:
    db, elsewhere = (
        integrity.Database(client[database_name], models=MODELS, references="optimistic") for _ in range(2)
    )
    db[Owner].insert_one({"_id": 7, "name": "n", "code": "7"})
    db[Held].insert_one({"_id": 0, "by": {"k": 7}})  # it is seen lately: the next insert looks once
    db[Held].delete_one({"_id": 0})
    elsewhere[Owner].delete_one({"_id": 7})
    with pytest.raises(DanglingReference):
        db[Held].insert_one({"_id": 1, "by": {key: 7}})
    assert client[database_name]["held"].find_one() is None


class Noted(Model):
    owner: Annotated[int | None, Ref(Owner, on_delete="set_null")]
    note: str


class Notes(Model, collection="notes"):
    id: int
    by: dict[str, Noted]


def test_what_cannot_be_written_back_refuses_the_delete(anywhere: Database[dict[str, Any]]) -> None:
    db = integrity.Database(anywhere, models=[Owner, Notes])
    db[Owner].insert_one({"_id": 1, "name": "n", "code": "1"})
    stored = bson.encode({"_id": 1, "by": {"a.b": {"owner": 1, "note": "BAD"}}}).replace(b"BAD", b"B\xffD")
    anywhere["notes"].insert_one(RawBSONDocument(stored))  # as another program may
    with pytest.raises(RestrictedDelete, match=r"notes\.by\.\*\.owner from the document 1.*cannot be written back"):
        db[Owner].delete_one({"_id": 1})
    assert anywhere["owners"].find_one() == {"_id": 1, "name": "n", "code": "1"}


class Part(Model):
    owner: Annotated[int | None, Ref(Owner, on_delete="set_null")]


class Listed(Model, collection="listed"):
    id: int
    parts: list[Part]


def test_a_reference_that_has_moved_since_it_was_planned_is_found_again(client: Client, database_name: str) -> None:
    raw = client[database_name]
    db = integrity.Database(raw, models=[Owner, Listed])
    raw["listed"].insert_one({"_id": 1, "parts": [{"owner": 2}, {"owner": 1}]})
    entry = db.registry.by_collection("listed")
    assert entry is not None
    planned = Child(entry.references[0], 1, ((("parts", 0, "owner"), 1),))
    run(detach(protocol("auto", db.registry), BlockingStore(raw), [planned]))
    assert raw["listed"].find_one() == {"_id": 1, "parts": [{"owner": 2}, {"owner": None}]}


def test_what_another_writer_changed_meanwhile_is_not_written_over(client: Client, database_name: str) -> None:
    """A whole field is written back only where it is as it was read: also where there is no transaction."""
    kept = client[database_name].kept
    kept.insert_one({"_id": 1, "m": {"a.b": 1, "c": 1}})

    def change(document: dict[str, Any]) -> bool:
        kept.update_one({"_id": 1}, {"$set": {"m.c": 2}})  # somebody else, between the read and the write
        document["m"]["a.b"] = None
        return True

    store = BlockingStore(client[database_name])
    assert not run(rewrite(store, "kept", 1, ["m"], change))
    assert kept.find_one() == {"_id": 1, "m": {"a.b": 1, "c": 2}}
