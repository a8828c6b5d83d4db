"""The one name that is the library's own is written by nobody else, also where any other name is let in."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ConfigDict
from pymongo import InsertOne, MongoClient, UpdateOne
from pymongo.database import Database

import integrity
from integrity import IntegrityError, Model

NAME = "_condemned"


class Note(Model, collection="notes"):
    model_config = ConfigDict(extra="allow")
    id: int


class Sheet(Model, collection="sheets"):
    """Its generated ``_id`` is of any type, and what is let in is declared: the fast validator looks at all of it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]


class Card(Model, collection="cards"):
    id: int


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("insert_one", ({"_id": 2, NAME: {"by": 1}},)),
        ("insert_one", (Note.model_validate({"_id": 2, NAME: 1}),)),
        ("insert_many", ([{"_id": 2}, {"_id": 3, NAME: 1}],)),
        ("replace_one", ({"_id": 1}, {NAME: 1})),
        ("update_one", ({"_id": 1}, {"$set": {NAME: 1}})),
        ("update_many", ({}, {"$set": {f"{NAME}.by": 1}})),
        ("update_one", ({"_id": 1}, {"$rename": {"free": NAME}})),
        ("update_one", ({"_id": 1}, [{"$set": {NAME: 1}}])),
        ("find_one_and_update", ({"_id": 1}, [{"$replaceWith": {"_id": 1, NAME: 1}}])),
        ("bulk_write", ([InsertOne({"_id": 2, NAME: 1})],)),
        ("bulk_write", ([UpdateOne({"_id": 1}, {"$set": {NAME: 1}})],)),
    ],
)
@pytest.mark.parametrize("model", [Note, Card])
def test_a_document_is_not_marked_by_hand(
    client: MongoClient[dict[str, Any]], database_name: str, model: type[Model], method: str, arguments: Any
) -> None:
    raw: Database[dict[str, Any]] = client[database_name]
    db = integrity.Database(raw, models=[Note, Card])
    name = db[model].name
    raw[name].insert_one({"_id": 1, "free": 1} if model is Note else {"_id": 1})
    with pytest.raises(IntegrityError) as refused:
        getattr(db[model], method)(*arguments)
    assert "SCH004" in {each.code for each in refused.value.violations}
    assert raw[name].find_one({NAME: {"$exists": True}}) is None


def test_nor_where_the_names_that_are_let_in_have_a_type(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    sheets = integrity.Database(client[database_name], models=[Sheet])[Sheet]
    for write in (lambda: sheets.insert_one({NAME: 1}), lambda: sheets.insert_many([{NAME: 1}])):
        with pytest.raises(IntegrityError, match=f"SCH004 {NAME}"):
            write()
    assert client[database_name].sheets.count_documents({}) == 0


def test_a_document_whose_delete_is_under_way_is_updated_like_any_other(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    raw = client[database_name]["notes"]
    raw.insert_one({"_id": 1, NAME: {"by": 1}})
    integrity.Database(client[database_name], models=[Note])[Note].update_one(
        {"_id": 1}, [{"$set": {"x": {"$add": 1}}}]
    )
    assert raw.find_one() == {"_id": 1, NAME: {"by": 1}, "x": 1}
