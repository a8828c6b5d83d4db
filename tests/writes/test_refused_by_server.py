"""Where `db.apply()` has made a validator, what the server refuses first is told in the rules' own words."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128
from pydantic import Field
from pymongo import MongoClient, UpdateOne
from pymongo.errors import WriteError

import integrity
from integrity import IntegrityError, InvalidBulkWrite, InvalidDocument, Model

Document = dict[str, Any]


class Part(Model):
    sku: str
    qty: Annotated[int, Field(ge=1)]


class Kit(Model, collection="kits"):
    id: int
    name: str
    stock: Annotated[int, Field(ge=0, le=100)]
    parts: list[Part]
    counts: dict[str, Annotated[int, Field(ge=0)]] | None = None
    either: int | list[int] | None = None
    price: Annotated[Decimal, Field(gt=0)] = Decimal(1)


KIT: Document = {
    "_id": 1, "name": "a", "stock": 3, "parts": [{"sku": "A", "qty": 2}], "counts": {"x": 1}, "price": Decimal128("2")
}  # fmt: skip


@pytest.fixture
def kits(client: MongoClient[Document], database_name: str) -> Any:
    db = integrity.Database(client[database_name], models=[Kit])
    db.apply()
    db[Kit].insert_one(dict(KIT))
    return db[Kit]


CASES: list[tuple[Any, list[tuple[str, str, str]]]] = [
    ({"$inc": {"stock": -5}}, [("SCH003", "stock", "stock")]),
    ({"$pull": {"parts": {"sku": "A"}}}, [("EMP003", "parts", "parts")]),
    ({"$inc": {"parts.0.qty": -2}}, [("SCH003", "parts.0.qty", "parts[].qty")]),
    ({"$mul": {"price": Decimal(-1)}}, [("SCH003", "price", "price")]),
    ([{"$set": {"name": {"$concat": [" ", " "]}}}], [("EMP002", "name", "name")]),
    ([{"$set": {"name": {"$concat": ["N/", "A"]}}}], [("SCH003", "name", "name")]),
    ([{"$set": {"either": {"$toString": "$stock"}}}], [("SCH001", "either", "either")]),
    ([{"$set": {"counts.x": {"$add": [-4, 1]}}}], [("SCH003", "counts.x", "counts.*")]),
    ([{"$set": {"parts.colour": 1}}], [("SCH004", "parts.0.colour", "parts[].colour")]),
    (
        [{"$unset": "name"}, {"$set": {"ghost": 1, "stock": -1}}],
        [("SCH003", "stock", "stock"), ("SCH004", "ghost", "ghost"), ("SCH002", "name", "name")],
    ),
]


@pytest.mark.parametrize(("update", "expected"), CASES, ids=str)
def test_the_validators_refusal_has_the_rules_codes_and_paths(
    kits: Any, update: Any, expected: list[tuple[str, str, str]]
) -> None:
    with pytest.raises(InvalidDocument) as refused:
        kits.update_one({"_id": 1}, update)
    assert [(each.code, each.path, each.field) for each in refused.value.violations] == expected
    assert {each.id for each in refused.value.violations} == {1}
    assert isinstance(refused.value, WriteError)
    assert refused.value.details is not None
    assert "errInfo" in refused.value.details
    assert "errInfo" not in (refused.value.redacted().details or {})
    assert kits.count_documents(KIT) == 1


def test_a_bulk_names_it_by_its_index(kits: Any) -> None:
    with pytest.raises(InvalidBulkWrite) as refused:
        kits.bulk_write([UpdateOne({"_id": 1}, {"$inc": {"stock": -5}})])
    assert [each.code for each in refused.value.violations] == ["SCH003"]


def test_a_validator_of_the_applications_own_that_says_nothing_stays_pymongos_error(
    kits: Any, client: MongoClient[Document], database_name: str
) -> None:
    client[database_name].command("collMod", "kits", validator={"$expr": {"$lt": ["$stock", 50]}})
    with pytest.raises(WriteError) as refused:
        kits.update_one({"_id": 1}, {"$set": {"stock": 60}})
    assert not isinstance(refused.value, IntegrityError)


def test_a_validator_of_the_applications_own_that_says_more_is_told_too(
    kits: Any, client: MongoClient[Document], database_name: str
) -> None:
    schema = {"properties": {"stock": {"maximum": 50}}}
    client[database_name].command("collMod", "kits", validator={"$jsonSchema": schema})
    with pytest.raises(InvalidDocument, match="stock: is 60, and must satisfy the collection's validator"):
        kits.update_one({"_id": 1}, {"$set": {"stock": 60}})


class Visit(Model, collection="visits"):
    id: int
    count: Annotated[int, Field(ge=0)]
    at: Annotated[dt.datetime | None, Field(lt=dt.datetime(2030, 1, 1))] = None  # noqa: DTZ001 - UTC, as it is stored


def test_what_no_schema_can_say_is_told_beside_it(client: MongoClient[Document], database_name: str) -> None:
    """A date's bounds stand beside the schema, and the server then tells of both in another form."""
    db = integrity.Database(client[database_name], models=[Visit])
    db.apply()
    db[Visit].insert_one({"_id": 1, "count": 1, "at": dt.datetime(2029, 1, 1)})  # noqa: DTZ001 - as above
    late: Document = {"at": {"$add": ["$at", 10**12]}}
    cases: list[tuple[Any, list[tuple[str, str]]]] = [
        ({"$inc": {"count": -5}}, [("SCH003", "count")]),
        ([{"$set": late}], [("SCH003", "at")]),
        ([{"$set": {**late, "count": -1, "x": 1}}], [("SCH003", "count"), ("SCH004", "x"), ("SCH003", "at")]),
    ]
    for update, expected in cases:
        with pytest.raises(InvalidDocument) as refused:
            db[Visit].update_one({"_id": 1}, update)
        assert [(each.code, each.path) for each in refused.value.violations] == expected


def test_a_validator_of_older_declarations_says_so(client: MongoClient[Document], database_name: str) -> None:
    class Visited(Model, collection="visits"):
        id: int
        visits: int
        where: str | None = None

    integrity.Database(client[database_name], models=[Visit]).apply()
    client[database_name].visits.insert_one({"_id": 1, "count": 1})
    visits = integrity.Database(client[database_name], models=[Visited])[Visited]
    with pytest.raises(InvalidDocument) as refused:
        visits.update_one({"_id": 1}, {"$rename": {"count": "visits"}})
    assert [(each.code, each.path, each.message) for each in refused.value.violations] == [
        ("SCH004", "visits", "is declared, and the collection's validator does not know it."),
        ("SCH002", "count", "is not declared, and the collection's validator requires it."),
    ]
    assert {each.hint for each in refused.value.violations} == {
        "Bring the validator up to date: `integrity apply`, or db.apply()."
    }
