"""A document that is too large for the server is an invalid document, whoever measured it: the driver or the server."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pymongo import InsertOne, MongoClient
from pymongo.errors import OperationFailure

import integrity
from integrity import InvalidBulkWrite, InvalidDocument, Model, Ref

#: More than the server takes, and more than the driver lets through; and the little that it does let through.
BEYOND, BARELY = "x" * (17 * 2**20), "x" * (16 * 2**20)


class Author(Model, collection="authors"):
    id: int


class Text(Model, collection="texts"):
    id: int
    text: str


class Book(Model, collection="books"):
    id: int
    author: Annotated[int, Ref(Author)]
    text: str


@pytest.fixture(params=["pinned", "optimistic"])
def db(request: pytest.FixtureRequest, client: MongoClient[Any], database_name: str) -> integrity.Database:
    mode: Literal["pinned", "optimistic"] = request.param
    client[database_name].authors.insert_one({"_id": 1})
    return integrity.Database(client[database_name], models=[Author, Text, Book], references=mode)


ONE: dict[str, Callable[[integrity.Database, str], object]] = {
    "insert_one": lambda db, text: db[Text].insert_one({"_id": 9, "text": text}),
    "insert_one of a child": lambda db, text: db[Book].insert_one({"_id": 9, "author": 1, "text": text}),
    "update_one": lambda db, text: db[Text].update_one({"_id": 1}, {"$set": {"text": text}}),
    "upsert": lambda db, text: db[Text].update_one({"_id": 9}, {"$set": {"text": text}}, upsert=True),
    "replace_one": lambda db, text: db[Book].replace_one({"_id": 1}, {"author": 1, "text": text}),
    "find_one_and_update": lambda db, text: db[Text].find_one_and_update({"_id": 1}, {"$set": {"text": text}}),
}


@pytest.mark.parametrize("text", [BEYOND, BARELY], ids=["beyond", "barely"])
@pytest.mark.parametrize("way", ONE)
def test_one_document(db: integrity.Database, way: str, text: str) -> None:
    db[Text].insert_one({"_id": 1, "text": "short"})
    db[Book].insert_one({"_id": 1, "author": 1, "text": "short"})
    with pytest.raises(InvalidDocument, match="16 MB") as caught:
        ONE[way](db, text)
    assert [each.code for each in caught.value.violations] == ["SCH003"]
    assert list(db.unsafe_raw.texts.find()) == [{"_id": 1, "text": "short"}]
    assert list(db.unsafe_raw.books.find()) == [{"_id": 1, "author": 1, "text": "short"}]


BULKS: dict[str, Callable[[integrity.Database, list[dict[str, Any]], bool], object]] = {
    "insert_many": lambda db, documents, ordered: db[Text].insert_many(documents, ordered=ordered),
    "insert_many of children": lambda db, documents, ordered: db[Book].insert_many(
        [{**each, "author": 1} for each in documents], ordered=ordered
    ),
    "bulk_write": lambda db, documents, ordered: db[Text].bulk_write(
        [InsertOne(each) for each in documents], ordered=ordered
    ),
}


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
@pytest.mark.parametrize("way", BULKS)
def test_a_bulk_whose_document_the_server_reads(db: integrity.Database, way: str, *, ordered: bool) -> None:
    with pytest.raises(InvalidBulkWrite, match="the _id 2 would be larger than the 16 MB") as caught:
        BULKS[way](db, [{"_id": 1, "text": "a"}, {"_id": 2, "text": BARELY}, {"_id": 3, "text": "c"}], ordered)
    assert [(each.code, each.id) for each in caught.value.violations] == [("SCH003", 2)]
    name = "books" if "children" in way else "texts"
    assert [each["_id"] for each in db.unsafe_raw[name].find({}, {"_id": 1})] == ([1] if ordered else [1, 3])
    assert caught.value.details["nInserted"] == (1 if ordered else 2)
    (found,) = caught.value.violations
    assert "_id 2" not in found.redacted().message


@pytest.mark.parametrize("way", BULKS)
def test_a_bulk_whose_document_the_server_does_not_read(db: integrity.Database, way: str) -> None:
    with pytest.raises((InvalidBulkWrite, InvalidDocument), match="the _id 2 would be larger than the 16 MB") as caught:
        BULKS[way](db, [{"_id": 1, "text": "a"}, {"_id": 2, "text": BEYOND}], True)  # noqa: FBT003 - by position
    assert isinstance(caught.value, InvalidBulkWrite | InvalidDocument)
    assert [(each.code, each.id) for each in caught.value.violations] == [("SCH003", 2)]
    assert 2 not in [each["_id"] for name in ("texts", "books") for each in db.unsafe_raw[name].find({}, {"_id": 1})]


def test_in_the_callers_transaction(db: integrity.Database) -> None:
    with pytest.raises((InvalidBulkWrite, InvalidDocument), match="the _id 2 would be larger"), db.transaction():
        db[Book].insert_many([{"_id": 1, "author": 1, "text": "a"}, {"_id": 2, "author": 1, "text": BEYOND}])
    assert db.unsafe_raw.books.count_documents({}) == 0


def test_what_the_server_said_stays_readable(db: integrity.Database) -> None:
    db[Text].insert_one({"_id": 1, "text": "short"})
    with pytest.raises(InvalidDocument) as caught:
        db[Text].update_one({"_id": 1}, {"$set": {"text": BARELY}})
    assert isinstance(caught.value, OperationFailure)
    assert caught.value.details is not None
    assert caught.value.details["code"] == 17419
    assert isinstance(caught.value.__cause__, OperationFailure)
