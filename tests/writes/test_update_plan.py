"""What a plan says of an update, operator by operator."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from bson import SON, Decimal128, ObjectId
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, PastDatetime, model_validator

from integrity.declare.constraint import Allow, CopyOf, Forbid, Immutable, Owner, Ref, Unique
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.errors import UnguardedWrite
from integrity.writes.update_plan import plan_update
from integrity.writes.updates.direct import direct
from integrity.writes.updates.plan import UpdatePlan
from integrity.writes.updates.target import REMEMBERED, targets
from tests.writes.declarations import declarations, updates


class Item(Model):
    sku: Annotated[str, Ref("Product", field="sku")]
    qty: Annotated[int, Field(ge=1)]
    note: str | None = None


class Address(Model):
    city: str
    street: str | None = None


class Hints(Model):
    first: str | None = None
    second: str | None = None


class Inner(Model):
    left: int
    right: int


class Outer(Model):
    inner: Inner


class Product(Model, collection="products"):
    sku: Annotated[str, Unique()]
    name: str


class Order(Model, collection="orders"):
    id: int
    name: Annotated[str, Field(max_length=10), Immutable()]
    status: Literal["new", "paid"]
    stock: Annotated[int, Field(ge=0, le=100)]
    visits: int = 0
    lucky: Annotated[int, Forbid(13)] = 1
    rate: float
    price: Decimal
    at: dt.datetime | None = None
    day: dt.date | None = None
    customer: ObjectId | None = None
    items: list[Item]
    tags: Annotated[list[str], Field(max_length=3)]
    notes: Annotated[list[str], Allow([])]
    maybe: list[str] | None = None
    address: Address
    billing: Address | None = None
    hints: Hints | None = None
    scores: dict[str, int]
    shape: int | list[int] = 0
    pack: Annotated[int, Field(multiple_of=5)] = 5
    bonus: Annotated[int, Field(ge=10)] = 10
    open: Annotated[float, Field(gt=0, lt=10)] = 5
    fee: Annotated[Decimal, Field(ge=0)] = Decimal(1)
    due: Annotated[dt.datetime, Field(ge=dt.datetime(2000, 1, 1))] = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - as BSON has it
    pairs: Annotated[dict[str, int], Field(min_length=2)] | None = None
    twins: Annotated[list[str], Field(min_length=2)] | None = None
    checked: Annotated[list[str], AfterValidator(sorted)] = Field(default_factory=lambda: ["a"])
    capped: Annotated[dict[str, int], Field(max_length=2)] | None = None
    coded: dict[Annotated[str, Field(max_length=3)], int] | None = None
    outer: Outer | None = None
    both: Annotated[int, Field(ge=0, gt=0)] = 1
    anything: Any = None
    secret: Annotated[str, Owner("vault")] = "x"


class Ruled(Model, collection="ruled"):
    low: int
    high: int
    note: str | None = None

    @model_validator(mode="after")
    def ordered(self) -> "Ruled":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Open(Model, collection="open", extra="allow"):
    id: int
    name: str
    tags: list[str] = Field(default_factory=lambda: ["a"])


class Term(Model):
    start: dt.datetime
    end: dt.datetime


class Row(Model):
    name: str
    cells: list[str]


class Board(Model, collection="boards", constraints=[Unique("x", "y")]):
    id: int
    rows: list[Row]
    row: list[str]
    row_count: int = 0
    rowing: list[str]
    bag: Annotated[list[Any], Allow([])]
    mixed: Address | Any = None
    spot: Address | int = 0
    extras: list[Item] | None = None
    some: Annotated[dict[str, int], Field(min_length=1)] | None = None
    term: Term | None = None
    seen: Annotated[dt.datetime, AfterValidator(lambda each: each)] | None = None
    born: PastDatetime | None = None
    home: Annotated[Address, Immutable()]
    x: int = 0
    y: int = 0


class Slack(Model, collection="slack"):
    note: str | None = None


class Paired(Model, collection="paired"):
    id: int
    couple: Annotated[list[str], Field(min_length=2, max_length=2)]


REGISTRY = Registry([Product, Order, Ruled, Open, Paired, Board, Slack])
ORDER = REGISTRY.entry(Order)
BOARD = REGISTRY.entry(Board)


def plan(update: Any, **options: Any) -> UpdatePlan:
    return plan_update(ORDER, update, **options)


PROVED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"$set": {"name": "x"}}, {}),
    ({"$set": {"stock": "5", "price": "1.5"}}, {}),
    ({"$set": {"address": {"city": "Bonn"}}}, {}),
    ({"$set": {"address.city": "Bonn", "address.street": None}}, {}),
    ({"$set": {"billing.city": "Bonn"}}, {}),
    ({"$set": {"billing.street": "x", "billing.city": "Bonn"}}, {}),
    ({"$set": {"items.0": {"sku": "a", "qty": 1}, "items.0.note": "x"}}, {}),
    ({"$set": {"items.0.qty": 2}}, {}),
    ({"$set": {"items.$[].qty": 2}}, {}),
    ({"$set": {"items.$[x].qty": 2}}, {"array_filters": [{"x.sku": "a"}]}),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items.sku": "a", "status": "new"}}),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items": {"$elemMatch": {"sku": "a"}}, "_id": 1}}),
    ({"$set": {"notes.0": "a"}}, {}),
    ({"$set": {"scores.a": 1, "anything.x.y": ""}}, {}),
    ({"$set": {"_id": 1}}, {"filter": {"_id": 1}}),
    ({"$unset": {"at": "", "address.street": "", "ghost": ""}}, {}),
    ({"$inc": {"visits": -5}}, {}),
    ({"$inc": {"stock": -2}}, {"filter": {"stock": {"$gte": 2}}}),
    ({"$inc": {"stock": 2}}, {"filter": {"$and": [{"stock": {"$lte": 98}}]}}),
    ({"$inc": {"stock": 1}}, {"filter": {"stock": 5}}),
    ({"$inc": {"stock": 1}}, {"filter": {"stock": {"$lt": 100}}}),
    ({"$inc": {"stock": -1}}, {"filter": {"stock": {"$gt": 0}}}),
    ({"$inc": {"rate": 0.5, "price": Decimal("1.5")}}, {}),
    ({"$mul": {"visits": 3, "rate": 0.5}}, {}),
    ({"$min": {"stock": 5}, "$max": {"rate": 1}}, {}),
    ({"$bit": {"visits": {"or": 4}}}, {}),
    ({"$currentDate": {"at": True}}, {}),
    ({"$currentDate": {"at": {"$type": "date"}}}, {}),
    ({"$setOnInsert": {"billing.street": "x"}}, {}),
    ({"$push": {"items": {"sku": "a", "qty": 1}}}, {}),
    ({"$push": {"tags": {"$each": ["a", "b"], "$slice": -3, "$sort": 1, "$position": 0}}}, {}),
    ({"$push": {"maybe": "a"}}, {}),
    ({"$addToSet": {"notes": {"$each": ["a", "b"]}}}, {}),
    ({"$pull": {"notes": "a"}}, {}),
    ({"$pullAll": {"notes": ["a"]}}, {}),
    ({"$pop": {"notes": 1}}, {}),
    ({"$unset": {"billing.street": "", "anything.x": ""}}, {}),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items.sku": "a", "scores.a": 1}}),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items.sku": "a", "items.0.note": "x"}}),
    ({"$set": {"scores._condemned": 1}}, {}),
]

NOT_PROVED: list[tuple[Any, dict[str, Any], str]] = [
    ({"$set": {"billing.street": "x"}}, {}, "created without city"),
    ({"$set": {"items.1.qty": 2}}, {}, "padded with nulls"),
    ({"$set": {"maybe.0": "x"}}, {}, "an object with the field '0'"),
    ({"$set": {"notes.1": "x"}}, {}, "padded with nulls"),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"tags": "a"}}, "$ is the index"),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items.sku": "a", "tags": "a"}}, "$ is the index"),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"$or": [{"items.sku": "a"}]}}, "$ is the index"),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items.sku": "a", "$or": [{"tags": "a"}]}}, "$ is the index"),
    ({"$set": {"shape.0": 1}}, {}, "judged as a whole"),
    ({"$unset": {"billing.city": ""}}, {}, "required where"),
    ({"$unset": {"hints.first": ""}}, {}, "left empty"),
    ({"$unset": {"scores.a": ""}}, {}, "left empty"),
    ({"$unset": {"items.0": ""}}, {}, "become null"),
    ({"$inc": {"stock": -2}}, {}, "fall below"),
    ({"$inc": {"stock": -2}}, {"filter": {"stock": {"$gte": 1}}}, "fall below"),
    ({"$inc": {"stock": 2}}, {"filter": {"stock": {"$gte": 1}}}, "exceed"),
    ({"$inc": {"stock": 1}}, {"filter": {"stock": {"$lt": 101}}}, "exceed"),
    ({"$inc": {"stock": -2}}, {"filter": {"stock": {"$gt": 0}}}, "fall below"),
    ({"$inc": {"stock": 2}}, {"filter": {"$or": [{"stock": {"$lte": 1}}]}}, "exceed"),
    ({"$inc": {"items.$[].qty": -1}}, {"filter": {"items.qty": {"$gte": 5}}}, "fall below"),
    ({"$inc": {"open": -1}}, {"filter": {"open": {"$gte": 1}}}, "fall below"),
    ({"$inc": {"open": -1}}, {"filter": {"open": {"$gt": 1}}}, "fall below"),
    ({"$inc": {"open": 1}}, {"filter": {"open": {"$lte": 9}}}, "exceed"),
    ({"$inc": {"open": 1}}, {"filter": {"open": {"$lt": 9}}}, "exceed"),
    ({"$inc": {"fee": Decimal(-1)}}, {"filter": {"fee": {"$gte": 1}}}, "fall below"),
    ({"$inc": {"rate": 1e305}}, {}, "infinite"),
    ({"$inc": {"lucky": 1}}, {}, "forbidden"),
    ({"$inc": {"pack": 1}}, {}, "multiple_of"),
    ({"$inc": {"bonus": 1}}, {}, "where it is not there"),
    ({"$inc": {"items.0.qty": -1}}, {"filter": {"items.0.qty": {"$gte": 5}}}, "fall below"),
    ({"$set": {"capped.a": 1}}, {}, "as many keys"),
    ({"$set": {"pairs.a": 1}}, {}, "created without more keys"),
    ({"$unset": {"pairs.a": ""}}, {}, "left empty"),
    ({"$min": {"_id": 1}}, {"filter": {"_id": 1}}, "of the _id"),
    ({"$currentDate": {"due": True}}, {}, "plain date"),
    ({"$currentDate": {"at": {"$type": ["date"]}}}, {}, "no name of a type"),
    ({"$push": {"tags": {"$each": ["a"], "$slice": True}}}, {}, "no integer"),
    ({"$push": {"checked": "a"}}, {}, "plain list"),
    ({"$pull": {"checked": "a"}}, {}, "plain list"),
    ({"$push": {"twins": "a"}}, {}, "fewer than 2"),
    ({"$addToSet": {"twins": {"$each": ["a", "b"]}}}, {}, "fewer than 2"),
    ({"$set": {"coded.a": 1}}, {}, "keys of coded are constrained"),
    ({"$mul": {"stock": 2}}, {}, "leave what is declared"),
    ({"$mul": {"rate": 2.5}}, {}, "infinite"),
    ({"$mul": {"rate": 1.5}}, {}, "infinite"),
    ({"$set": {"outer.inner.left": 1}}, {}, "right"),
    ({"$inc": {"both": -5}}, {"filter": {"both": {"$gte": 5}}}, "may fall below its limit 0"),
    ({"$inc": {"both": -5}}, {"filter": {"both": {"$gt": 4.5}}}, "may fall below its limit 0"),
    ({"$bit": {"stock": {"or": 4}}}, {}, "plain integer"),
    ({"$currentDate": {"day": True}}, {}, "plain date"),
    ({"$push": {"tags": "a"}}, {}, "longer than 3"),
    ({"$push": {"tags": {"$each": ["a"], "$slice": -4}}}, {}, "longer than 3"),
    ({"$push": {"maybe": {"$each": []}}}, {}, "fewer than 1"),
    ({"$addToSet": {"shape": 1}}, {}, "plain list"),
    ({"$pull": {"tags": "a"}}, {}, "fewer than 1"),
    ({"$pullAll": {"tags": ["a"]}}, {}, "fewer than 1"),
    ({"$pop": {"items": 1}}, {}, "fewer than 1"),
    ({"$rename": {"at": "day"}}, {}, "not known to be valid as day"),
    ([{"$set": {"stock": "$visits"}}], {}, "pipeline"),
    ([{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"stock": 1}]}}], {}, "pipeline"),
    ([{"$unset": "name"}], {}, "pipeline"),
    ([{"$set": {"stock": 1}}, {"$set": {"stock": "$visits"}}], {}, "pipeline"),
    ([{"$set": {"items.0.qty": 2}}], {}, "pipeline"),  # the field "0" of every element
    ([{"$set": {"address": Address(city="$name")}}], {}, "pipeline"),
    ({"$set": {"items.$.qty": 2}}, {"filter": {"items.sku": "a", "anything": 1}}, "$ is the index"),
    ({"$unset": {"items.$.note": ""}}, {"filter": {"tags": "a"}}, "$ is the index"),
    ({"$unset": {"items.1.qty": ""}}, {}, "required where"),
    ({"$unset": {"items.$[x].qty": ""}}, {}, "required where"),
    ({"$set": {"checked.0": "a"}}, {}, "see it as a whole"),
    ({"$rename": {"billing.city": "secret"}}, {}, "not known to be valid as secret"),
]

REFUSED: list[tuple[Any, dict[str, Any], list[tuple[str, str]]]] = [
    ({"$set": {"stock": "many"}}, {}, [("SCH001", "stock")]),
    ({"$set": {"stock": 101, "name": ""}}, {}, [("SCH003", "stock"), ("EMP001", "name")]),
    ({"$set": {"ghost": 1}}, {}, [("SCH004", "ghost")]),
    ({"$set": {"address.ghost": 1}}, {}, [("SCH004", "address.ghost")]),
    ({"$set": {"stock.deep": 1}}, {}, [("SCH004", "stock.deep")]),
    ({"$set": {"items.qty": 1}}, {}, [("SCH004", "items.qty")]),
    ({"$set": {"items.0.qty": -1}}, {}, [("SCH003", "items.0.qty")]),
    ({"$set": {"items.$[x].qty": "a"}}, {}, [("SCH001", "items.$[x].qty")]),
    ({"$set": {"items": []}}, {}, [("EMP003", "items")]),
    ({"$set": {"items": [{"sku": "a", "qty": 1}, {"sku": "", "qty": 0}]}}, {},
        [("EMP001", "items.1.sku"), ("SCH003", "items.1.qty")]),
    ({"$set": {"billing": {"street": "x"}}}, {}, [("SCH002", "billing.city")]),
    ({"$set": {"name": None}}, {}, [("EMP004", "name")]),
    ({"$set": {"rate": float("nan")}}, {}, [("EMP005", "rate")]),
    ({"$set": {"_id": 2}}, {"filter": {"_id": 1}}, [("OWN004", "_id")]),
    ({"$inc": {"_id": 1}}, {}, [("OWN004", "_id")]),
    ({"$unset": {"_id": ""}}, {}, [("OWN004", "_id")]),
    ({"$rename": {"visits": "_id"}}, {}, [("OWN004", "_id")]),
    ({"$rename": {"_id": "visits"}}, {}, [("OWN004", "_id")]),
    ({"$rename": {"at": 5}}, {"upsert": True}, [("SCH001", "at")]),
    ({"$bit": {"visits": {"or": "x"}}}, {"upsert": True}, [("SCH001", "visits")]),
    ({"$currentDate": {"visits": True}}, {}, [("SCH001", "visits")]),
    ({"$set": {"items.01": {"sku": "a", "qty": 1}}}, {}, [("SCH004", "items.01")]),
    ({"$setOnInsert": {"stock": -1}}, {}, [("SCH003", "stock")]),
    ({"$min": {"stock": -1}}, {}, [("SCH003", "stock")]),
    ({"$max": {"ghost": -1}}, {}, [("SCH004", "ghost")]),
    ({"$unset": {"name": ""}}, {}, [("SCH002", "name")]),
    ({"$unset": {"address.city": ""}}, {}, [("SCH002", "address.city")]),
    ({"$inc": {"stock": "1"}}, {}, [("SCH001", "stock")]),
    ({"$inc": {"stock": True}}, {}, [("SCH001", "stock")]),
    ({"$inc": {"stock": 0.5}}, {}, [("SCH001", "stock")]),
    ({"$inc": {"name": 1}}, {}, [("SCH001", "name")]),
    ({"$inc": {"ghost": 1}}, {}, [("SCH004", "ghost")]),
    ({"$inc": {"rate": float("nan")}}, {}, [("EMP005", "rate")]),
    ({"$mul": {"stock": None}}, {}, [("SCH001", "stock")]),
    ({"$bit": {"rate": {"or": 1.5}}}, {}, [("SCH001", "rate")]),
    ({"$bit": {"name": {"or": 1}}}, {}, [("SCH001", "name")]),
    ({"$currentDate": {"name": True}}, {}, [("SCH001", "name")]),
    ({"$currentDate": {"at": {"$type": "timestamp"}}}, {}, [("SCH001", "at")]),
    ({"$push": {"items": {"sku": "a", "qty": 0}}}, {}, [("SCH003", "items.qty")]),
    ({"$push": {"tags": {"$each": ["a", " "]}}}, {}, [("EMP002", "tags.$each.1")]),
    ({"$push": {"items": {"$each": [{"sku": "a"}]}}}, {}, [("SCH002", "items.$each.0.qty")]),
    ({"$push": {"name": "a"}}, {}, [("SCH001", "name")]),
    ({"$push": {"items": {"$each": [], "$slice": 0}}}, {}, [("EMP003", "items")]),
    ({"$addToSet": {"tags": ["a"]}}, {}, [("SCH001", "tags")]),
    ({"$pull": {"stock": 1}}, {}, [("SCH001", "stock")]),
    ({"$pop": {"ghost": 1}}, {}, [("SCH004", "ghost")]),
    ({"$rename": {"name": "day"}}, {}, [("SCH002", "name")]),
    ({"$rename": {"at": "ghost"}}, {}, [("SCH004", "ghost")]),
    ([{"$set": {"stock": -1}}], {}, [("SCH003", "stock")]),
]  # fmt: skip


@pytest.mark.parametrize(("update", "options"), PROVED, ids=lambda each: str(each)[:60])
def test_it_is_proved(update: Any, options: dict[str, Any]) -> None:
    found = plan(update, **options)
    assert (found.violations, found.reasons) == ((), ())
    assert found.proved
    assert direct(ORDER, update, options.get("filter", {})) in (None, found.update)


@pytest.mark.parametrize(("update", "options", "why"), NOT_PROVED, ids=lambda each: str(each)[:60])
def test_it_is_not_proved_and_the_plan_says_why(update: Any, options: dict[str, Any], why: str) -> None:
    found = plan(update, **options)
    assert not found.violations
    assert not found.proved
    assert why in " ".join(found.reasons)
    assert why in str(found)
    assert direct(ORDER, update, options.get("filter", {})) is None


@pytest.mark.parametrize(("update", "options", "codes"), REFUSED, ids=lambda each: str(each)[:60])
def test_it_is_refused_at_once(update: Any, options: dict[str, Any], codes: list[tuple[str, str]]) -> None:
    found = plan(update, **options)
    assert [(each.code, each.path) for each in found.violations] == codes
    assert not found.proved
    assert direct(ORDER, update, options.get("filter", {})) is None


@pytest.mark.parametrize(
    ("update", "condition"),
    [
        ({"$set": {"visits": 3, "stock": "5", "address.city": "Bonn"}}, {}),
        ({"$set": {"rate": 2}, "$inc": {"visits": 1}}, {"$or": [{"name": "y"}]}),
        ({"$inc": {"stock": -1, "price": Decimal(2)}}, {"_id": 1, "stock": {"$gt": 0}}),
        ({"$inc": {"stock": 1}}, {"stock": 5}),
    ],
    ids=str,
)
def test_the_usual_ones_need_no_plan(update: Any, condition: dict[str, Any]) -> None:
    assert direct(ORDER, update, condition) == plan(update, filter=condition).update


class Place(Model):
    street: str
    number: int


class House(Model, collection="houses"):
    id: Place
    stock: Annotated[int, Field(ge=0)] = 0


@pytest.mark.parametrize(
    ("update", "condition"),
    [
        ({"$inc": {"_id.number": 1}}, {}),
        ({"$inc": {"stock": -1}}, {"stock": {"$ref": 1, "$gte": 5}}),  # an object that is equal, no comparison
        ({"$inc": {"stock": -1}}, {"stock": {"x": 6, "$gte": 1}}),
        ({"$set": {"stock": 1}}, SON(stock=1)),
        ({}, {}),
    ],
    ids=str,
)
def test_what_is_not_plain_needs_a_plan(update: Any, condition: dict[str, Any]) -> None:
    assert direct(Registry([House]).entry(House), update, condition) is None


@settings(max_examples=45, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])  # a loaded machine
@given(data=st.data())
def test_what_needs_no_plan_is_what_a_plan_would_have_sent(data: st.DataObject) -> None:
    declared = data.draw(declarations())
    update, array_filters = data.draw(updates(declared))
    comparisons = st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq"]), st.integers(-3, 12))
    condition = data.draw(st.dictionaries(st.sampled_from(["f0", "f1", "f2"]), comparisons | st.integers(-3, 12)))
    found = direct(declared.entry, update, condition)
    assume(found is not None)
    made = plan_update(declared.entry, update, filter=condition, array_filters=array_filters)
    assert (made.violations, made.reasons, made.update) == ((), (), found)


def test_values_are_sent_as_an_insert_would_store_them() -> None:
    given: dict[str, Any] = {
        "$set": {"stock": "5", "price": "1.50", "address": Address.model_validate({"city": "Bonn"})},
        "$inc": {"price": Decimal(2)},
    }
    found = plan(given)
    assert found.update == {
        "$set": {"stock": 5, "price": Decimal128("1.50"), "address": {"city": "Bonn", "street": None}},
        "$inc": {"price": Decimal128("2")},
    }
    assert given["$set"]["stock"] == "5", "what the caller gave is not changed"
    assert plan({"$set": {"shape.0": Decimal(2)}}).update == {"$set": {"shape.0": Decimal128("2")}}


def test_a_condition_of_pull_is_no_value() -> None:
    assert plan({"$pull": {"items": {"qty": {"$gt": "5"}}}}).update == {"$pull": {"items": {"qty": {"$gt": "5"}}}}


def test_violations_name_the_declared_field_the_id_and_a_way_out() -> None:
    (found,) = plan({"$set": {"items.$[x].qty": -1}}, filter={"_id": 7}).violations
    assert (found.id, found.path, found.field, found.collection) == (7, "items.$[x].qty", "items[].qty", "orders")
    assert found.hint
    inside, unknown = plan({"$set": {"items": [{"sku": "", "qty": 1}], "ghost": 1}}, filter={"_id": 7}).violations
    assert (inside.id, inside.path, inside.field) == (7, "items.0.sku", "items[].sku")
    assert unknown.id == 7


def test_a_model_with_a_rule_across_fields_is_never_proved() -> None:
    entry = REGISTRY.entry(Ruled)
    for update in ({"$set": {"low": 3}}, {"$unset": {"note": ""}}):
        found = plan_update(entry, update)
        assert "see the document as a whole" in " ".join(found.reasons)
    assert [each.code for each in plan_update(entry, {"$set": {"low": "x"}}).violations] == ["SCH001"]


def test_an_array_of_fixed_length_takes_no_element_more() -> None:
    entry = REGISTRY.entry(Paired)
    assert plan_update(entry, {"$set": {"couple.1": "b"}}).proved
    assert "too short for the index 2" in str(plan_update(entry, {"$set": {"couple.2": "c"}}).reasons)


def test_a_model_that_takes_unknown_fields_takes_them_in_updates() -> None:
    entry = REGISTRY.entry(Open)
    assert plan_update(entry, {"$set": {"ghost": 1, "deep.ghost": ""}}).proved
    assert plan_update(entry, {"$set": {"tags.$": "b"}}, filter={"tags": "a"}).proved
    assert not plan_update(entry, {"$set": {"tags.$": "b"}}, filter={"tags": "a", "ghost": 1}).proved, "of an array?"


def test_what_is_touched_is_listed_with_its_new_values() -> None:
    found = plan(
        {
            "$set": {"items.0.sku": "a", "secret": "y"},
            "$push": {"items": {"$each": [{"sku": "b", "qty": 1}]}},
            "$unset": {"customer": ""},
            "$inc": {"visits": 1},
        }
    )
    assert [(each.change, each.steps) for each in found.touched] == [
        ("set", ("items", "[]", "sku")),
        ("set", ("secret",)),
        ("added", ("items",)),
        ("unset", ("customer",)),
        ("computed", ("visits",)),
    ]
    assert {Ref, Owner} <= found.markers
    assert not {Immutable, CopyOf, Unique} & found.markers
    assert found.values(("items", "[]", "sku")) == (("items.0.sku", "a"), ("items.0.sku", "b"))
    assert found.values(("customer",)) == ()
    assert found.values(("visits",)) is None
    assert found.values(("name",)) == ()
    assert found.touches(("items", "[]", "qty"))[0].change == "added"
    assert plan({"$pull": {"items": {"sku": "a"}}}).values(("items", "[]", "sku")) == ()
    assert plan({"$set": {"billing.city": "x"}}).values(("billing",)) is None
    renamed = plan({"$rename": {"at": "day"}}).touched
    assert [(each.change, each.steps) for each in renamed] == [("unset", ("at",)), ("computed", ("day",))]


@pytest.mark.parametrize(
    ("update", "why"),
    [
        ({"$set": {"billing.city": "Bonn"}}, "billing may be null"),
        ({"$push": {"maybe": "a"}}, "maybe may be no array"),
        ({"$set": {"anything.x": 1}}, "anything may be null"),
        ({"$inc": {"anything": 1}}, "anything may be no number"),
        ({"$inc": {"visits": 2**50}}, "visits may not fit 64 bits"),
        ({"$mul": {"visits": 2}}, "visits may not fit 64 bits"),
        ({"$set": {"items.$.note": "x"}}, "$ may be of no element of items"),
    ],
)
def test_an_update_that_may_stop_half_way_through_many_documents_says_so(update: Any, why: str) -> None:
    found = plan(update, filter={"items.note": {"$in": [None, "y"]}})
    assert found.proved
    assert why in found.stops
    assert f"may stop half-way in many: {why}" in str(found)


@pytest.mark.parametrize(
    ("update", "condition", "why"),
    [
        ({"$set": {"rows.$.name": "x"}}, {"rows.cells": "a"}, "$ is the index"),  # of which array?
        ({"$set": {"row.$": "x"}}, {"rowing": "a"}, "$ is the index"),
        ({"$set": {"row.$": "x"}}, {"row": "a", "mixed.city": "a"}, "$ is the index"),
        ({"$set": {"spot.city": "Bonn"}}, {}, "judged as a whole"),
        ({"$currentDate": {"term.start": True}}, {}, "created without end"),
        ({"$currentDate": {"seen": True}}, {}, "plain date"),
        ({"$currentDate": {"born": True}}, {}, "plain date"),  # the server's clock may be ahead
    ],
    ids=str,
)
def test_what_a_declaration_leaves_open_is_not_proved(update: Any, condition: dict[str, Any], why: str) -> None:
    found = plan_update(BOARD, update, filter=condition)
    assert found.violations == ()
    assert why in " ".join(found.reasons)


def test_a_unique_value_may_stop_an_update_of_many() -> None:
    assert plan_update(REGISTRY.entry(Product), {"$set": {"sku": "x"}}).stops
    assert not plan_update(REGISTRY.entry(Product), {"$set": {"name": "x"}}).stops
    assert not plan_update(REGISTRY.entry(Product), {"$setOnInsert": {"sku": "x"}}).stops


def test_an_element_that_the_filter_names_is_there_in_every_document() -> None:
    assert plan({"$set": {"items.$.note": "x"}}, filter={"items.sku": "a"}).stops == ()


@pytest.mark.parametrize(
    ("update", "condition", "why"),
    [
        ({"rows.$.name": "x"}, {"rows.name": None}, "$ may be of no element of rows"),
        ({"row.$": "x"}, {"row": {"$in": ["a", None]}, "row_count": 1}, "$ may be of no element of row"),
        # An array is equal to it as a whole, or has an element that is.
        ({"bag.$": "x"}, {"bag": []}, "$ may be of no element of bag"),
        ({"extras.$[].note": "x"}, {}, "extras may not be there"),
    ],
    ids=str,
)
def test_an_element_that_may_not_be_there_stops_an_update_of_many(
    update: Any, condition: dict[str, Any], why: str
) -> None:
    found = plan_update(BOARD, {"$set": update}, filter=condition)
    assert found.proved
    assert why in found.stops


def test_what_is_valid_wherever_it_is_created_is_proved() -> None:
    assert plan_update(BOARD, {"$set": {"some.a": 1}}).proved
    assert plan_update(REGISTRY.entry(Slack), {"$unset": {"note": ""}}).proved


def test_markers_above_and_of_several_fields_are_seen() -> None:
    for path, marker in (("home.city", Immutable), ("x", Unique)):
        update = {"$set": {path: "1"}}
        assert marker in plan_update(BOARD, update).markers
        assert direct(BOARD, update, {}) is None


def test_no_operator_changes_a_part_of_an_id() -> None:
    found = plan_update(Registry([House]).entry(House), {"$inc": {"_id.number": 1}})
    assert [(each.code, each.path) for each in found.violations] == [("OWN004", "_id.number")]


def test_a_pipeline_that_replaces_the_document_touches_everything() -> None:
    found = plan([{"$replaceWith": "$$ROOT"}])
    assert found.touches(("secret",))
    assert {Ref, Owner, Immutable} <= found.markers
    assert found.values(("items", "[]", "sku")) is None


def test_a_dotted_pipeline_touches_from_its_first_step() -> None:
    """`items.qty` in a pipeline is the field of every element."""
    assert plan([{"$set": {"items.sku": "$name"}}]).touches(("items", "[]", "sku"))


VALID = {
    "name": "x", "status": "new", "stock": 1, "rate": 1, "price": "1", "items": [{"sku": "a", "qty": 1}], "tags": ["a"],
    "notes": [], "address": {"city": "Bonn"}, "scores": {"a": 1},
}  # fmt: skip


def test_an_upsert_that_would_insert_a_valid_document_is_proved() -> None:
    found = plan({"$set": {"stock": 2}, "$setOnInsert": {k: v for k, v in VALID.items() if k != "stock"}},
                 filter={"_id": 1, "status": "new"}, upsert=True)  # fmt: skip
    assert found.upsert_violations == ()
    assert found.upsert_document is not None
    assert found.upsert_document["_id"] == 1
    assert found.proved


@pytest.mark.parametrize(
    ("condition", "codes"),
    [
        ({}, {("SCH001", "_id")}),  # the server would generate an ObjectId
        ({"_id": 1, "visits": "5"}, {("SCH001", "visits")}),
        ({"_id": 1, "visits": {"$eq": 1.5}}, {("SCH001", "visits")}),
        ({"_id": 1, "$and": [{"ghost": 1}]}, {("SCH004", "ghost")}),
        ({"_id": 1, "billing.street": "x"}, {("SCH002", "billing.city")}),
        ({"_id": 1, "secret": ""}, {("EMP001", "secret")}),
    ],
)
def test_an_upsert_whose_filter_supplies_an_invalid_field_is_not(
    condition: dict[str, Any], codes: set[tuple[str, str]]
) -> None:
    found = plan({"$set": VALID}, filter=condition, upsert=True)
    assert {(each.code, each.path) for each in found.upsert_violations} == codes
    assert found.proved_for_existing
    assert not found.proved


@pytest.mark.parametrize(
    "condition",
    [
        {"$or": [{"visits": 1}]},
        {"visits": {"$in": [1]}},
        {"visits": {"$all": [1]}},
        {"a": 1, "a.b": 1},
        {"billing": {"city": "a"}, "billing.city": "a"},
        {"billing.city": "a", "billing": {"city": "a"}},
    ],
)
def test_an_upsert_that_is_not_known_exactly_is_not_proved(condition: dict[str, Any]) -> None:
    found = plan({"$set": VALID}, filter={"_id": 1, **condition}, upsert=True)
    assert found.upsert_document is None
    assert found.upsert_reasons
    assert not found.proved


@pytest.mark.parametrize("update", [{}, {"name": "x"}, []])
def test_replacements_and_empty_updates_are_refused_as_pymongo_does(update: Any) -> None:
    with pytest.raises(ValueError, match="update"):
        plan(update)


@pytest.mark.parametrize(
    "update", [{"$pushAll": {"tags": ["a"]}}, [{"$lookup": {}}], [{"$set": {}, "$unset": "a"}], {"$set": 5}]
)
def test_what_cannot_be_guarded_is_refused_with_the_reason(update: Any) -> None:
    with pytest.raises(UnguardedWrite, match="orders: "):
        plan(update)


def test_an_empty_operator_changes_nothing() -> None:
    assert plan({"$set": {}}).proved


def test_a_plan_explains_itself() -> None:
    found = plan({"$set": {"name": "x", "stock": -1}, "$inc": {"rate": 1e305}})
    assert str(found).splitlines() == [
        "update of orders: refused",
        f"  refused: {found.violations[0]}",
        "  not proved: rate may become infinite",
        "  $set name is set: 'x'",
        "  $set stock is set: -1",
        "  $inc rate is computed",
    ]


def test_no_number_of_different_paths_grows_the_memory() -> None:
    for number in range(REMEMBERED + 10):
        plan({"$set": {f"scores.k{number}": 1}})
    assert len(targets(ORDER)) <= REMEMBERED


def test_a_field_of_an_arrays_elements_is_told_how_to_be_named() -> None:
    (violation,) = plan({"$set": {"items.qty": 2}}).violations
    assert violation.hint == "items is an array: name an element, items.0.qty, or all, items.$[].qty."
