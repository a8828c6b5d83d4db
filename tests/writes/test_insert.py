"""Inserts: what is valid is stored, what is not is reported whole and leaves nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import make_dataclass
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError

import integrity
from integrity import (
    DanglingReference,
    DuplicateValue,
    Forbid,
    ForeignWrite,
    InvalidBulkWrite,
    InvalidDocument,
    Model,
    UnguardedWrite,
)
from tests.writes.handles import Handle, opened
from tests.writes.shop import CUSTOMER, MODELS, ORDER, PRODUCT, Customer, Node, Order, Product

Raw = Database[dict[str, Any]]


async def test_a_valid_document_is_stored_as_pymongo_would(db: Handle, raw: Raw) -> None:
    result = await db[Customer].insert_one(dict(CUSTOMER))
    assert result.inserted_id == 1
    assert raw["customers"].find_one() == {**CUSTOMER, "nickname": None, "country": "NL"}


class Said(Model, collection="said"):
    """Places that the fast validator does not see through, beside a generated ``_id``, which needs no look."""

    anything: Any = None
    word: Annotated[str | None, Forbid("no")] = None


@pytest.mark.parametrize("document", [{"anything": ""}, {"word": "no"}, {"anything": "N/A"}])
@pytest.mark.parametrize("key", [{}, {"_id": ObjectId()}, {"_id": 5}], ids=["generated", "ObjectId", "int"])
def test_what_an_id_tells_is_of_the_id_alone(
    client: MongoClient[dict[str, Any]], database_name: str, document: dict[str, Any], key: dict[str, Any]
) -> None:
    said = integrity.Database(client[database_name], models=[Said])[Said]
    with pytest.raises(InvalidDocument):
        said.insert_one({**key, **document})
    with pytest.raises(InvalidBulkWrite):
        said.insert_many([{**key, **document}])
    assert client[database_name].said.count_documents({}) == 0


async def test_an_instance_is_stored_like_its_document(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one(Customer(id=7, email="x@y.z", name="X"))
    found = raw["customers"].find_one()
    assert found is not None
    assert found["_id"] == 7


async def test_every_violation_is_reported_at_once_and_nothing_is_stored(db: Handle, raw: Raw) -> None:
    with pytest.raises(InvalidDocument) as refused:
        await db[Order].insert_one({"_id": 1, "customer_id": 9, "lines": [{"product_id": 9, "qty": 0}], "ghost": 1})
    found = {(each.code, each.path) for each in refused.value.violations}
    assert found == {
        ("SCH003", "lines.0.qty"), ("SCH004", "ghost"), ("REF001", "customer_id"), ("REF001", "lines.0.product_id"),
    }  # fmt: skip
    assert isinstance(refused.value, WriteError)
    assert raw["orders"].count_documents({}) == 0


async def test_only_references_at_fault_are_a_dangling_reference(db: Handle) -> None:
    await db[Product].insert_one(dict(PRODUCT))
    with pytest.raises(DanglingReference):
        await db[Order].insert_one(dict(ORDER))


async def test_a_copy_is_filled_from_its_owner_and_refused_when_it_differs(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    await db[Product].insert_one(dict(PRODUCT))
    await db[Order].insert_one({**ORDER, "lines": [{"product_id": 1, "qty": 2}]})
    found = raw["orders"].find_one()
    assert found is not None
    assert found["lines"] == [{"product_id": 1, "title": "Lamp", "qty": 2}]
    with pytest.raises(InvalidDocument) as refused:
        await db[Order].insert_one({**ORDER, "_id": 2, "codes": ["b"],
                                    "lines": [{"product_id": 1, "qty": 2, "title": "Lmap"}]})  # fmt: skip
    assert [(each.code, each.path) for each in refused.value.violations] == [("OWN001", "lines.0.title")]


async def test_a_taken_value_names_model_field_and_value_whatever_its_case(db: Handle) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    with pytest.raises(DuplicateValue, match=r"Customer.*\n.*email.*ADA@example.org") as refused:
        await db[Customer].insert_one({**CUSTOMER, "_id": 2, "email": "ADA@example.org"})
    assert isinstance(refused.value, DuplicateKeyError)
    assert refused.value.code == 11000


async def test_null_and_absent_do_not_collide(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    await db[Customer].insert_one({"_id": 2, "email": "b@example.org", "name": "Bob"})
    assert raw["customers"].count_documents({"nickname": None}) == 2


async def test_a_unique_value_twice_in_one_array_is_seen_though_no_index_sees_it(db: Handle) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    await db[Product].insert_one(dict(PRODUCT))
    with pytest.raises(DuplicateValue) as refused:
        await db[Order].insert_one({**ORDER, "codes": ["a", "b", "a"]})
    assert refused.value.violations[0].path == "codes.2"


async def test_only_the_owner_inserts_and_writes_its_fields(db: Handle, raw: Raw) -> None:
    for actor, document in [
        (None, PRODUCT),
        ("pricing", PRODUCT),
        ("catalogue", {**PRODUCT, "price": "2"}),
    ]:
        with pytest.raises(ForeignWrite):
            await db.acting_as(actor)[Product].insert_one(dict(document))
    assert raw["products"].count_documents({}) == 0
    await db.acting_as("catalogue")[Product].insert_one(dict(PRODUCT))
    assert raw["products"].count_documents({}) == 1


async def test_an_ordered_insert_many_stores_what_stands_before_the_first_invalid_one(db: Handle, raw: Raw) -> None:
    documents = [{"_id": number, "email": f"{number}@x.y", "name": "N"} for number in range(5)]
    documents[2]["name"] = " "
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Customer].insert_many(documents)
    assert isinstance(refused.value, BulkWriteError)
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [2]
    assert refused.value.details["nInserted"] == 2
    assert sorted(raw["customers"].distinct("_id")) == [0, 1]
    with pytest.raises(InvalidBulkWrite) as refused:  # by the server, before it comes to what is not valid
        await db[Customer].insert_many([{**CUSTOMER, "_id": 7}, {**CUSTOMER, "_id": 8}, documents[2]])
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [1]


async def test_an_unordered_insert_many_stores_all_that_are_valid(db: Handle, raw: Raw) -> None:
    documents: list[Any] = [{"_id": number, "email": f"{number}@x.y", "name": "N"} for number in range(6)]
    documents[1]["name"] = " "
    documents[4]["email"] = "3@X.Y"
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Customer].insert_many(documents, ordered=False)
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [1, 4]
    assert {each.code for each in refused.value.violations} == {"EMP002", "UNQ001"}
    assert sorted(raw["customers"].distinct("_id")) == [0, 2, 3, 5]


async def test_an_insert_many_of_several_chunks_reports_the_callers_indexes(db: Handle, raw: Raw) -> None:
    documents: list[Any] = [{"_id": number, "parent": None} for number in range(2500)]
    documents[2200]["ghost"] = 1
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Node].insert_many(documents)
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [2200]
    assert raw["nodes"].count_documents({}) == 2200


class Plain(Model, collection="plain"):
    id: int
    text: str


async def test_a_plain_model_keeps_pymongos_order_of_failures(uri: str, database_name: str, raw: Raw) -> None:
    """The server's refusal of an earlier document comes before ours of a later one, which was not reached."""
    raw["plain"].insert_one({"_id": 1, "text": "there"})
    async with opened("blocking", uri, database_name, models=[Plain]) as db:
        with pytest.raises(InvalidBulkWrite) as refused:
            await db[Plain].insert_many([{"_id": 0, "text": "a"}, {"_id": 1, "text": "b"}, {"_id": 2, "text": ""}])
        assert [each["index"] for each in refused.value.details["writeErrors"]] == [1]
        with pytest.raises(InvalidBulkWrite) as both:
            await db[Plain].insert_many(
                [{"_id": 3, "text": ""}, {"_id": 1, "text": "b"}, {"_id": 4, "text": "a"}], ordered=False
            )
    assert [each["index"] for each in both.value.details["writeErrors"]] == [0, 1]
    assert sorted(raw["plain"].distinct("_id")) == [0, 1, 4]


@pytest.mark.parametrize("ordered", [True, False])
async def test_documents_of_one_insert_may_refer_to_one_another(db: Handle, raw: Raw, ordered: bool) -> None:
    await db[Node].insert_many(
        [{"_id": 1, "parent": 1}, {"_id": 2, "parent": 1}, {"_id": 3, "parent": 2}], ordered=ordered
    )
    assert raw["nodes"].count_documents({}) == 3


async def test_a_child_of_an_invalid_document_of_the_same_insert_is_refused(db: Handle, raw: Raw) -> None:
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Node].insert_many([{"_id": 1, "x": 1}, {"_id": 2, "parent": 1}, {"_id": 3}], ordered=False)
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [0, 1]
    assert raw["nodes"].distinct("_id") == [3]


async def test_in_an_ordered_insert_what_comes_later_is_not_there_yet(db: Handle, raw: Raw) -> None:
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Node].insert_many([{"_id": 2, "parent": 1}, {"_id": 1}])
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [0]
    assert raw["nodes"].count_documents({}) == 0


class Free(Model, collection="free"):
    text: str


async def test_a_generated_id_is_given_to_the_callers_document(uri: str, database_name: str) -> None:
    async with opened("blocking", uri, database_name, models=[Free]) as db:
        documents = [{"text": "a"}, {"text": "b"}]
        result = await db[Free].insert_one(documents[0])
        assert documents[0]["_id"] == result.inserted_id
        many = await db[Free].insert_many([documents[1]])
        assert isinstance(many.inserted_ids[0], ObjectId)
        assert documents[1]["_id"] == many.inserted_ids[0]


async def test_what_asks_for_no_validation_is_refused(db: Handle, raw: Raw) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: db[Customer].insert_one(dict(CUSTOMER), bypass_document_validation=True),
        lambda: db[Customer].insert_many([dict(CUSTOMER)], bypass_document_validation=True),
        lambda: db[Customer].replace_one({}, dict(CUSTOMER), bypass_document_validation=True),
        lambda: db[Customer].update_one({}, {"$set": {"name": "x"}}, bypass_document_validation=True),
        lambda: db[Customer].bulk_write([], bypass_document_validation=True),
        lambda: db[Customer].find_one_and_update({}, {"$set": {"name": "x"}}, bypass_document_validation=True),
    ]
    for call in calls:
        with pytest.raises(UnguardedWrite, match="unsafe_raw"):
            await call()
    assert raw["customers"].count_documents({}) == 0


async def test_what_is_no_document_is_a_type_error(db: Handle) -> None:
    with pytest.raises(TypeError, match="mapping"):
        await db[Customer].insert_one([1])
    with pytest.raises(TypeError, match="mapping"):
        await db[Customer].insert_one(make_dataclass("Row", ["_id", "name", "email"])(1, "a", "a@b.c"))
    with pytest.raises(TypeError, match="non-empty"):
        await db[Customer].insert_many([])


def test_the_shop_declares_every_marker() -> None:
    assert len(MODELS) == 6
