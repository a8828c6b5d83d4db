"""Copies of what is derived from a reference follow it, whatever changes the reference."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Any

import pytest
from bson import Decimal128
from pydantic import Field
from pymongo import MongoClient
from pymongo.database import Database

import integrity
from integrity import CopyOf, Model, Ref, RestrictedDelete, RestrictedUpdate, Revision, Unique, derived
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.copies import keeping, sync
from integrity.writes.delete import delete_one
from integrity.writes.references import Protocol
from tests.references import scenes
from tests.references.scenes import Operation, insert, registry_of, scene
from tests.references.scheduler import Actor, Clock, Explored, Scene, Violated, explore

Raw = Database[dict[str, Any]]


class Place(Model, collection="places"):
    id: int
    code: Annotated[str, Unique()]


class Shop(Model, collection="shops"):
    id: int
    place: Annotated[int | None, Ref(Place, on_delete="set_null")] = None
    code: Annotated[str | None, Ref(Place, field="code", on_update="cascade", on_delete="set_null")] = None
    revision: Annotated[int, Revision()] = 0

    @derived
    def label(self) -> str:
        return f"{self.place} {self.code}"


class Order(Model, collection="orders"):
    id: int
    shop: Annotated[int, Ref(Shop)]
    label: Annotated[str, CopyOf(Shop, "label", via="shop"), Field(max_length=9)]

    @derived
    def title(self) -> str:
        return f"{self.id}: {self.label}"


class Note(Model, collection="notes"):
    id: int
    order: Annotated[int, Ref(Order)]
    title: Annotated[str, CopyOf(Order, "title", via="order")]


MODELS: list[type[Model]] = [Place, Shop, Order, Note]


def filled(raw: Raw) -> integrity.Database:
    db = integrity.Database(raw, models=MODELS)
    db[Place].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
    db[Shop].insert_one({"_id": 1, "place": 1, "code": "a"})
    db[Order].insert_many([{"_id": 1, "shop": 1}, {"_id": 2, "shop": 1}])
    db[Note].insert_one({"_id": 1, "order": 1})
    return db


def shown(raw: Raw) -> tuple[Any, ...]:
    found = [each["label"] for name in ("shops", "orders") for each in raw[name].find(sort=[("_id", 1)])]
    return (*found, *(each["title"] for each in raw["notes"].find()))


@pytest.fixture
def raw(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    return client[database_name]


@pytest.mark.parametrize("limit", [1000, 0], ids=["in one transaction", "in batches"])
def test_a_reference_that_a_delete_sets_to_null(raw: Raw, limit: int) -> None:
    db = filled(raw)
    db._guards.references.limit = limit
    db[Place].delete_one({"_id": 1})
    assert shown(raw) == ("None None", "None None", "None None", "1: None None")
    assert db[Shop].find_one({}, {"revision": 1}) == {"_id": 1, "revision": 2}


def test_a_key_that_changes(raw: Raw) -> None:
    db = filled(raw)
    db[Place].update_one({"_id": 1}, {"$set": {"code": "c"}})
    assert shown(raw) == ("1 c", "1 c", "1 c", "1: 1 c")
    db[Place].replace_one({"_id": 1}, {"code": "d"})
    assert shown(raw) == ("1 d", "1 d", "1 d", "1: 1 d")


def test_in_a_transaction_of_the_callers(raw: Raw) -> None:
    db = filled(raw)
    db.apply()
    with db.transaction() as tx:
        db[Place].delete_one({"_id": 1})
        tx.rollback()
    assert shown(raw) == ("1 a", "1 a", "1 a", "1: 1 a")
    with db.transaction():
        db[Place].update_one({"_id": 1}, {"$set": {"code": "c"}})
        db[Place].delete_one({"_id": 1})
    assert shown(raw) == ("None None", "None None", "None None", "1: None None")


def test_what_is_more_than_a_transaction_refreshes_is_refreshed_before_the_call_returns(raw: Raw) -> None:
    db = filled(raw)
    db._guards.copies.limit = 0
    db[Place].update_one({"_id": 1}, {"$set": {"code": "c"}})
    assert shown(raw) == ("1 c", "1 c", "1 c", "1: 1 c")
    db[Place].delete_one({"_id": 1})
    assert shown(raw) == ("None None", "None None", "None None", "1: None None")
    assert raw["integrity.refreshes"].count_documents({}) == 0


def test_a_copy_that_cannot_follow_refuses_the_change(raw: Raw) -> None:
    db = filled(raw)
    with pytest.raises(RestrictedUpdate, match=r"a copy of what is derived from it cannot follow: .*orders\.label"):
        db[Place].update_one({"_id": 1}, {"$set": {"code": "c" * 20}})
    assert shown(raw) == ("1 a", "1 a", "1 a", "1: 1 a")
    raw["orders"].update_many({}, {"$set": {"extra": Decimal128("1")}})  # what was wrong before is not its fault
    db[Place].delete_one({"_id": 1})
    assert shown(raw)[:2] == ("None None", "None None")


def test_a_standalone_server_refuses_it(standalone: Any, database_name: str) -> None:
    with MongoClient[dict[str, Any]](standalone.uri) as alone:
        raw = alone[database_name]
        try:
            raw["places"].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
            raw["shops"].insert_one({"_id": 1, "place": 1, "code": None, "revision": 0, "label": "1 None"})
            raw["orders"].insert_one({"_id": 1, "shop": 1, "label": "1 None", "title": "1: 1 None"})
            db = integrity.Database(raw, models=MODELS)
            with pytest.raises(RestrictedDelete, match="a standalone server has no transaction for both"):
                db[Place].delete_one({"_id": 1})
            assert shown(raw) == ("1 None", "1 None")
            assert raw["places"].find_one({"_id": 1}) == {"_id": 1, "code": "a"}
            db[Place].delete_one({"_id": 2})
        finally:
            alone.drop_database(database_name)


def gone(id_: int) -> Operation:
    async def operation(guard: Any) -> Any:
        return await delete_one(guard(Place), {"_id": id_})

    return operation


def made(database: Database[Any], limit: int) -> Scene:
    """A delete that sets what an order's copy is derived from to null, and an order that copies it meanwhile."""
    registry = registry_of(*MODELS)
    found = scene(
        database,
        transactional=True,
        modes=("pinned", "pinned"),
        start={
            "places": [{"_id": 1, "code": "a"}],
            "shops": [{"_id": 1, "place": 1, "code": None, "revision": 0, "label": "1 None"}],
            "orders": [],
            "notes": [],
            "integrity.refreshes": [],
        },
        operations=(gone(1), insert(Order, {"_id": 1, "shop": 1})),
        models=MODELS,
        limit=limit,
    )

    def recovered(clock: Clock) -> None:
        found.recover(clock)
        store = BlockingStore(database)
        run(sync(scenes.guards(store, registry, "auto", clock, 6).copies, store))

    def check(one: Actor, other: Actor) -> None:
        found.check(one, other)
        labels = {each["_id"]: each["label"] for each in database["shops"].find()}
        stale = [each for each in database["orders"].find() if each["label"] != labels[each["shop"]]]
        left = database["integrity.refreshes"].count_documents({})
        assert not stale or (left and (one.dead or other.dead)), f"stale: {stale}"

    return replace(found, check=check, recover=recovered, watched=[*found.watched, "integrity.refreshes"])


def tried(database: Database[Any], limit: int, *, runs: int | None = None, part: int = 1) -> Explored:
    """Try the orders, with crashes, and say how much was tried."""
    found = explore(made(database, limit), runs=runs, part=part)
    sys.stderr.write(f"\ndelete, copy, limit {limit}: {found}\n")  # the number of schedules is part of the evidence
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("limit", [1000, 0])
def test_no_order_of_a_delete_and_of_a_copys_insert_leaves_it_stale(raw: Raw, limit: int) -> None:
    assert tried(raw, limit, runs=30, part=20).crashes > 5  # `benchmarks/torture_copies.py` tries all of them


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not follow."""


@pytest.mark.parametrize(("module", "attribute"), [(keeping.Keeper, "carry_out"), (Protocol, "seal")])
def test_without_one_of_the_orderings_it_goes_stale(
    raw: Raw, monkeypatch: pytest.MonkeyPatch, module: Any, attribute: str
) -> None:
    monkeypatch.setattr(module, attribute, _nothing)
    with pytest.raises(Violated, match="stale"):
        explore(made(raw, 1000), crashes=False)
