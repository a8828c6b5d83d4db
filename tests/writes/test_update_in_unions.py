"""Inside of one of several structures an update stores, and ``by()`` looks for, what an insert would store."""

import dataclasses
import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field
from pymongo import MongoClient
from pymongo.collection import Collection

import integrity
from integrity import Allow, InvalidDocument, Model

ID = uuid.UUID(int=5)


class Part(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


@dataclasses.dataclass
class Point:
    x: Decimal
    y: str = "b"


class Sale(BaseModel):
    kind: Literal["sale"]
    n: int = 0
    day: dt.date | None = None
    price: Decimal | None = None
    share: float | None = None
    key: uuid.UUID | None = None
    name: Annotated[str, AfterValidator(str.upper)] | None = None
    part: Part | None = None
    count: Annotated[int, Field(ge=0)] = 0


class Gift(BaseModel):
    kind: Literal["gift"]
    n: str = "a"
    note: str = "b"


class Order(Model, collection="orders"):
    id: int
    tagged: Annotated[Sale | Gift, Field(discriminator="kind")]
    lines: Annotated[list[Sale | Gift], Allow([])] = Field(default_factory=list)
    either: Sale | int | list[int] = 0
    point: Point = Field(default_factory=lambda: Point(Decimal(1)))


OFFERED: dict[str, Any] = {
    "day": "2026-01-01",
    "price": "1.50",
    "share": 1,
    "key": str(ID),
    "name": "abc",
    "part": {"kind": "cat"},
    "count": "5",
}
SALE = {"kind": "sale"}


@pytest.fixture
def orders(client: MongoClient[dict[str, Any]], database_name: str) -> Any:
    return integrity.Database(client[database_name], models=[Order])[Order]


@pytest.fixture
def raw(client: MongoClient[dict[str, Any]], database_name: str) -> Collection[dict[str, Any]]:
    return client[database_name]["orders"]


@pytest.mark.parametrize("name", OFFERED)
def test_what_is_set_is_what_an_insert_stores_and_is_found(
    orders: Any, raw: Collection[dict[str, Any]], name: str
) -> None:
    value = OFFERED[name]
    whole = {**SALE, name: value}
    orders.insert_one({"_id": 1, "tagged": whole, "lines": [whole], "either": whole})
    orders.insert_one({"_id": 2, "tagged": SALE, "lines": [SALE], "either": SALE})
    for path in ("tagged", "lines.0", "either"):
        orders.update_one({"_id": 2}, {"$set": {f"{path}.{name}": value}})
    one, other = raw.find({}, {"_id": 0}, sort=[("_id", 1)])
    assert repr(other) == repr(one)
    for path in ("tagged", "lines", "either"):
        assert orders.count_documents(orders.by({f"{path}.{name}": value})) == 2


def test_a_dataclass_is_no_exception(orders: Any, raw: Collection[dict[str, Any]]) -> None:
    orders.insert_one({"_id": 1, "tagged": SALE, "point": {"x": "2.5"}})
    orders.insert_one({"_id": 2, "tagged": SALE})
    orders.update_one({"_id": 2}, {"$set": {"point.x": "2.5"}})
    one, other = raw.find({}, {"_id": 0}, sort=[("_id", 1)])
    assert repr(other) == repr(one)
    assert orders.count_documents(orders.by({"point.x": "2.5"})) == 2


@pytest.mark.parametrize(
    ("update", "code", "path"),
    [
        ({"$set": {"tagged.note": "c"}}, "SCH004", "tagged.note"),  # of the other structure
        ({"$set": {"tagged.count": -1}}, "SCH003", "tagged.count"),
        ({"$set": {"tagged.n": "5"}}, "SCH001", "tagged.n"),  # of both: what stands there decides
        ({"$set": {"tagged.kind": "gift"}}, "SCH001", "tagged.n"),
        ({"$inc": {"tagged.count": -9}}, "SCH003", "tagged.count"),
        ({"$push": {"tagged.count": 1}}, "SCH001", "tagged.count"),
    ],
)
def test_the_outcome_is_still_judged(
    orders: Any, raw: Collection[dict[str, Any]], update: dict[str, Any], code: str, path: str
) -> None:
    orders.insert_one({"_id": 1, "tagged": SALE})
    before = raw.find_one()
    with pytest.raises(InvalidDocument) as refused:
        orders.update_one({"_id": 1}, update)
    assert (code, path) in [(each.code, each.path) for each in refused.value.violations]
    assert raw.find_one() == before


class Later(Model, collection="later"):
    id: int
    a: int
    b: int = Field(default_factory=lambda data: data["a"] + 1)


def test_a_default_that_waits_for_a_refused_field_is_not_told(client: MongoClient[dict[str, Any]]) -> None:
    later = integrity.Database(client["no_database"], models=[Later])[Later]
    with pytest.raises(InvalidDocument) as refused:
        later.insert_one({"_id": 1, "a": "x"})
    assert [(each.code, each.path) for each in refused.value.violations] == [("SCH001", "a")]
