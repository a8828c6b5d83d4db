"""Replacements: judged whole; what may not change stands in the way, revisions are compared and swapped."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import Decimal128
from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database

import integrity
from integrity import (
    DanglingReference,
    ForeignWrite,
    ImmutableField,
    InvalidBulkWrite,
    InvalidDocument,
    StaleDocument,
    TransactionRequired,
)
from integrity.embedded import Mongod
from integrity.store.blocking import BlockingStore
from tests.writes.conftest import stored
from tests.writes.handles import Handle
from tests.writes.shop import CUSTOMER, MODELS, ORDER, PRODUCT, Customer, Node, Order, Page, Product, Span

Raw = Database[dict[str, Any]]


async def test_a_valid_replacement_is_pymongos(db: Handle, raw: Raw) -> None:
    await db[Span].insert_one({"_id": 1, "low": 1, "high": 2})
    result = await db[Span].replace_one({"low": 1}, {"low": 3, "high": 4})
    assert (result.matched_count, result.modified_count) == (1, 1)
    assert raw["spans"].find_one() == {"_id": 1, "low": 3, "high": 4}
    assert (await db[Span].replace_one({"_id": 2}, Span(id=2, low=1, high=2))).matched_count == 0
    assert (await db[Span].replace_one({"_id": 2}, {"low": 1, "high": 2}, upsert=True)).upserted_id == 2
    found = await db[Span].find_one_and_replace(
        {}, {"low": 7, "high": 8}, sort=[("low", -1)], return_document=ReturnDocument.AFTER
    )
    assert found == {"_id": 1, "low": 7, "high": 8}


async def test_an_invalid_replacement_changes_nothing(db: Handle, raw: Raw) -> None:
    await db[Span].insert_one({"_id": 1, "low": 1, "high": 2})
    await db[Node].insert_one({"_id": 1})
    before = stored(raw)
    for replacement in ({"low": 3, "high": 2}, {"low": 1}, {"low": 1, "high": 2, "x": 1}, {"low": "?", "high": 2}):
        with pytest.raises(InvalidDocument):
            await db[Span].replace_one({"_id": 1}, replacement)
        with pytest.raises(InvalidDocument):
            await db[Span].find_one_and_replace({}, replacement)
    with pytest.raises(DanglingReference):
        await db[Node].replace_one({"_id": 1}, {"parent": 9})
    with pytest.raises(ImmutableField):
        await db[Span].replace_one({"_id": 1}, {"_id": 2, "low": 1, "high": 2})
    with pytest.raises(ValueError, match="operators"):
        await db[Span].replace_one({"_id": 1}, {"$set": {"low": 1}})
    assert stored(raw) == before


async def test_immutable_fields_are_carried_over_and_not_replaced(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one({**CUSTOMER, "country": "BE"})
    await db[Customer].replace_one({"_id": 1}, {"email": "ada@example.org", "name": "Ada L."})
    found = raw["customers"].find_one()
    assert found is not None
    assert (found["name"], found["country"]) == ("Ada L.", "BE")
    before = stored(raw)
    with pytest.raises(ImmutableField):
        await db[Customer].replace_one({"_id": 1}, {**CUSTOMER, "country": "NL"})
    assert stored(raw) == before


async def test_fields_of_other_owners_are_carried_over_and_not_replaced(db: Handle, raw: Raw) -> None:
    await db[Product].insert_one({**PRODUCT, "price": "5"})
    catalogue = db.acting_as("catalogue")
    await catalogue[Product].replace_one({"_id": 1}, {"sku": "A-1", "title": "Lantern"})
    found = raw["products"].find_one()
    assert found is not None
    assert (found["title"], str(found["price"])) == ("Lantern", "5")
    before = stored(raw)
    for actor, replacement in (
        ("catalogue", {"sku": "A-1", "title": "Lantern", "price": "6"}),
        ("pricing", {"sku": "A-1", "title": "Lamp", "price": "5"}),
        ("pricing", {"sku": "A-1", "title": "Lantern", "price": "6", "note": "x"}),
    ):
        with pytest.raises(ForeignWrite):
            await db.acting_as(actor)[Product].replace_one({"_id": 1}, replacement)
        assert stored(raw) == before
    # What counts is what changes: who owns a field may hand back the rest as it is.
    await db.acting_as("pricing")[Product].replace_one({"_id": 1}, {**found, "price": "6"})
    assert raw["products"].find_one() == {**found, "price": Decimal128("6")}


async def test_a_replacement_from_an_older_revision_is_stale(db: Handle, raw: Raw) -> None:
    await db[Page].insert_one({"_id": 1, "text": "first", "revision": 7})
    read = await db[Page].find_one({"_id": 1})
    assert read["revision"] == 0
    await db[Page].replace_one({"_id": 1}, {**read, "text": "second"})
    with pytest.raises(StaleDocument, match="revision 0, and the stored one is 1"):
        await db[Page].replace_one({"_id": 1}, {**read, "text": "lost"})
    assert raw["pages"].find_one() == {"_id": 1, "text": "second", "revision": 1}
    with pytest.raises(StaleDocument, match="revision 0, and the stored one is 1"):
        await db[Page].replace_one({"_id": 1, "revision": 0}, {"text": "lost"})
    with pytest.raises(StaleDocument, match="revision 0, and the stored one is 1"):
        await db[Page].replace_one({"$and": [{"_id": 1}, {"revision": {"$eq": 0}}]}, {"text": "lost"})
    with pytest.raises(InvalidBulkWrite, match="revision 0, and the stored one is 1"):
        await db[Page].bulk_write([UpdateOne({"_id": 1, "revision": 0}, {"$set": {"text": "lost"}})])
    await db[Page].replace_one({"_id": 1, "revision": 1}, {"text": "third"})
    assert raw["pages"].find_one() == {"_id": 1, "text": "third", "revision": 2}


async def test_a_replacement_without_a_revision_is_refused(db: Handle, raw: Raw) -> None:
    await db[Page].insert_one({"_id": 1, "text": "first"})
    before = stored(raw)
    with pytest.raises(StaleDocument, match="says no revision"):
        await db[Page].replace_one({"_id": 1}, {"text": "blind"}, upsert=True)
    assert stored(raw) == before


async def test_no_write_brings_a_deleted_document_back(db: Handle, raw: Raw) -> None:
    await db[Page].insert_one({"_id": 1, "text": "first"})
    read = await db[Page].find_one({"_id": 1}, as_model=True)
    read.text = "mine"
    await db[Page].delete_one({"_id": 1})
    for upsert in (False, True):
        with pytest.raises(StaleDocument, match="deleted"):
            await db[Page].replace_one({"_id": 1}, read, upsert=upsert)
    with pytest.raises(StaleDocument, match="deleted"):
        await db[Page].update_one({"_id": 1, "revision": 0}, {"$set": {"text": "mine"}})
    assert raw["pages"].count_documents({}) == 0
    await db[Page].replace_one({"_id": 2}, {"text": "new"}, upsert=True)
    assert raw["pages"].find_one() == {"_id": 2, "text": "new", "revision": 0}


async def test_every_update_counts_the_revision_up_and_none_sets_it(db: Handle, raw: Raw) -> None:
    await db[Page].insert_one({"_id": 1, "text": "first"})
    await db[Page].update_one({"_id": 1}, {"$set": {"text": "a"}})
    await db[Page].update_many({}, [{"$set": {"text": "b"}}])
    await db[Page].find_one_and_update({"_id": 1, "revision": 2}, {"$set": {"text": "c"}})
    assert raw["pages"].find_one() == {"_id": 1, "text": "c", "revision": 3}
    with pytest.raises(StaleDocument):
        await db[Page].update_one({"_id": 1, "revision": 2}, {"$set": {"text": "lost"}})
    for update in ({"$set": {"revision": 9}}, {"$inc": {"revision": 1}}, [{"$set": {"revision": 9}}]):
        with pytest.raises(StaleDocument, match="kept by the library"):
            await db[Page].update_one({"_id": 1}, update)
    assert raw["pages"].find_one() == {"_id": 1, "text": "c", "revision": 3}


class Meanwhile(BlockingStore):
    """A store in which another writer comes in right before each of the first two replacements."""

    def meet(self, change: Callable[[int], Any]) -> "Meanwhile":
        self.change, self.times = change, 0
        return self

    async def call(self, collection: str, method: str, /, *args: Any, **options: Any) -> Any:
        if method == "replace_one" and self.times < 2:
            self.times += 1
            self.change(self.times)
        return await super().call(collection, method, *args, **options)


def met(raw: Raw, actor: str, change: Callable[[int], Any]) -> integrity.Database:
    """A database whose replacements meet another writer."""
    db = integrity.Database(raw, models=MODELS, actor=actor)
    db._guards.store = Meanwhile(raw).meet(change)
    return db


def test_a_field_of_another_owner_that_changes_meanwhile_is_carried_over_as_it_is_then(raw: Raw) -> None:
    db = met(raw, "catalogue", lambda n: raw["products"].update_one({}, {"$set": {"price": Decimal128(str(n + 5))}}))
    db[Product].insert_one(dict(PRODUCT))
    assert db[Product].replace_one({"_id": 1}, {"sku": "A-1", "title": "Lantern"}).modified_count == 1
    assert raw["products"].distinct("price") == [Decimal128("7")]


def test_what_matches_the_filter_no_more_is_not_replaced(raw: Raw) -> None:
    db = met(raw, "*", lambda _: raw["customers"].update_one({}, {"$set": {"name": "Bob"}}))
    db[Customer].insert_one(dict(CUSTOMER))
    assert db[Customer].replace_one({"_id": 1, "name": "Ada"}, {**CUSTOMER, "name": "Eve"}).matched_count == 0
    assert raw["customers"].distinct("name") == ["Bob"]


def test_the_owner_of_a_field_does_not_take_back_what_changes_meanwhile(raw: Raw) -> None:
    db = met(raw, "pricing", lambda _: raw["products"].update_one({}, {"$set": {"note": "new"}}))
    db.acting_as("*")[Product].insert_one(dict(PRODUCT))
    found = raw["products"].find_one() or {}
    with pytest.raises(ForeignWrite):
        db[Product].replace_one({"_id": 1}, {**found, "price": "6"})
    assert raw["products"].distinct("note") == ["new"]


def test_what_others_copy_and_changes_meanwhile_is_written_with_its_copies(raw: Raw) -> None:
    other = integrity.Database(raw, models=MODELS, actor="*")
    db = met(raw, "*", lambda n: other[Product].update_one({"_id": 1}, {"$set": {"title": "Lantern"}}) if n == 1 else 0)
    other[Customer].insert_one(dict(CUSTOMER))
    other[Product].insert_one(dict(PRODUCT))
    other[Order].insert_one(dict(ORDER))
    assert db[Product].replace_one({"_id": 1}, {"sku": "A-2", "title": "Lamp"}).matched_count == 1
    assert raw["products"].distinct("title") == raw["orders"].distinct("lines.title") == ["Lamp"]


def test_without_a_transaction_what_others_copy_is_replaced_as_it_is(standalone: Mongod, database_name: str) -> None:
    with integrity.connect(standalone.uri, database=database_name, models=MODELS, actor="*") as db:
        try:
            db[Product].insert_one(dict(PRODUCT))
            assert db[Product].replace_one({"_id": 1}, {**PRODUCT, "sku": "A-2"}).matched_count == 1
            with pytest.raises(TransactionRequired, match="others copy"):
                db[Product].replace_one({"_id": 1}, {**PRODUCT, "title": "Lantern"})
        finally:
            db.client.drop_database(database_name)


def test_a_revision_that_is_swapped_meanwhile_is_no_longer_the_one(raw: Raw) -> None:
    db = met(raw, "*", lambda _: raw["pages"].update_one({}, {"$inc": {"revision": 1}}))
    db[Page].insert_one({"_id": 1, "text": "first"})
    with pytest.raises(StaleDocument, match="the stored one is 1"):
        db[Page].replace_one({"_id": 1}, {"text": "mine", "revision": 0})
    assert raw["pages"].distinct("text") == ["first"]


def test_an_upsert_does_not_overwrite_what_was_inserted_meanwhile(raw: Raw) -> None:
    def insert(times: int) -> None:
        if times == 1:
            raw["pages"].insert_one({"_id": 1, "text": "theirs", "revision": 4})

    db = met(raw, "*", insert)
    with pytest.raises(StaleDocument, match="says no revision"):
        db[Page].replace_one({"_id": 1}, {"text": "mine"}, upsert=True)
    assert raw["pages"].distinct("text") == ["theirs"]
