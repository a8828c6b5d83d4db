"""Unique constraints in a collection with a default collation: the declaration says what equal values are."""

from typing import Annotated, Any

import pytest
from pymongo.database import Database

import integrity
from integrity import DuplicateValue, Model, Unique

Raw = Database[dict[str, Any]]


class Seat(Model, collection="seats", constraints=[Unique("row", "letter", case_insensitive=True)]):
    id: int
    code: Annotated[str, Unique()]
    row: int | None = None
    letter: str | None = None


@pytest.fixture
def seats(raw: Raw) -> Any:
    raw.create_collection("seats", collation={"locale": "en", "strength": 2})
    return integrity.Database(raw, models=[Seat])[Seat]


def test_the_first_write_makes_the_index_that_apply_and_other_handles_look_for(raw: Raw, seats: Any) -> None:
    seats.insert_many([{"_id": 1, "code": "abc"}, {"_id": 2, "code": "ABC"}])
    with pytest.raises(DuplicateValue):
        seats.insert_one({"_id": 3, "code": "abc"})
    db = integrity.Database(raw, models=[Seat], unique="require")
    db[Seat].insert_one({"_id": 3, "code": "Abc"})
    assert [each.act for each in db.apply(dry_run=True).plan.steps] == ["set validator"]


def test_an_error_shows_values_and_not_how_they_are_sorted(raw: Raw, seats: Any) -> None:
    raw["seats"].create_index("code", unique=True)  # somebody's own, which takes the collection's collation over
    seats.insert_many([{"_id": 1, "code": "abc", "row": 7, "letter": "a"}, {"_id": 2, "code": "x"}])
    with pytest.raises(DuplicateValue, match="code: is 'ABC', which is taken"):
        seats.insert_one({"_id": 3, "code": "ABC"})
    with pytest.raises(DuplicateValue, match=r"row, letter: is {'row': 7, 'letter': 'A'}, which is taken"):
        seats.update_one({"_id": 2}, {"$set": {"row": 7, "letter": "A"}})
    with pytest.raises(DuplicateValue, match=r"row, letter: is {'row': 7}, which is taken"):
        seats.update_one({"_id": 2}, [{"$set": {"row": {"$add": [6, 1]}, "letter": {"$toUpper": "a"}}}])
