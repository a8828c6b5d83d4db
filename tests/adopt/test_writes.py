"""Guarded writes follow the stages: what breaks a constraint that somebody staged lower is logged, the rest refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pymongo import InsertOne, MongoClient, UpdateOne
from pymongo.database import Database as RawDatabase

import integrity
from integrity import ForeignWrite, IndexRequired, InvalidBulkWrite, InvalidDocument, Model
from integrity.adopt import enforce
from integrity.declare.stage import Stage
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.server.shop import REGISTRY, Country, Customer, Order

Raw = RawDatabase[dict[str, Any]]


@pytest.fixture
def raw(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    found = client[database_name]
    found.countries.insert_one({"_id": "SE", "name": "Sverige"})
    found.customers.insert_one({"_id": 1, "email": "a@b"})
    found.orders.insert_one({"_id": 1, "customer_id": 1, "email": "a@b", "lines": [{"sku": "x", "qty": 1}]})
    return found


def staged(raw: Raw, stage: Stage, *names: str) -> integrity.Database:
    run(enforce(BlockingStore(raw), REGISTRY, names, to=stage))
    return integrity.Database(raw, models=REGISTRY, actor="*")


@pytest.mark.parametrize("stage", [Stage.DECLARED, Stage.WARN])
def test_below_moderate_a_fault_is_stored_and_logged(raw: Raw, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    db = staged(raw, stage)
    with caplog.at_level(logging.WARNING, logger="integrity.writes"):
        db[Customer].insert_one({"id": 2, "first": "N/A", "country": "nowhere"})
        db[Customer].insert_many([{"_id": 3, "first": ""}, {"_id": 4}])
        db[Customer].update_one({"_id": 1}, {"$set": {"last": "-"}})
        db[Customer].replace_one({"_id": 4}, {"first": "null"})
        db[Customer].bulk_write([InsertOne({"_id": 5, "x": 1}), UpdateOne({"_id": 5}, {"$set": {"first": " "}})])
    found = {each["_id"]: each for each in raw.customers.find()}
    assert (found[2]["first"], found[2]["country"]) == ("N/A", "nowhere")
    assert (found[3]["first"], found[1]["last"], found[4]["first"]) == ("", "-", "null")
    assert found[5] == {"_id": 5, "x": 1, "first": " "}
    logged = [each.getMessage() for each in caplog.records]
    assert any("FRB001 customers.first" in each for each in logged)
    assert any("REF001 customers.country" in each for each in logged)
    assert not any("nowhere" in each for each in logged)  # a log keeps no value of a document


def test_many_documents_of_a_model_without_references_are_tolerated_too(
    raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    """They take a way of their own through `insert_many`."""
    db = staged(raw, Stage.WARN)
    with caplog.at_level(logging.WARNING, logger="integrity.writes"):
        db[Country].insert_many([{"id": "NO", "name": "Norge"}, {"id": "DK", "name": "N/A"}])
    assert {each["_id"] for each in raw.countries.find()} == {"SE", "NO", "DK"}
    assert "FRB001 countries.name" in caplog.text


def test_what_an_update_leaves_or_an_upsert_inserts_is_tolerated_too(raw: Raw) -> None:
    """Where it is judged afterwards, in a transaction that goes on."""
    db = staged(raw, Stage.WARN)
    db[Country].update_one({"_id": "DK", "name": "N/A"}, {"$set": {}}, upsert=True)
    with db.transaction():
        db[Country].update_one({"_id": "SE"}, [{"$set": {"name": {"$concat": ["N", "/A"]}}}])
    assert {each["_id"]: each["name"] for each in raw.countries.find()} == {"SE": "N/A", "DK": "N/A"}


def test_what_is_tolerated_is_updated_without_transactions_too(standalone: Mongod, database_name: str) -> None:
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        alone = client[database_name]
        alone.customers.insert_one({"_id": 1})
        staged(alone, Stage.WARN)[Customer].update_one({"_id": 1}, {"$set": {"last": "-"}})
        assert alone.customers.find_one() == {"_id": 1, "last": "-"}
        client.drop_database(database_name)


def test_what_is_not_staged_is_refused_and_then_nothing_is_stored(raw: Raw) -> None:
    db = staged(raw, Stage.WARN, "customers.schema")
    db[Customer].insert_one({"_id": 2, "first": "N/A"})
    with pytest.raises(InvalidDocument) as caught:
        db[Customer].insert_one({"_id": 3, "first": "N/A", "country": "nowhere"})
    assert {each.code for each in caught.value.violations} == {"FRB001", "REF001"}
    with pytest.raises(InvalidBulkWrite):
        db[Order].insert_many([{"_id": 2, "customer_id": 1, "lines": []}])
    assert raw.customers.find_one({"_id": 3}) is None


@pytest.mark.parametrize("stage", [Stage.MODERATE, Stage.ENFORCED])
def test_from_moderate_on_a_fault_is_refused(raw: Raw, stage: Stage) -> None:
    db = staged(raw, stage)
    with pytest.raises(InvalidDocument):
        db[Customer].insert_one({"_id": 2, "first": "N/A"})
    with pytest.raises(InvalidDocument):
        db[Customer].update_one({"_id": 1}, {"$set": {"first": ""}})


def test_without_stages_and_after_an_apply_that_only_warns_a_fault_is_refused(raw: Raw) -> None:
    db = integrity.Database(raw, models=REGISTRY, actor="*")
    with pytest.raises(InvalidDocument):
        db[Customer].insert_one({"_id": 2, "first": "N/A"})
    raw.customers.insert_one({"_id": 9, "first": "N/A"})
    assert any("warns only" in each for each in db.apply().plan.notes)
    with pytest.raises(InvalidDocument):
        integrity.Database(raw, models=REGISTRY, actor="*")[Customer].insert_one({"_id": 2, "first": "N/A"})


def test_a_staged_unique_constraint_gets_no_index_by_a_write(raw: Raw) -> None:
    raw.customers.insert_one({"_id": 2, "email": "a@b"})
    db = staged(raw, Stage.WARN)
    db[Customer].insert_one({"_id": 3, "email": "a@b"})
    db[Country].insert_one({"_id": "NO", "name": "Norge"})
    assert "unique" not in raw.customers.index_information()["integrity_unique_email"]


def test_who_may_write_is_never_staged(raw: Raw) -> None:
    class Owned(Model, collection="owned", owner="somebody"):
        id: int

    run(enforce(BlockingStore(raw), integrity.Registry([Owned]), to=Stage.WARN))
    with pytest.raises(ForeignWrite):
        integrity.Database(raw, models=[Owned], actor="another")[Owned].insert_one({"_id": 1})


def test_a_valid_write_reads_no_stages(raw: Raw) -> None:
    seen: list[str] = []

    class Watching(BlockingStore):
        def find(self, collection: str, filter: Any = None, /, **options: Any) -> Any:
            seen.append(collection)
            return super().find(collection, filter, **options)

    db = integrity.Database(raw, models=REGISTRY, actor="*")
    db._guards.store.__class__ = Watching
    db[Country].insert_one({"_id": "DK", "name": "Danmark"})
    with pytest.raises(InvalidDocument):
        db[Country].insert_one({"_id": "", "name": "Danmark"})
    assert seen.count("integrity.stages") == 1


def test_what_nobody_has_staged_is_refused_also_while_an_enforcement_is_held(raw: Raw) -> None:
    """Who asks for more does not get less: below `moderate` they log where somebody said so."""
    raw.customers.insert_many([{"_id": 7, "first": "N/A"}, {"_id": 8, "country": "nowhere", "email": "a@b"}])
    db = integrity.Database(raw, models=REGISTRY, actor="*")
    held = {each.constraint.name: str(each.after) for each in db.enforce() if each.held}
    assert held == {f"customers.{each}": "warn" for each in ("schema", "unique(email)", "reference(country)")}
    with pytest.raises(IndexRequired, match=r"`integrity enforce 'customers\.unique\(email\)'`"):
        db[Customer].insert_one({"id": 9})
    trusting = integrity.Database(raw, models=REGISTRY, actor="*", unique="trust")[Customer]
    for broken in ({"first": "N/A"}, {"country": "nowhere"}):
        with pytest.raises(InvalidDocument):
            trusting.insert_one({"id": 9, **broken})
    db.enforce(to="warn")
    db[Customer].insert_one({"id": 9, "first": "N/A", "country": "nowhere", "email": "a@b"})
