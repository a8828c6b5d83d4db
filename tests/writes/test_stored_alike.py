"""What an update stores is, bit for bit, what an insert of the same value stores; an equality filter finds both."""

import enum
from collections.abc import Callable
from typing import Annotated, Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ByteSize,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WrapValidator,
    field_validator,
)
from pymongo import MongoClient, UpdateOne
from pymongo.collection import Collection

import integrity
from integrity import Allow, Model
from tests.declare.models import model
from tests.declare.test_types import KEPT, OPTIONS

RAW = OPTIONS.with_options(document_class=RawBSONDocument)


class Level(enum.IntEnum):
    LOW = 1


def lower(value: Any) -> str:
    return str(value).lower()


def named(value: Any, info: ValidationInfo) -> str:
    assert info.data["id"] > 0
    return lower(value)


#: A type, and what is offered for it in another form than it is stored in.
CHANGED: dict[str, tuple[Any, ...]] = {
    "ByteSize": (ByteSize, "1 MB"),
    "ByteSize or null": (ByteSize | None, "1 MB"),
    "before": (Annotated[int, BeforeValidator(lambda each: int(str(each).rstrip("x")))], "5x"),
    "after": (Annotated[str, AfterValidator(lower)], "A"),
    "around": (Annotated[str, WrapValidator(lambda value, handler: handler(lower(value)))], "A"),
    "plain": (Annotated[str, PlainValidator(lower)], "A"),
    "after, and beside others": (Annotated[str, AfterValidator(named)], "A"),
    "before, and beside others": (Annotated[str, BeforeValidator(named)], "A"),
    "constraints": (Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True)], " A "),
    "a member of numbers": (Level, Level.LOW),
    "a number as text": (float | int, "1"),
}
OFFERED = {**KEPT, **CHANGED}

UPDATES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "$set": lambda value: {"$set": {"f": value}},
    "$set of an array": lambda value: {"$set": {"l": [value]}},
    "$set of an element": lambda value: {"$set": {"l.0": value}},
    "$min": lambda value: {"$min": {"f": value}},
    "$max": lambda value: {"$max": {"f": value}},
    "$push": lambda value: {"$push": {"l": value}},
    "$push of several": lambda value: {"$push": {"l": {"$each": [value, value]}}},
    "$addToSet": lambda value: {"$addToSet": {"l": value}},
    "$setOnInsert": lambda value: {"$setOnInsert": {"f": value, "l": [value]}},
}


@pytest.mark.parametrize("name", OFFERED)
def test_an_update_stores_what_an_insert_does(
    name: str, client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    annotation, value = OFFERED[name][:2]
    thing: Any = model("Thing", {"id": int, "f": annotation, "l": _list(annotation)})
    database = client.get_database(database_name, codec_options=OPTIONS)
    guarded: Any = integrity.Database(database, models=[thing])[thing]
    raw: Any = database.get_collection("thing", codec_options=RAW)
    guarded.insert_one({"_id": 1, "f": value, "l": [value]})
    (inserted,) = _values(raw, 1)
    for number, (operator, update) in enumerate(UPDATES.items(), start=2):
        if operator != "$setOnInsert":
            guarded.insert_one({"_id": number, "f": value, "l": [value]})
        guarded.update_one({"_id": number}, update(value), upsert=True)
        assert _values(raw, number) == {inserted}, operator
    guarded.bulk_write([UpdateOne({"_id": 1}, {"$set": {"f": value}, "$push": {"l": value}})])
    guarded.find_one_and_update({"_id": 1}, {"$set": {"f": value}})
    guarded.update_many({"_id": 1}, {"$set": {"l": [value, value]}})
    assert _values(raw, 1) == {inserted}
    # A filter has no other fields to look at.
    sought = raw.find_one()["f"] if "beside others" in name else value
    assert raw.count_documents(guarded.by(f=sought)) == len(UPDATES) + 1


class Line(Model):
    rate: int
    name: str

    @field_validator("name")
    @classmethod
    def _rated(cls, name: str, info: ValidationInfo) -> str:
        return f"{name}*{info.data['rate']}"


class Bill(Model, collection="bills"):
    id: int
    lines: Annotated[list[Line], Allow([])]
    at: AwareDatetime
    by_name: Annotated[dict[str, Line], Allow({})] = {}  # noqa: RUF012 - pydantic copies it


def test_what_an_update_leaves_alone_is_not_validated_into_something_else_again(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    bills: Any = integrity.Database(client[database_name], models=[Bill])[Bill]
    bills.insert_one({"_id": 1, "at": "2026-01-01T00:00Z", "lines": [{"rate": 1, "name": "a"}]})
    bills.update_one({"_id": 1}, {"$push": {"lines": {"rate": 2, "name": "b"}}})
    bills.update_one({"_id": 1}, {"$set": {"by_name.x": {"rate": 3, "name": "c"}}})
    bills.update_many({}, [{"$set": {"lines": {"$concatArrays": ["$lines", [{"rate": 4, "name": "d"}]]}}}])
    found = bills.find_one({"_id": 1})
    assert [each["name"] for each in found["lines"]] == ["a*1", "b*2", "d*4"]
    assert found["by_name"]["x"]["name"] == "c*3"
    bills.update_one({"_id": 1}, {"$set": {"lines.1.name": "e"}})
    assert [each["name"] for each in bills.find_one({"_id": 1})["lines"]] == ["a*1", "e*2", "d*4"]


class Dated(Model, collection="dated"):
    id: int
    at: DatetimeMS


def test_an_update_whose_document_cannot_be_read_is_not_called_refused(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    dated: Any = integrity.Database(client[database_name], models=[Dated])[Dated]
    dated.insert_one({"_id": 1, "at": DatetimeMS(0)})
    with pytest.raises(InvalidBSON, match="out of range"):
        dated.find_one_and_update({"_id": 1}, {"$set": {"at": DatetimeMS(2**60)}}, return_document=True)


def _list(annotation: Any) -> Any:
    return list[annotation]


def _values(raw: Collection[RawBSONDocument], id: int) -> set[bytes]:
    """Every value that a document has, as it is stored."""
    found = raw.find_one({"_id": id})
    assert found is not None
    return {bson.encode({"v": each}, codec_options=RAW) for each in (found["f"], *found["l"])}
