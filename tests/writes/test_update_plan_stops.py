"""An update of many that one document refuses leaves all of them as they were, also where each alone is proved."""

from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from integrity.declare.constraint import Unique
from integrity.declare.model import Model
from tests.writes.handles import COLOURS, opened

Document = dict[str, Any]


class Seat(Model, collection="seats"):
    id: int
    number: Annotated[int, Unique()]
    visits: int | None = None
    tags: list[str] | None = None


START: list[Document] = [
    {"_id": 1, "number": 1, "visits": 1, "tags": ["a"]},
    {"_id": 2, "number": 2, "visits": None, "tags": None},
]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "update",
    [
        {"$inc": {"visits": 1}},
        {"$push": {"tags": "b"}},
        {"$set": {"tags.$[]": "b"}},
        {"$set": {"number": 7}},
    ],
    ids=str,
)
async def test_an_update_of_many_that_the_server_refuses_half_way_changes_nothing(
    update: Document, colour: str, client: MongoClient[Document], uri: str, database_name: str
) -> None:
    raw = client[database_name]["seats"]
    raw.insert_many([dict(each) for each in START])
    async with opened(colour, uri, database_name, models=[Seat]) as db:
        with pytest.raises(OperationFailure):
            await db[Seat].update_many({}, update)
    assert list(raw.find().sort("_id")) == START


async def test_the_raw_collection_is_left_half_changed(client: MongoClient[Document], database_name: str) -> None:
    """What the test above would find if the update were sent as it is."""
    raw = client[database_name]["seats"]
    raw.insert_many([dict(each) for each in START])
    with pytest.raises(OperationFailure):
        raw.update_many({}, {"$inc": {"visits": 1}})
    assert list(raw.find().sort("_id")) != START
