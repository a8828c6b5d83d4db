"""The document that an upsert inserts, operator by operator: foretold as the server makes it, or not at all."""

import datetime as dt
from typing import Annotated, Any

import pytest
from bson import Decimal128, Int64, Timestamp, encode
from pydantic import AfterValidator, Field, ValidationInfo
from pymongo import MongoClient
from pymongo.errors import OperationFailure

import integrity
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.writes.update_plan import plan_update

Document = dict[str, Any]


class Loose(Model, collection="loose", extra="allow"):
    id: Any


ENTRY = Registry([Loose]).entry(Loose)

FORETOLD: list[tuple[Document, Document, Document]] = [
    ({"n": 2}, {"$inc": {"n": 1, "m": 3}}, {"n": 3, "m": 3}),
    ({"n": 2, "x": 0.5}, {"$mul": {"n": 3, "x": 2, "i": 5, "d": -2.5, "l": Int64(7)}},
        {"n": 6, "x": 1.0, "d": 0.0, "i": 0, "l": Int64(0)}),
    ({"n": 5, "m": 5}, {"$min": {"n": 3, "m": 9, "k": 4}}, {"n": 3, "m": 5, "k": 4}),
    ({"n": 5, "m": 5}, {"$max": {"n": 3, "m": 9, "k": 4}}, {"n": 5, "m": 9, "k": 4}),
    ({"n": 6}, {"$bit": {"n": {"and": 12}}}, {"n": 4}),
    ({"n": 6}, {"$bit": {"n": {"or": 9}, "m": {"or": 3}}}, {"n": 15, "m": 3}),
    ({"n": 6}, {"$bit": {"n": {"xor": 3}}}, {"n": 5}),
    ({"n": 6, "o": {"p": 1, "q": 2}}, {"$unset": {"n": "", "o.p": "", "r.s": ""}}, {"o": {"q": 2}}),
    ({"n": 6}, {"$rename": {"n": "m", "a": "b"}}, {"m": 6}),
    ({}, {"$push": {"t": "a", "u": {"x": 1}}}, {"t": ["a"], "u": [{"x": 1}]}),
    ({}, {"$push": {"t": {"$each": [1, 2, 3], "$slice": 2}}}, {"t": [1, 2]}),
    ({}, {"$push": {"t": {"$each": [1, 2, 3], "$slice": -2}}}, {"t": [2, 3]}),
    ({}, {"$push": {"t": {"$each": [1, 2, 3], "$slice": 0}}}, {"t": []}),
    ({}, {"$push": {"t": {"$each": [1], "$sort": 1}}}, {"t": [1]}),
    ({}, {"$addToSet": {"t": {"$each": [1, 2, 1, 1.0]}, "u": "a"}}, {"t": [1, 2], "u": ["a"]}),
    ({}, {"$addToSet": {"t": {"x": 1, "$each": [1]}}}, {"t": [{"x": 1, "$each": [1]}]}),
    ({}, {"$pull": {"t": 1}, "$pop": {"u": 1}, "$pullAll": {"v": [1]}, "$set": {"a.b.c": 1}}, {"a": {"b": {"c": 1}}}),
    ({"a.b": 1}, {"$set": {"a.c": 2}, "$setOnInsert": {"d": 3}}, {"a": {"b": 1, "c": 2}, "d": 3}),
    ({"when": dt.datetime(2026, 1, 1, 1, 1, 1, 123456)}, {"$set": {"a": 1}},  # noqa: DTZ001 - as BSON has it
        {"when": dt.datetime(2026, 1, 1, 1, 1, 1, 123000), "a": 1}),  # noqa: DTZ001
]  # fmt: skip

UNCLEAR: list[tuple[Document, Any]] = [
    ({"n": True}, {"$inc": {"n": 1}}),
    ({"n": Decimal128("1")}, {"$inc": {"n": 1}}),
    ({"n": 1}, {"$min": {"n": "a"}}),
    ({"n": 2**62}, {"$mul": {"n": 4}}),
    ({"n": 2.5}, {"$bit": {"n": {"or": 1}}}),
    ({"n": True}, {"$bit": {"n": {"or": 1}}}),
    ({}, {"$mul": {"n": Decimal128("2")}}),
    ({}, {"$push": {"t": {"$each": [2, 1], "$sort": 1}}}),
    ({"t": [1]}, {"$push": {"t": 2}}),
    ({"t": [1]}, {"$addToSet": {"t": 2}}),
    ({"t": [1]}, {"$pull": {"t": 1}}),
    ({"t": [1]}, {"$pop": {"t": 1}}),
    ({"t": 1}, {"$set": {"t.x": 1}}),
    ({}, {"$set": {"t.$[]": 1}}),
    ({}, {"$set": {"t.$[].x": 1}}),
    ({"n": {1, 2}}, {"$set": {"a": 1}}),  # no type of BSON: an application's codec makes something of it
    ({}, [{"$set": {"a": 1}}]),
    # What the server refuses is left to it.
    ({"n": 1}, {"$bit": {"n": 5}}),
    ({"n": 1}, {"$bit": {"n": {"nand": 1}}}),
    ({}, {"$push": {"t": {"$each": 5}}}),
    ({}, {"$push": {"t": {"$each": [1], "$slice": "x"}}}),
    ({}, {"$addToSet": {"t": {"$each": 5}}}),
]


@pytest.mark.parametrize(("condition", "update", "document"), FORETOLD, ids=str)
def test_the_document_is_foretold_as_the_server_makes_it(
    condition: Document, update: Document, document: Document, client: MongoClient[Document], database_name: str
) -> None:
    raw = client[database_name]["loose"]
    raw.update_one({"_id": 1, **condition}, update, upsert=True)
    found = plan_update(ENTRY, update, filter={"_id": 1, **condition}, upsert=True).upsert_document
    assert found is not None
    assert raw.find_one() == found == {"_id": 1, **document}
    assert encode({name: found[name] for name in sorted(found)}) == encode(dict(sorted((raw.find_one() or {}).items())))


@pytest.mark.parametrize(("condition", "update"), UNCLEAR, ids=str)
def test_what_is_not_worked_out_exactly_is_not_foretold(condition: Document, update: Any) -> None:
    found = plan_update(ENTRY, update, filter={"_id": 1, **condition}, upsert=True)
    assert found.upsert_document is None
    assert found.upsert_reasons
    assert not found.proved


def test_a_date_is_foretold_by_its_type() -> None:
    update = {"$currentDate": {"at": True, "stamp": {"$type": "timestamp"}, "day": {"$type": "date"}}}
    found = plan_update(ENTRY, update, upsert=True).upsert_document
    assert {name: type(each) for name, each in (found or {}).items()} == {
        "at": dt.datetime,
        "stamp": Timestamp,
        "day": dt.datetime,
    }


def test_a_key_that_cannot_be_stored_is_told_with_what_else_is_wrong() -> None:
    found = plan_update(ENTRY, {"$set": {"a": 1}}, filter={"_id": {"$eq": [1]}}, upsert=True)
    assert [each.path for each in found.upsert_violations] == ["_id"]


def test_what_a_validator_makes_of_a_value_beside_other_fields_is_not_foretold() -> None:
    def doubled(value: int, info: ValidationInfo) -> int:
        return value * 2 if info.data.get("unit") == "cm" else value

    class Beside(Model, collection="beside"):
        id: int
        unit: str = "cm"
        size: Annotated[int, AfterValidator(doubled)] = Field(default=0)

    found = plan_update(Registry([Beside]).entry(Beside), {"$set": {"size": 1}}, filter={"_id": 1}, upsert=True)
    assert found.upsert_document is None
    assert found.upsert_reasons == ("what size is stored as is a matter of other fields",)


@pytest.mark.parametrize(
    "update",
    [
        {"$bit": {"n": 5}},
        {"$push": {"t": {"$each": 5}}},
        {"$addToSet": {"t": {"$each": 5}}},
        {"$currentDate": {"n": {"$type": ["date"]}}},
    ],
    ids=str,
)
def test_an_operand_that_the_server_refuses_meets_its_error(
    update: Document, client: MongoClient[Document], database_name: str
) -> None:
    with pytest.raises(OperationFailure):
        integrity.Database(client[database_name], models=[Loose])[Loose].update_one({"_id": 1}, update, upsert=True)
    assert client[database_name]["loose"].find_one() is None
