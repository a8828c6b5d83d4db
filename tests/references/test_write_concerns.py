"""The application's write concern: what is the library's own is confirmed by a majority, whatever it says."""

from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.errors import WriteConcernError

import integrity
from integrity import DuplicateValue, Model, Ref, Unique

Client = MongoClient[dict[str, Any]]


class City(Model, collection="cities"):
    id: int
    code: Annotated[str | None, Unique()] = None


class Shop(Model, collection="shops"):
    id: int
    city: Annotated[int, Ref(City)]


def test_what_the_library_keeps_needs_no_more_than_a_majority(uri: str, client: Client, database_name: str) -> None:
    with Client(uri, w=2, wtimeoutMS=500) as two:  # there is one member
        raw = two[database_name]
        db = integrity.Database(raw, models=[City, Shop])
        with pytest.raises(WriteConcernError, match="Not enough"):  # PyMongo's own words of the insert itself
            db[City].insert_one({"id": 1, "code": "a"})
        assert "integrity_unique_code" in raw["cities"].index_information()
        with pytest.raises(DuplicateValue):
            db[City].insert_one({"id": 2, "code": "a"})
        assert db[Shop].insert_one({"id": 1, "city": 1}).acknowledged
        client[database_name]["shops"].delete_many({})
        assert db[City].delete_one({"_id": 1}).deleted_count == 1
