"""What references name, where a driver or a server would make something else of it; and what a server refuses."""

import uuid
from typing import Annotated, Any

import pytest
from pymongo import MongoClient

import integrity
from integrity import Allow, CopyOf, DanglingReference, InvalidBulkWrite, Model, Ref, RestrictedDelete, Unique

Client = MongoClient[dict[str, Any]]


class Box(Model, collection="boxes"):
    id: int


class Card(Model, collection="cards"):
    id: int
    box: Annotated[int | None, Ref(Box)] = None


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
def test_a_document_that_the_server_refuses_is_reported_and_the_others_are_stored(
    client: Client, database_name: str, mode: Any, ordered: bool
) -> None:
    """In a transaction a refusal aborts it: it begins again, without that document."""
    db = integrity.Database(client[database_name], models=[Box, Card], references=mode)
    db[Box].insert_one({"id": 1})
    db[Card].insert_one({"id": 2, "box": 1})
    with pytest.raises(InvalidBulkWrite) as failed:
        db[Card].insert_many([{"id": each, "box": 1} for each in (1, 2, 3)], ordered=ordered)
    assert [each["index"] for each in failed.value.details["writeErrors"]] == [1]
    assert failed.value.details["nInserted"] == (1 if ordered else 2)
    assert [each["_id"] for each in db[Card].find().sort("_id")] == ([1, 2] if ordered else [1, 2, 3])


class Word(Model, collection="words"):
    id: str
    sense: str = "none"


class Use(Model, collection="uses"):
    id: int
    word: Annotated[str, Ref(Word)]


def test_a_collation_makes_no_two_keys_one(client: Client, database_name: str) -> None:
    client[database_name].create_collection("words", collation={"locale": "en", "strength": 2})
    db = integrity.Database(client[database_name], models=[Word, Use])
    db[Word].insert_one({"id": "A"})
    with pytest.raises(DanglingReference):
        db[Use].insert_one({"id": 1, "word": "a"})
    db[Use].insert_one({"id": 1, "word": "A"})


class Entry(Model):
    word: Annotated[str, Ref(Word)]
    sense: Annotated[str, CopyOf(Word, "sense", via="word")]


class Page(Model, collection="pages"):
    id: int
    head: Annotated[str, Ref(Word)]
    sense: Annotated[str, CopyOf(Word, "sense", via="head")]
    entries: list[Entry]
    also: Annotated[list[Annotated[str, Ref(Word, on_delete="set_null")]], Allow([])]
    by: dict[str, Annotated[str | None, Ref(Word, on_delete="set_null")]]


@pytest.mark.parametrize("limit", [1000, 0], ids=["at once", "in batches"])
def test_a_collation_makes_no_two_owners_one(client: Client, database_name: str, limit: int) -> None:
    raw = client[database_name]
    raw.create_collection("pages", collation={"locale": "en", "strength": 2})
    db = integrity.Database(raw, models=[Word, Page])
    db._guards.copies.limit = limit
    db[Word].insert_many([{"id": each, "sense": f"of {each}"} for each in "aAbB"])
    entries = [{"word": "a"}, {"word": "A"}]
    rest = {"entries": entries, "also": ["b", "B"], "by": {"x": "b", "y": "B", "x.y": "b", "y.y": "B"}}
    db[Page].insert_many([{"_id": 1, "head": "a", **rest}, {"_id": 2, "head": "A", **rest}])
    db[Word].update_one({"_id": "a"}, {"$set": {"sense": "NEW"}})
    db[Word].delete_one({"_id": "b"})
    entries = [{"word": "a", "sense": "NEW"}, {"word": "A", "sense": "of A"}]
    rest = {"entries": entries, "also": ["B"], "by": {"x": None, "y": "B", "x.y": None, "y.y": "B"}}
    assert list(raw["pages"].find().sort("_id")) == [
        {"_id": 1, "head": "a", "sense": "NEW", **rest},
        {"_id": 2, "head": "A", "sense": "of A", **rest},
    ]


class Spot(Model):
    room: uuid.UUID
    shelf: int


class Shelf(Model, collection="shelves"):
    id: Spot


class Book(Model, collection="books"):
    id: int
    stands: Annotated[Spot | None, Ref(Shelf, on_delete="set_null")] = None


def test_a_key_may_be_an_object_with_a_uuid_in_it(client: Client, database_name: str) -> None:
    db = integrity.Database(client[database_name], models=[Shelf, Book])
    spots = [{"room": uuid.uuid4(), "shelf": each} for each in range(2)]
    db[Shelf].insert_many([{"id": each} for each in spots])
    db[Book].insert_many([{"id": at, "stands": each} for at, each in enumerate(spots)])
    assert db[Shelf].delete_one({"_id": spots[0]}).deleted_count == 1
    assert [each["stands"] for each in db[Book].find().sort("_id")] == [None, spots[1]]


class Stop(Model, collection="stops"):
    id: int
    code: Annotated[str | None, Unique()] = None
    text: str = "x"


class Call(Model, collection="calls"):
    id: int
    stop: Annotated[str, Ref(Stop, field="code")]


@pytest.mark.parametrize("transactions", [True, False])
def test_what_nobody_can_name_can_be_deleted(
    request: pytest.FixtureRequest, client: Client, database_name: str, transactions: bool
) -> None:
    """Its key is null: nothing refers to it."""
    server: Client = client if transactions else request.getfixturevalue("alone")
    try:
        db = integrity.Database(server[database_name], models=[Stop, Call])
        db[Stop].insert_many([{"_id": 1, "code": None}, {"_id": 2, "code": "KEF"}, {"_id": 3}])
        db[Call].insert_one({"_id": 1, "stop": "KEF"})
        assert db[Stop].delete_one({"_id": 1}).deleted_count == 1
        with pytest.raises(RestrictedDelete):
            db[Stop].delete_many({})
        db[Call].delete_many({})
        assert db[Stop].delete_many({}).deleted_count == 2
    finally:
        server.drop_database(database_name)


def test_what_is_as_large_as_a_document_may_be_can_be_deleted(client: Client, database_name: str) -> None:
    """It has no room for the flag."""
    db = integrity.Database(client[database_name], models=[Stop, Call])
    db[Stop].insert_one({"_id": 1, "code": "a", "text": "x" * (16 * 1024 * 1024 - 80)})
    assert db[Stop].delete_one({"_id": 1}).deleted_count == 1
