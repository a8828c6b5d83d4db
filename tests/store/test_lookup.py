"""Documents are found by keys that are equal to MongoDB, whatever type the keys are of."""

from typing import Any

import pytest
from bson import Decimal128, ObjectId, Regex
from pymongo import MongoClient
from pymongo.database import Database

from integrity.declare.equality import key
from integrity.store import lookup
from integrity.store.blocking import BlockingStore
from integrity.store.lookup import look_up
from integrity.store.run import run

ID = ObjectId()


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Database[dict[str, Any]]:
    database = client[database_name]
    database.things.insert_many([
        {"_id": 1, "k": "a", "sub": {"k": 10}},
        {"_id": 2, "k": ["a", "b"], "sub": {"k": [10]}},
        {"_id": 3, "k": None},
        {"_id": 4},
        {"_id": 5, "k": Regex("^a"), "sub": {"k": {"$gt": 1}}},
        {"_id": 6, "k": {"x": 1, "y": 2}},
        {"_id": ID, "k": 1},
    ])  # fmt: skip
    return database


def found(database: Database[dict[str, Any]], field: str, keys: list[Any], *also: str) -> dict[Any, Any]:
    documents = run(look_up(BlockingStore(database), "things", field, keys, also))
    return {each: document["_id"] for each, document in documents.items()}


@pytest.mark.parametrize(
    ("field", "wanted", "ids"),
    [
        ("_id", [1, 2.0, Decimal128("3"), 99], [1, 2, 3]),
        ("_id", [str(ID), ID], [ID]),
        ("_id", ["1", True], []),
        ("k", ["a"], [1]),
        ("k", [["a", "b"], ["a"]], [2]),
        ("k", [None], [3]),
        ("k", [Regex("^a"), Regex("^b")], [5]),
        ("k", [{"x": 1, "y": 2.0}, {"y": 2, "x": 1}], [6]),
        ("sub.k", [10, {"$gt": 1}, {"$lt": 5}], [1, 5]),
        ("k", [], []),
    ],
)
def test_a_key_finds_the_document_whose_field_equals_it(
    database: Database[dict[str, Any]], field: str, wanted: list[Any], ids: list[Any]
) -> None:
    documents = found(database, field, wanted)
    assert sorted(documents.values(), key=str) == sorted(ids, key=str)
    assert documents.keys() <= {key(each) for each in wanted}


def test_fields_asked_for_come_along_and_one_inside_another_is_no_conflict(database: Database[dict[str, Any]]) -> None:
    documents = run(look_up(BlockingStore(database), "things", "sub.k", [10], ["sub", "k"]))
    assert list(documents.values()) == [{"_id": 1, "k": "a", "sub": {"k": 10}}]


def test_more_keys_than_one_command_holds_are_asked_for_in_several(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "CHUNK", 2)
    assert sorted(found(database, "_id", [1, 2, 3, 4, 5, 6, 7]).values()) == [1, 2, 3, 4, 5, 6]


def test_keys_of_megabytes_do_not_make_a_command_too_large(database: Database[dict[str, Any]]) -> None:
    keys = [f"{number}{'x' * 3_000_000}" for number in range(8)]
    database.things.insert_one({"_id": 7, "k": keys[-1]})
    assert sorted(found(database, "k", [*keys, "a"]).values()) == [1, 7]
