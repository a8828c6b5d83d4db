"""Copies in what an update sets, pushes or inserts: filled before the server sees them, or said to have no owner."""

from typing import Any

import pytest
from pymongo import UpdateOne
from pymongo.database import Database

import integrity
from integrity import DanglingReference, InvalidBulkWrite, InvalidDocument
from tests.ownership.library import MODELS, Author, Award, Book, Loan

Raw = Database[dict[str, Any]]


@pytest.fixture
def db(raw: Raw) -> integrity.Database:
    made = integrity.Database(raw, models=MODELS, actor="*")
    made.apply()  # the server's validators ask for what is required
    made[Author].insert_one({"_id": 1, "name": "Ada", "handle": "ada", "born": 1815})
    made[Book].insert_one({"_id": 1, "title": "One"})
    made[Loan].insert_one({"_id": 1, "items": [{"book_id": 1}]})
    return made


@pytest.mark.parametrize("way", ["update_one", "update_many", "find_one_and_update", "bulk_write"])
def test_an_upsert_inserts_a_document_with_its_copies(db: integrity.Database, raw: Raw, way: str) -> None:
    awards, where, update = db[Award], {"_id": 5}, {"$set": {"handle": "ada"}}
    for _ in range(2):
        if way == "update_one":
            awards.update_one(where, update, upsert=True)
        elif way == "update_many":
            awards.update_many(where, update, upsert=True)
        elif way == "find_one_and_update":
            awards.find_one_and_update(where, update, upsert=True)
        else:
            awards.bulk_write([UpdateOne(where, update, upsert=True)])
        found = raw.awards.find_one({"_id": 5})
        assert found is not None
        assert (found["winner"], found["born"]) == ("Ada", 1815)


def test_an_upsert_in_a_transaction_inserts_the_copies_of_what_it_sees(db: integrity.Database, raw: Raw) -> None:
    with db.transaction():
        db[Author].insert_one({"_id": 2, "name": "Bob", "handle": "bob", "born": 1900})
        db[Award].update_one({"_id": 5}, {"$setOnInsert": {"handle": "bob"}}, upsert=True)
    assert raw.awards.find_one({"_id": 5}, {"winner": 1}) == {"_id": 5, "winner": "Bob"}


def test_an_upsert_fills_a_copy_that_it_sets_to_null(db: integrity.Database, raw: Raw) -> None:
    db[Loan].update_one({"_id": 5}, {"$set": {"book_id": 1, "title": None}}, upsert=True)
    assert raw.loans.find_one({"_id": 5}, {"title": 1}) == {"_id": 5, "title": "One"}


def test_an_upsert_of_what_has_no_owner_says_so(db: integrity.Database, raw: Raw) -> None:
    with pytest.raises(DanglingReference):
        db[Award].update_one({"_id": 5}, {"$set": {"handle": "eve"}}, upsert=True)
    with pytest.raises(InvalidDocument) as caught:
        db[Award].update_one({"_id": 5}, {"$set": {"handle": "ada", "winner": "Eve"}}, upsert=True)
    assert [(each.code, each.path) for each in caught.value.violations] == [("OWN001", "winner")]
    assert raw.awards.count_documents({}) == 0


@pytest.mark.parametrize(
    "update",
    [
        {"$push": {"items": {"book_id": 9}}},
        {"$push": {"items": {"$each": [{"book_id": 1}, {"book_id": 9}]}}},
        {"$addToSet": {"items": {"book_id": 9}}},
        {"$set": {"items.0": {"book_id": 9}}},
        {"$set": {"items": [{"book_id": 9}]}},
    ],
)
def test_a_copy_of_what_does_not_exist_is_a_dangling_reference(
    db: integrity.Database, raw: Raw, update: dict[str, Any]
) -> None:
    """It was never for the caller to give."""
    with pytest.raises(DanglingReference) as caught:
        db[Loan].update_one({"_id": 1}, update)
    assert [(each.code, each.field) for each in caught.value.violations] == [("REF001", "items[].book_id")]
    with pytest.raises(InvalidBulkWrite):
        db[Loan].bulk_write([UpdateOne({"_id": 1}, update)])
    assert raw.loans.find_one({"_id": 1}, {"items": 1}) == {
        "_id": 1,
        "items": [{"book_id": 1, "title": "One", "note": None}],
    }


def test_it_is_told_beside_what_else_is_wrong(db: integrity.Database) -> None:
    with pytest.raises(InvalidDocument) as caught:
        db[Loan].update_one({"_id": 1}, {"$push": {"items": {"book_id": 9, "note": "", "pages": 1}}})
    assert sorted(each.code for each in caught.value.violations) == ["EMP001", "REF001", "SCH004"]
