"""``bulk_write`` where too few members confirm: what is done is counted and goes on, as PyMongo's."""

from typing import Annotated, Any

import mongomock
import pytest
from pymongo import DeleteMany, DeleteOne, InsertOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

import integrity
from integrity import Immutable, Model
from integrity.errors import InvalidBulkWrite

Client = MongoClient[dict[str, Any]]
COUNTS = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")


class Lamp(Model, collection="lamps"):
    id: int
    maker: Annotated[int, Immutable()] = 1
    watts: int = 0


class Fuse(Model, collection="fuses"):
    id: int
    amps: int = 1


def requests() -> list[Any]:
    return [
        ReplaceOne({"_id": 1}, {"maker": 1, "watts": 9}),
        ReplaceOne({"_id": 8}, {"maker": 1, "watts": 9}, upsert=True),
        DeleteOne({"_id": 2}),
        DeleteMany({"_id": {"$in": [3, 4]}}),
        UpdateOne({"_id": 1}, {"$set": {"watts": 7}}),
        InsertOne({"_id": 6, "maker": 1, "watts": 0}),
    ]


@pytest.mark.parametrize("ordered", [True, False])
def test_what_too_few_members_confirm_is_counted_and_goes_on(
    uri: str, client: Client, database_name: str, ordered: bool
) -> None:
    with Client(uri, w=2, wtimeoutMS=300) as two:  # there is one member
        lamps = integrity.Database(two[database_name], models=[Lamp])[Lamp]
        documents = [{"_id": each, "maker": 1, "watts": 1} for each in range(1, 5)]
        mine, theirs = client[database_name]["lamps"], client[database_name]["raw"]
        mine.insert_many(documents)
        theirs.insert_many(documents)
        with pytest.raises(BulkWriteError) as expected:
            two[database_name]["raw"].bulk_write(requests(), ordered=ordered)
        with pytest.raises(BulkWriteError) as caught:
            lamps.bulk_write(requests(), ordered=ordered)
        details, other = caught.value.details, expected.value.details
        assert details["writeErrors"] == []
        assert {each["code"] for each in details["writeConcernErrors"]} == {100}
        assert {each: details[each] for each in COUNTS} == {each: other[each] for each in COUNTS}
        assert details["upserted"] == [{"index": 1, "_id": 8}] == other["upserted"]
        assert list(mine.find(sort=[("_id", 1)])) == list(theirs.find(sort=[("_id", 1)]))


def test_an_upsert_of_a_duplicate_is_a_write_error_all_the_same(uri: str, database_name: str) -> None:
    with Client(uri, w=1) as one:
        fuses = integrity.Database(one[database_name], models=[Fuse])[Fuse]
        fuses.insert_one({"_id": 1, "amps": 1})
        with pytest.raises(InvalidBulkWrite) as caught:
            fuses.bulk_write([ReplaceOne({"_id": 1, "amps": 5}, {"amps": 9}, upsert=True)])
        assert caught.value.details["writeErrors"][0]["code"] == 11000


def test_mongomock_does_every_request() -> None:
    lamps = integrity.Database(mongomock.MongoClient()["quick"], models=[Lamp])[Lamp]
    lamps.insert_many([{"_id": each, "maker": 1, "watts": 1} for each in range(1, 5)])
    done = lamps.bulk_write([each for each in requests() if not isinstance(each, UpdateOne)])  # it cannot do those
    assert (done.deleted_count, done.inserted_count) == (3, 1)
    assert [each["_id"] for each in lamps.find(sort=[("_id", 1)])] == [1, 6, 8]
