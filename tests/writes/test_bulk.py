"""Bulk writes: each request is guarded as what it is, the rest is PyMongo's."""

from typing import Any

import pytest
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, InvalidOperation

from integrity import InvalidBulkWrite, UnguardedWrite
from tests.writes.conftest import stored
from tests.writes.handles import Handle
from tests.writes.shop import CUSTOMER, ORDER, PRODUCT, Customer, Node, Order, Product, Span

Raw = Database[dict[str, Any]]


def span(number: int, high: int = 99) -> dict[str, Any]:
    return {"_id": number, "low": number, "high": high}


async def test_every_kind_of_request_is_done_and_counted_as_pymongo_does(db: Handle, raw: Raw) -> None:
    requests: list[Any] = [
        InsertOne(span(1)),
        InsertOne(Span(id=2, low=2, high=99)),
        InsertOne(span(3)),
        UpdateOne({"_id": 1}, {"$inc": {"high": 1}}),
        UpdateMany({}, {"$inc": {"high": 1}}),
        ReplaceOne({"_id": 2}, {"low": 0, "high": 1}),
        ReplaceOne({"_id": 7}, {"low": 0, "high": 7}, upsert=True),
        UpdateOne({"_id": 8}, {"$set": {"low": 1, "high": 8}}, upsert=True),
        DeleteOne({"_id": 3}),
        DeleteMany({"_id": {"$gt": 7}}),
    ]
    result = await db[Span].bulk_write(requests)
    raw["twin"].bulk_write([*requests[:1], InsertOne(span(2)), *requests[2:]])
    assert list(raw["spans"].find().sort("_id")) == list(raw["twin"].find().sort("_id"))
    assert (result.inserted_count, result.matched_count, result.modified_count) == (3, 5, 5)
    assert (result.deleted_count, result.upserted_count, result.upserted_ids) == (2, 2, {6: 7, 7: 8})


async def test_an_ordered_bulk_ends_at_the_first_refusal(db: Handle, raw: Raw) -> None:
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Span].bulk_write(
            [InsertOne(span(1)), InsertOne(span(5, high=1)), InsertOne(span(2)), UpdateOne({}, {"$set": {"low": "?"}})]
        )
    assert isinstance(refused.value, BulkWriteError)
    assert [(each["index"], each["code"]) for each in refused.value.details["writeErrors"]] == [(1, 121)]
    assert refused.value.details["nInserted"] == 1
    assert raw["spans"].distinct("_id") == [1]


async def test_an_unordered_bulk_reports_every_refusal_and_does_the_rest(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Customer].bulk_write(
            [
                InsertOne({**CUSTOMER, "_id": 2}),
                UpdateOne({"_id": 1}, {"$set": {"name": " "}}),
                UpdateOne({"_id": 1}, {"$set": {"name": "Ada L."}}),
                UpdateOne({"_id": 1}, {"$set": {"country": "BE"}}),
                InsertOne({"_id": 3, "email": "c@x.y", "name": "C"}),
            ],
            ordered=False,
        )
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [0, 1, 3]
    assert [each.code for each in refused.value.violations] == ["UNQ001", "EMP002", "OWN004"]
    assert {each["name"] for each in raw["customers"].find()} == {"Ada L.", "C"}


async def test_what_comes_first_in_an_ordered_bulk_fails_first(db: Handle, raw: Raw) -> None:
    """The server's refusal of the first request comes before ours of the second, which is not reached."""
    await db[Customer].insert_one(dict(CUSTOMER))
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Customer].bulk_write([InsertOne({**CUSTOMER, "_id": 2}), UpdateOne({}, {"$set": {"name": ""}})])
    assert [each["index"] for each in refused.value.details["writeErrors"]] == [0]
    assert raw["customers"].count_documents({}) == 1


async def test_nothing_is_done_after_what_the_server_refuses_in_an_ordered_bulk(db: Handle, raw: Raw) -> None:
    await db[Span].insert_many([span(1), span(2)])
    with pytest.raises(InvalidBulkWrite):
        await db[Span].bulk_write([InsertOne(span(3)), InsertOne(span(1)), ReplaceOne({"_id": 2}, span(2, high=5))])
    assert raw["spans"].distinct("high") == [99]
    assert raw["spans"].distinct("_id") == [1, 2, 3]


async def test_references_are_looked_up_in_a_bulk(db: Handle, raw: Raw) -> None:
    await db[Customer].insert_one(dict(CUSTOMER))
    await db[Product].insert_one(dict(PRODUCT))
    await db[Order].bulk_write([InsertOne(dict(ORDER))])
    before = stored(raw)
    with pytest.raises(InvalidBulkWrite) as refused:
        await db[Order].bulk_write(
            [
                InsertOne({**ORDER, "_id": 2, "customer_id": 9}),
                UpdateOne({"_id": 1}, {"$set": {"customer_id": 9}}),
                ReplaceOne({"_id": 1}, {**ORDER, "customer_id": 9}),
            ],
            ordered=False,
        )
    assert [each.code for each in refused.value.violations] == ["REF001"] * 3
    assert stored(raw) == before
    await db[Node].bulk_write([InsertOne({"_id": 1}), InsertOne({"_id": 2, "parent": 1})])


async def test_a_request_for_another_collection_or_none_at_all_is_refused(db: Handle) -> None:
    with pytest.raises(UnguardedWrite, match="collection of its own"):
        await db[Span].bulk_write([InsertOne(span(1), namespace="x.y")])
    with pytest.raises(TypeError):
        await db[Span].bulk_write([{"insert": 1}])
    with pytest.raises(InvalidOperation, match="No operations"):
        await db[Span].bulk_write([])


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (UpdateOne({"_id": 1}, {"$pushAll": {"low": 1}}), UnguardedWrite),
        (UpdateOne({"_id": 1}, [{"$out": "elsewhere"}]), UnguardedWrite),
        (InsertOne(5), TypeError),  # type: ignore[type-var]
    ],
    ids=str,
)
async def test_a_malformed_request_is_refused_before_any_is_sent(
    db: Handle, raw: Raw, request_: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await db[Span].bulk_write([InsertOne(span(1)), UpdateOne({"_id": 1}, {"$inc": {"high": -1}}), request_])
    assert raw["spans"].count_documents({}) == 0
