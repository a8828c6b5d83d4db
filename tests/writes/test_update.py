"""Updates: proved ones go as they are, others are judged by what they leave; a refused one leaves every byte."""

from typing import Annotated, Any

import pytest
from bson import Decimal128
from pydantic import Field
from pymongo import InsertOne, MongoClient, ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener, CommandStartedEvent

import integrity
from integrity import (
    DanglingReference,
    DuplicateValue,
    ForeignWrite,
    ImmutableField,
    IntegrityError,
    InvalidBulkWrite,
    InvalidDocument,
    Model,
    Owner,
    Ref,
    Revision,
    StaleDocument,
    TransactionRequired,
)
from integrity.embedded import Mongod
from integrity.writes import verified
from tests.writes.conftest import stored
from tests.writes.handles import COLOURS, Handle, opened
from tests.writes.shop import CUSTOMER, MODELS, ORDER, PRODUCT, Customer, Node, Order, Product, Span

Raw = Database[dict[str, Any]]


class Terms(Model):
    days: Annotated[int, Field(ge=0)] = 0


class Lease(Model, collection="leases", owner="desk"):
    id: int
    visits: Annotated[int, Field(ge=0)] = 0
    note: str | None = None
    terms: Annotated[Terms | None, Owner("pricing")] = None
    revision: Annotated[int, Revision()] = 0


class Album(Model, collection="albums"):
    id: int
    nodes: list[Annotated[int, Ref(Node)]]


@pytest.fixture
async def full(db: Handle) -> Handle:
    await db[Customer].insert_one(dict(CUSTOMER))
    await db[Customer].insert_one({"_id": 2, "email": "bob@example.org", "name": "Bob"})
    await db[Product].insert_many([dict(PRODUCT), {"_id": 2, "sku": "B-2", "title": "Chair"}])
    await db[Order].insert_one({**ORDER})
    await db[Span].insert_many([{"_id": number, "low": number, "high": number + 10} for number in range(20)])
    return db


async def test_a_proved_update_is_pymongos(full: Handle, raw: Raw) -> None:
    result = await full[Customer].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
    assert (result.matched_count, result.modified_count) == (1, 1)
    assert raw["customers"].find_one({"_id": 1}, {"name": 1}) == {"_id": 1, "name": "Ada L."}
    many = await full[Customer].update_many({}, {"$set": {"name": "X"}})
    assert many.modified_count == 2


class Commands(CommandListener):
    """The names of the commands that were sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def test_a_proved_update_costs_one_round_trip(uri: str, database_name: str) -> None:
    commands = Commands()
    with MongoClient[dict[str, Any]](uri, event_listeners=[commands]) as client:
        db = integrity.Database(client[database_name], models=MODELS, actor="*")
        db[Customer].insert_one(dict(CUSTOMER))
        commands.names.clear()
        db[Customer].update_one({"_id": 1}, {"$set": {"name": "Ada"}})
        db[Customer].find_one_and_update({"_id": 1}, {"$unset": {"nickname": ""}})
        assert commands.names == ["update", "findAndModify"]
        commands.names.clear()
        db[Customer].update_one({"_id": 1}, {"$set": {"name": "A"}, "$setOnInsert": {"country": "DE"}})
        assert commands.names == ["update"]


def test_what_the_actor_owns_in_a_document_of_another_costs_one_round_trip(uri: str, database_name: str) -> None:
    """Also beside the revision, which the library counts: nothing has to be looked at."""
    commands = Commands()
    with MongoClient[dict[str, Any]](uri, event_listeners=[commands]) as client:
        db = integrity.Database(client[database_name], models=[Lease], actor="pricing")
        client[database_name]["leases"].insert_one({"_id": 1, "terms": {"days": 1}})
        commands.names.clear()
        db[Lease].update_one({"_id": 1}, {"$set": {"terms.days": 5}})
        assert commands.names == ["update"]
        assert db[Lease].find_one({"_id": 1}) == {"_id": 1, "terms": {"days": 5}, "revision": 1}


def test_a_revision_is_counted_beside_everything_else(raw: Raw) -> None:
    leases = integrity.Database(raw, models=[Lease], actor="*")[Lease]
    raw["leases"].insert_one({"_id": 1, "visits": 1})  # from before there was a revision
    leases.update_one({"_id": 1}, {"$inc": {"visits": 2}})
    leases.update_one({"_id": 1}, {"$inc": {"visits": -1}})  # judged by what it leaves
    assert leases.update_many({}, [{"$set": {"visits": {"$add": ["$visits", 1]}}}]).modified_count == 1
    assert raw["leases"].find_one() == {"_id": 1, "visits": 3, "revision": 3}
    for visits, stage in ((4, {"$unset": "revision"}), (5, {"$set": {"revision": None}})):
        raw["leases"].update_one({}, [stage])
        leases.update_one({"_id": 1}, [{"$set": {"visits": {"$add": ["$visits", 1]}}}])
        assert raw["leases"].find_one({}, {"visits": 1, "revision": 1}) == {"_id": 1, "visits": visits, "revision": 1}


def test_the_first_revision_is_not_skipped_by_a_stage(raw: Raw) -> None:
    raw["leases"].insert_one({"_id": 1})
    skipped = [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"revision": 5}]}}]
    with pytest.raises(InvalidDocument, match="OWN005"):
        integrity.Database(raw, models=[Lease], actor="*")[Lease].update_one({"_id": 1}, skipped)
    assert raw["leases"].find_one() == {"_id": 1}


def test_paths_of_an_update_that_are_in_conflict_meet_the_servers_error(raw: Raw) -> None:
    leases = integrity.Database(raw, models=[Lease], actor="*")[Lease]
    leases.insert_one({"_id": 1})
    with pytest.raises(OperationFailure, match="conflict"):
        leases.update_one({"_id": 1}, {"$set": {"terms": None, "terms.days": 1}})


def test_an_older_revision_is_stale_by_every_method(raw: Raw) -> None:
    leases = integrity.Database(raw, models=[Lease], actor="*")[Lease]
    leases.insert_one({"_id": 1})
    older, update = {"_id": 1, "revision": 7}, {"$set": {"note": "x"}}
    for write in (
        lambda: leases.update_one(older, update),
        lambda: leases.update_many(older, update),
        lambda: leases.find_one_and_update(older, update),
        lambda: leases.bulk_write([UpdateOne(older, update)]),
    ):
        with pytest.raises(IntegrityError) as refused:
            write()
        assert [each.code for each in refused.value.violations] == ["OWN005"]


@pytest.mark.parametrize("condition", [{"visits": -1}, {"$or": [{"visits": -1}]}], ids=str)
def test_an_upsert_of_a_bulk_inserts_nothing_that_is_invalid(raw: Raw, condition: dict[str, Any]) -> None:
    leases = integrity.Database(raw, models=[Lease], actor="*")[Lease]
    with pytest.raises(InvalidBulkWrite, match="SCH003"):
        leases.bulk_write([UpdateOne({"_id": 9, **condition}, {"$set": {"note": "x"}}, upsert=True)])
    assert raw["leases"].find_one() is None


def test_an_upsert_of_a_bulk_takes_no_dangling_reference_from_its_filter(raw: Raw) -> None:
    nodes = integrity.Database(raw, models=[Node])[Node]
    with pytest.raises(InvalidBulkWrite, match="REF001"):
        nodes.bulk_write([UpdateOne({"_id": 6, "parent": 99}, {"$set": {}}, upsert=True)])
    assert raw["nodes"].find_one() is None


def test_a_stale_revision_is_told_as_the_transaction_sees_it(raw: Raw) -> None:
    db = integrity.Database(raw, models=[Lease], actor="*")
    raw.create_collection("leases")
    with db.transaction():
        db[Lease].insert_one({"_id": 1})
        with pytest.raises(StaleDocument) as refused:
            db[Lease].update_one({"_id": 1, "revision": 7}, {"$set": {"note": "x"}})
    assert [each.id for each in refused.value.violations] == [1]


@pytest.mark.parametrize(
    "update",
    [
        {"$set": {"revision": 1}},
        {"$inc": {"revision": 1}},
        {"$rename": {"visits": "revision"}},
        [{"$set": {"revision": 0}}],
        [{"$unset": "revision"}],
        [{"$unset": ["note", "revision"]}],
    ],
    ids=str,
)
def test_a_revision_is_not_written_by_hand(raw: Raw, update: Any) -> None:
    before = {"_id": 1, "visits": 0, "revision": 0}
    raw["leases"].insert_one(dict(before))
    with pytest.raises(InvalidDocument) as refused:
        integrity.Database(raw, models=[Lease], actor="*")[Lease].update_one({"_id": 1}, update)
    assert "OWN005" in [each.code for each in refused.value.violations]
    assert raw["leases"].find_one() == before


def test_what_is_anothers_is_refused_where_nothing_else_is_looked_at(raw: Raw) -> None:
    db = integrity.Database(raw, models=[Lease], actor="desk")
    pricing = db.acting_as("pricing")[Lease]
    before = {"_id": 1, "visits": 1, "ghost": 1, "revision": 0}
    raw["leases"].insert_one(dict(before))
    for update in ({"$set": {"note": "x"}}, {"$unset": {"ghost": ""}}):
        with pytest.raises(ForeignWrite):
            pricing.update_one({"_id": 1}, update)
        assert raw["leases"].find_one() == before
    with pytest.raises(InvalidDocument) as refused:
        pricing.update_one({"_id": 1}, {"$set": {"note": "x", "terms": {"days": -1}}})
    assert {each.code for each in refused.value.violations} == {"OWN003", "SCH003"}
    with pytest.raises(ForeignWrite):  # of the filter
        db[Lease].update_one({"_id": 9, "terms.days": 3}, {"$set": {"note": "x"}}, upsert=True)
    assert raw["leases"].count_documents({}) == 1


async def test_a_cross_field_rule_is_judged_by_the_outcome(full: Handle, raw: Raw) -> None:
    await full[Span].update_one({"_id": 1}, {"$set": {"low": 5}})
    before = stored(raw)
    with pytest.raises(InvalidDocument, match="low is above high") as refused:
        await full[Span].update_one({"_id": 1}, {"$inc": {"low": 100}})
    assert {each.code for each in refused.value.violations} == {"SCH005"}
    assert stored(raw) == before


async def test_an_update_of_many_that_one_document_refuses_changes_none(
    full: Handle, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more than one batch all are tried before the first is committed: the last document is the bad one."""
    monkeypatch.setattr(verified, "BATCH", 4)
    raw["spans"].update_one({"_id": 19}, {"$set": {"high": 20}})
    before = stored(raw)
    with pytest.raises(InvalidDocument) as refused:
        await full[Span].update_many({}, {"$inc": {"low": 5}})
    assert [each.id for each in refused.value.violations] == [19]
    assert stored(raw) == before


async def test_an_update_of_many_goes_in_batches_and_counts_all(
    full: Handle, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "BATCH", 4)
    result = await full[Span].update_many({"low": {"$lt": 15}}, {"$inc": {"low": 100, "high": 100}})
    assert (result.matched_count, result.modified_count) == (15, 15)
    assert sorted(raw["spans"].distinct("low")) == [*range(15, 20), *range(100, 115)]
    result = await full[Span].update_many({}, {"$max": {"low": 16}})
    assert (result.matched_count, result.modified_count) == (20, 1)


async def test_variables_and_upserts_of_many_are_those_of_pymongo(full: Handle, raw: Raw) -> None:
    named: dict[str, Any] = {"$expr": {"$eq": ["$_id", "$$v"]}}
    for update in (full[Span].update_one, full[Span].update_many):
        assert (await update(named, {"$inc": {"high": 1}}, let={"v": 2})).modified_count == 1
    assert raw["spans"].find_one({"_id": 2}) == {"_id": 2, "low": 2, "high": 14}
    stage = [{"$set": {"low": "$$v", "high": 99}}]
    assert (await full[Span].update_many({"_id": 77}, stage, upsert=True, let={"v": 3})).upserted_id == 77
    async with full.transaction():
        assert (await full[Span].update_many({"_id": 78}, stage, upsert=True, let={"v": 4})).upserted_id == 78
    assert raw["spans"].find_one({"_id": 78}) == {"_id": 78, "low": 4, "high": 99}
    with pytest.raises(OperationFailure):  # of what is sent although nothing matches
        await full[Span].update_one({"_id": 404}, [{"$set": {"low": {"$nonsense": 1}}}])


async def test_the_positional_operator_meets_the_callers_filter(full: Handle, raw: Raw) -> None:
    await full[Order].update_one({"_id": 1, "lines.product_id": 1}, {"$set": {"lines.$.qty": 5}})
    assert raw["orders"].find_one({}, {"_id": 0, "lines.qty": 1}) == {"lines": [{"qty": 5}]}
    with pytest.raises(InvalidDocument):
        await full[Order].update_one({"_id": 1, "lines.product_id": 1}, {"$inc": {"lines.$.qty": -5}})
    await full[Order].update_many({"lines.product_id": 1}, {"$inc": {"lines.$.qty": -2}})
    assert raw["orders"].find_one({}, {"_id": 0, "lines.qty": 1}) == {"lines": [{"qty": 3}]}


async def test_a_reference_that_is_set_must_exist_and_others_are_left_alone(full: Handle, raw: Raw) -> None:
    for update in (
        {"$set": {"customer_id": 99}},
        {"$push": {"lines": {"product_id": 99, "title": "x", "qty": 1}}},
        {"$inc": {"customer_id": 98}},
    ):
        before = stored(raw)
        with pytest.raises(DanglingReference):
            await full[Order].update_one({"_id": 1}, update)
        assert stored(raw) == before
    raw["orders"].update_one({"_id": 1}, {"$set": {"customer_id": 99}})  # a fault that was there before
    for amount in (1, -1):  # proved, and judged by what it leaves
        await full[Order].update_one({"_id": 1}, {"$inc": {"lines.0.qty": amount}})


def test_a_reference_that_is_set_in_an_array_must_exist(raw: Raw) -> None:
    db = integrity.Database(raw, models=[Node, Album], actor="*")
    db[Node].insert_one({"_id": 1})
    db[Album].insert_one({"_id": 1, "nodes": [1]})
    with pytest.raises(DanglingReference) as refused:
        db[Album].update_one({"_id": 1}, {"$set": {"nodes.0": 99}})
    assert [each.path for each in refused.value.violations] == ["nodes.0"]
    assert raw["albums"].find_one() == {"_id": 1, "nodes": [1]}


async def test_a_copy_follows_its_reference_and_is_not_written_by_hand(full: Handle, raw: Raw) -> None:
    await full[Order].update_one({"_id": 1}, {"$set": {"lines.0.product_id": 2}})
    found = raw["orders"].find_one()
    assert found is not None
    assert found["lines"] == [{"product_id": 2, "title": "Chair", "qty": 2}]
    for by_hand in ({"lines.0.title": "Stool"}, {"lines.0.product_id": 1, "lines.0.title": "Stool"}):
        with pytest.raises(InvalidDocument) as refused:
            await full[Order].update_one({"_id": 1}, {"$set": by_hand})
        assert [each.code for each in refused.value.violations] == ["OWN001"]
    more = {"$concatArrays": ["$lines", [{"product_id": 1, "qty": 1}]]}
    await full[Order].update_one({"_id": 1}, [{"$set": {"lines": more}}])
    assert raw["orders"].distinct("lines.title") == ["Chair", "Lamp"]


async def test_a_copy_is_filled_from_what_the_transaction_sees(full: Handle, raw: Raw) -> None:
    async with full.transaction():
        await full[Product].insert_one({"_id": 3, "sku": "C-3", "title": "Bench"})
        await full[Order].update_one({"_id": 1}, {"$set": {"lines.0.product_id": 3}})
    found = raw["orders"].find_one()
    assert found is not None
    assert found["lines"] == [{"product_id": 3, "title": "Bench", "qty": 2}]


async def test_an_immutable_field_keeps_its_value(full: Handle, raw: Raw) -> None:
    before = stored(raw)
    for update in ({"$set": {"country": "BE"}}, [{"$set": {"country": {"$concat": ["$country", "!"]}}}]):
        with pytest.raises(ImmutableField):
            await full[Customer].update_one({"_id": 1}, update)
        assert stored(raw) == before
    result = await full[Customer].update_one({"_id": 1}, {"$set": {"country": "NL"}})
    assert result.matched_count == 1
    raw["customers"].update_one({"_id": 1}, {"$unset": {"country": ""}})
    await full[Customer].update_one({"_id": 1}, {"$set": {"country": "BE"}})  # it is written once


async def test_a_duplicate_names_the_value_that_was_written(full: Handle, raw: Raw) -> None:
    before = stored(raw)
    with pytest.raises(DuplicateValue, match=r"ADA@EXAMPLE\.ORG"):
        await full[Customer].update_one({"_id": 2}, {"$set": {"email": "ADA@EXAMPLE.ORG"}})
    assert stored(raw) == before


async def test_actors_update_only_what_they_own(full: Handle, raw: Raw) -> None:
    pricing, catalogue = full.acting_as("pricing"), full.acting_as("catalogue")
    await pricing[Product].update_one({"_id": 1}, {"$set": {"price": "9.90"}})
    await catalogue[Product].update_one({"_id": 1}, {"$set": {"title": "Lamp 2"}})
    before = stored(raw)
    for handle, update in (
        (pricing, {"$set": {"title": "x"}}),
        (catalogue, {"$inc": {"price": 1}}),
        (catalogue, [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"price": {"$toDecimal": 5}}]}}]),
        (full.acting_as(None), {"$set": {"title": "x"}}),
    ):
        with pytest.raises(ForeignWrite):
            await handle[Product].update_one({"_id": 1}, update)
        assert stored(raw) == before
    with pytest.raises(ForeignWrite):
        await pricing[Product].update_one({"_id": 9}, {"$set": {"price": "2"}}, upsert=True)


async def test_an_upsert_writes_what_its_filter_says_and_may_be_anothers(full: Handle, raw: Raw) -> None:
    products = full.acting_as("catalogue")[Product]
    named = {"$set": {"sku": "Z-9", "title": "Torch"}}
    with pytest.raises(ForeignWrite):
        await products.update_one({"_id": 9, "price": Decimal128("5")}, named, upsert=True)
    assert not raw["products"].count_documents({"_id": 9})
    await products.update_one({"_id": 9}, named, upsert=True)


async def test_what_an_update_mentions_and_leaves_as_it_was_is_nobodys_affair(full: Handle, raw: Raw) -> None:
    """Goes red when updates are judged by the paths that they name: a form that sends all fields back would fail."""
    pricing, catalogue = full.acting_as("pricing"), full.acting_as("catalogue")
    await pricing[Product].update_one({"_id": 1}, {"$set": {"price": "9.90"}})
    title = next(iter(raw["products"].find({"_id": 1})))["title"]
    for update in (
        {"$set": {"price": "9.90", "note": "a"}},
        {"$inc": {"price": 0}, "$set": {"note": "b"}},
        {"$max": {"price": Decimal128("1")}, "$set": {"note": "c"}},
        [{"$set": {"price": "$price", "note": "d"}}],
    ):
        assert (await catalogue[Product].update_one({"_id": 1}, update)).modified_count == 1
    await pricing[Product].update_many({"_id": 1}, {"$set": {"title": title, "price": "2"}})
    await pricing[Product].update_one({"_id": 1}, {"$set": {"price": "3"}}, upsert=True)
    await pricing[Product].bulk_write([UpdateOne({"_id": 1}, {"$set": {"price": "4", "title": title}})])
    found = raw["products"].find_one({"_id": 1})
    assert found is not None
    assert (str(found["price"]), found["note"], found["title"]) == ("4", "d", title)
    before = stored(raw)
    for handle, update, named in (
        (pricing, {"$set": {"price": "5", "title": "x"}}, "title"),
        (catalogue, {"$set": {"note": "e"}, "$mul": {"price": 2}}, "price"),
        (catalogue, {"$unset": {"price": ""}}, "price"),
    ):
        with pytest.raises(ForeignWrite) as refused:
            await handle[Product].update_one({"_id": 1}, update)
        assert named in [each.path for each in refused.value.violations]
        assert stored(raw) == before
    with pytest.raises(ForeignWrite):  # a filter of an upsert is written, too
        await catalogue[Product].update_one(
            {"_id": 9, "price": Decimal128("5")}, {"$set": {"sku": "Z-9", "title": "New"}}, upsert=True
        )
    assert stored(raw) == before


async def test_an_upsert_inserts_what_is_valid_and_nothing_else(full: Handle, raw: Raw) -> None:
    result = await full[Customer].update_one(
        {"_id": 5},
        {"$set": {"name": "Eve", "email": "eve@example.org"}, "$setOnInsert": {"country": "DE"}},
        upsert=True,
    )
    assert result.upserted_id == 5
    before = stored(raw)
    for condition, update in (
        ({"_id": 6}, {"$set": {"name": "F"}}),
        ({"_id": 6, "name": "N/A"}, {"$set": {"email": "f@x.y"}}),
        ({"_id": 6, "ghost": 1}, {"$set": {"name": "F", "email": "f@x.y"}}),
    ):
        with pytest.raises(IntegrityError):
            await full[Customer].update_one(condition, update, upsert=True)
        assert stored(raw) == before
    with pytest.raises(DanglingReference):  # of the filter, too
        await full[Node].update_one({"_id": 6, "parent": 99}, {"$set": {}}, upsert=True)
    with pytest.raises(DanglingReference):  # that the server computes
        await full[Node].update_one({"_id": 6}, [{"$set": {"parent": {"$add": [90, 9]}}}], upsert=True)
    assert stored(raw) == before
    matched = await full[Customer].update_one({"_id": 5}, {"$set": {"name": "Eva"}}, upsert=True)
    assert (matched.matched_count, matched.upserted_id) == (1, None)


async def test_find_one_and_update_returns_the_document_before_or_after(full: Handle) -> None:
    proved = await full[Customer].find_one_and_update({"_id": 1}, {"$set": {"name": "A"}})
    assert proved["name"] == "Ada"
    after = await full[Span].find_one_and_update(
        {"low": {"$gt": 3}}, {"$inc": {"low": 1}}, sort=[("low", -1)], return_document=ReturnDocument.AFTER
    )
    assert after == {"_id": 19, "low": 20, "high": 29}
    before = await full[Span].find_one_and_update({"_id": 3}, {"$inc": {"low": 1}}, projection={"low": 1})
    assert before == {"_id": 3, "low": 3}
    made = await full[Span].find_one_and_update(
        {"_id": 50}, {"$set": {"low": 1, "high": 99}}, upsert=True, return_document=ReturnDocument.AFTER, as_model=True
    )
    assert made == Span(id=50, low=1, high=99)
    assert await full[Span].find_one_and_update({"_id": 51}, {"$inc": {"low": 1}}) is None


@pytest.mark.parametrize("colour", COLOURS)
async def test_without_transactions_only_what_is_proved_is_done(colour: str, standalone: Mongod) -> None:
    async with opened(colour, standalone.uri, f"lonely_{colour}", models=MODELS, actor="*") as db:
        try:
            await db[Span].insert_one({"_id": 1, "low": 1, "high": 5})
            await db[Node].insert_one({"_id": 1})
            with pytest.raises(TransactionRequired, match="replica set"):
                await db[Span].update_one({"_id": 1}, {"$inc": {"low": 1}})
            assert (await db[Span].find_one({"_id": 1}))["low"] == 1
            with pytest.raises(InvalidDocument):
                await db[Span].update_one({"_id": 1}, {"$set": {"low": "x"}})
            await db[Customer].insert_one(dict(CUSTOMER))
            await db[Customer].update_one({"_id": 1}, {"$set": {"name": "Ada L."}})
            with pytest.raises(InvalidDocument):  # of a document that would be inserted, all is known
                await db[Customer].update_one({"_id": 6}, {"$set": {"name": "F"}}, upsert=True)
            await db[Product].insert_one(dict(PRODUCT))
            with pytest.raises(ForeignWrite):
                await db.acting_as("pricing")[Product].update_one({"_id": 1}, {"$set": {"note": "x"}})
            await db[Span].replace_one({"_id": 1}, {"low": 2, "high": 5})
            requests = [InsertOne({"_id": 2, "low": 1, "high": 5}), UpdateOne({"_id": 1}, {"$inc": {"low": 1}})]
            with pytest.raises(InvalidBulkWrite, match=r"request 1(.|\n)*replica set") as refused:
                await db[Span].bulk_write(requests)
            assert isinstance(refused.value.__cause__, TransactionRequired)
            assert refused.value.details["nInserted"] == 1
            with pytest.raises(TransactionRequired):
                await db[Span].bulk_write(requests[1:])
        finally:
            with MongoClient[dict[str, Any]](standalone.uri) as client:
                client.drop_database(f"lonely_{colour}")
