"""What MongoDB refuses as an ``_id`` is refused before it is sent, by every way in which one is stored."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from bson import Code, DBRef, MinKey, Regex
from pymongo import InsertOne, MongoClient, ReplaceOne, UpdateOne

import integrity
from integrity import InvalidBulkWrite, InvalidDocument
from tests.declare.models import model

Client = MongoClient[dict[str, Any]]

THING = model("Thing", {"id": Any, "n": int})
MAPPED = model("Mapped", {"id": dict[str, Any], "n": int})
CLEANED = model("Cleaned", {"id": Any, "n": int}, {"model_post_init": lambda *_: None})

#: What is offered, the place and the rule.
REFUSED: dict[str, tuple[Any, str, str]] = {
    "an array": ([1], "_id", "SCH001"),
    "an empty array": ([], "_id", "EMP003"),
    "a tuple": ((1,), "_id", "SCH001"),
    "a set": ({1}, "_id", "SCH001"),
    "a pattern": (Regex("a"), "_id", "SCH001"),
    "Python's pattern": (re.compile("a"), "_id", "SCH001"),
    "a dollar": ({"$a": 1}, "_id.$a", "SCH003"),
    "a dollar inside": ({"a": {"$b": 1}}, "_id.a.$b", "SCH003"),
    "a dollar in an array": ({"a": [1, {"$b": 1}]}, "_id.a.1.$b", "SCH003"),
    "half a reference": ({"$ref": "a"}, "_id.$ref", "SCH003"),
    "a reference without its first half": ({"$id": 1}, "_id.$id", "SCH003"),
}

WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "insert_one": lambda things, key: things.insert_one({"_id": key, "n": 1}),
    "insert_one beside another fault": lambda things, key: things.insert_one({"_id": key, "n": "x"}),
    "insert_many": lambda things, key: things.insert_many([{"_id": 1, "n": 1}, {"_id": key, "n": 1}]),
    "bulk_write": lambda things, key: things.bulk_write([InsertOne({"_id": key, "n": 1})]),
    "an upsert": lambda things, key: things.update_one({"n": 1}, {"$setOnInsert": {"_id": key}}, upsert=True),
    "an upsert of what is sought": lambda things, key: things.update_one(
        {"_id": {"$eq": key}}, {"$set": {"n": 1}}, upsert=True
    ),
    "a replacement": lambda things, key: things.replace_one({"_id": {"$eq": key}}, {"n": 1}, upsert=True),
    "bulk upserts": lambda things, key: things.bulk_write(
        [
            UpdateOne({"n": 5}, {"$set": {"_id": key}}, upsert=True),
            ReplaceOne({"n": 5}, {"_id": key, "n": 5}, upsert=True),
        ],
        ordered=False,
    ),
}


def guarded(client: Client, name: str, thing: Any) -> Any:
    return integrity.Database(client[name], models=[thing])[thing]


def test_a_key_of_an_object_whose_values_are_declared_is_looked_at_too(client: Client, database_name: str) -> None:
    thing = model("Counted", {"id": dict[str, int], "n": int})
    things = guarded(client, database_name, thing)
    with pytest.raises(InvalidDocument, match=r"SCH003 _id\.\$a"):
        things.insert_one({"_id": {"$a": 1}, "n": 1})
    with pytest.raises(InvalidBulkWrite, match=r"request 1: SCH003 _id\.\$a"):
        things.insert_many([{"_id": {"b": 1}, "n": 1}, {"_id": {"$a": 1}, "n": 1}])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_mongodb_refuses_as_an_id_is_a_violation(client: Client, database_name: str, name: str, way: str) -> None:
    key, path, code = REFUSED[name]
    things = guarded(client, database_name, THING)
    with pytest.raises((InvalidDocument, InvalidBulkWrite)) as refused:
        WAYS[way](things, key)
    # PyMongo refuses a filter with a set in it before it is looked into.
    sought = name == "a set" and way == "an upsert of what is sought"
    error: Any = refused.value
    found = [(each.path, each.code) for each in error.violations if each.path != "n"]
    assert set(found) == {("" if sought else path, code)}
    assert len(found) == (2 if way == "bulk upserts" else 1)
    assert client[database_name]["thing"].count_documents({"_id": {"$ne": 1}}) == 0


@pytest.mark.parametrize("thing", [THING, MAPPED, CLEANED])
def test_it_is_refused_wherever_the_declaration_lets_it_in(client: Client, database_name: str, thing: Any) -> None:
    things = guarded(client, database_name, thing)
    for n in (1, "x"):
        with pytest.raises(InvalidDocument, match=r"SCH003 _id\.\$a: is called '\$a'; inside an _id MongoDB refuses"):
            things.insert_one({"_id": {"$a": 1}, "n": n})


@pytest.mark.parametrize(
    "key", [{"a": [1, Regex("a")]}, {"a.b": 1}, DBRef("a", 1), DBRef("a", 1, "b"), {"a": {"$ref": "a", "$id": 1}},
           Code("a"), MinKey(), None, b"a", 1.5],
)  # fmt: skip
def test_what_mongodb_takes_is_stored(client: Client, database_name: str, key: Any) -> None:
    guarded(client, database_name, THING).insert_one({"_id": key, "n": 1})
    assert client[database_name]["thing"].count_documents({}) == 1
