"""Derived fields: stored, computed at every write, never taken from outside unless equal, audited."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128
from pydantic import Field
from pymongo.database import Database

import integrity
from integrity import Allow, CopyOf, DeclarationError, InvalidDocument, Model, Ref, Revision, Unique, derived
from integrity.audit import audit
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.writes.handles import COLOURS, Handle, opened

Raw = Database[dict[str, Any]]


class Product(Model, collection="products"):
    id: int
    name: str


class Line(Model):
    product_id: Annotated[int, Ref(Product)]
    product: Annotated[str, CopyOf(Product, "name", via="product_id")]
    quantity: int
    price: Decimal

    @derived
    def total(self) -> Annotated[Decimal, Field(gt=0)]:
        """What it costs."""
        return self.quantity * self.price


class Order(Model, collection="orders"):
    id: int
    lines: list[Line]
    share: int = 1

    @derived
    def total(self) -> Decimal:
        """What all of it costs."""
        return sum((each.total for each in self.lines), Decimal(0)) / self.share

    @derived
    def label(self) -> str:
        """What is on the parcel."""
        return ", ".join(each.product for each in self.lines)


class Parcel(Model, collection="parcels"):
    id: int
    order_id: Annotated[int, Ref(Order)]
    label: Annotated[str, CopyOf(Order, "label", via="order_id")]


class Part(Model):
    size: int

    @derived
    def area(self) -> int:
        """What it covers."""
        return self.size**2


class Crate(Model, collection="crates"):
    """Nothing but a part of it is derived from: by its types alone, an update of it is proved."""

    id: int
    part: Part


MODELS: list[Any] = [Product, Order, Parcel, Crate]
LINES: list[dict[str, Any]] = [
    {"product_id": 1, "quantity": 2, "price": 3},
    {"product_id": 2, "quantity": 1, "price": "0.5"},
]


@pytest.fixture(params=COLOURS)
async def db(request: pytest.FixtureRequest, uri: str, database_name: str) -> AsyncIterator[Handle]:
    async with opened(request.param, uri, database_name, models=MODELS) as handle:
        await handle[Product].insert_many([{"_id": 1, "name": "Lamp"}, {"_id": 2, "name": "Bulb"}])
        yield handle


@pytest.fixture
def raw(client: Any, database_name: str) -> Raw:
    found: Raw = client[database_name]
    return found


def shown(raw: Raw) -> tuple[list[str], str, str]:
    order = raw["orders"].find_one({"_id": 1})
    assert order is not None
    return [str(each["total"]) for each in order["lines"]], str(order["total"]), order["label"]


async def test_they_are_computed_by_every_write(db: Handle, raw: Raw) -> None:
    await db[Order].insert_one({"_id": 1, "lines": LINES})
    assert shown(raw) == (["6", "0.5"], "6.5", "Lamp, Bulb")
    await db[Parcel].insert_one({"_id": 1, "order_id": 1})
    await db[Order].update_one({"_id": 1}, {"$inc": {"lines.0.quantity": 1}})
    assert shown(raw) == (["9", "0.5"], "9.5", "Lamp, Bulb")
    await db[Order].update_many({}, {"$push": {"lines": {**LINES[1], "price": Decimal(4)}}})
    assert shown(raw) == (["9", "0.5", "4"], "13.5", "Lamp, Bulb, Bulb")
    read = await db[Order].find_one({"_id": 1})
    await db[Order].replace_one({"_id": 1}, {**read, "share": 2})
    assert shown(raw)[1] == "6.75"
    # What is derived from a copy follows the copy's owner, and so does a copy of it.
    await db[Product].update_one({"_id": 2}, {"$set": {"name": "LED"}})
    assert shown(raw)[2] == "Lamp, LED, LED"
    assert raw["parcels"].find_one() == {"_id": 1, "order_id": 1, "label": "Lamp, LED, LED"}


async def test_an_instance_computes_its_own(db: Handle, raw: Raw) -> None:
    await db[Order].insert_one({"_id": 1, "lines": LINES[:1]})
    order = await db[Order].find_one({"_id": 1}, as_model=True)
    order.lines[0].quantity = 5
    assert (order.total, order.lines[0].total) == (15, 15)
    with pytest.raises(ValueError, match="frozen"):
        order.total = Decimal(1)
    await db[Order].replace_one({"_id": 1}, order)
    assert shown(raw) == (["15"], "15", "Lamp")
    await db[Order].insert_one(order.model_copy(update={"id": 2}))
    assert raw["orders"].count_documents({"total": Decimal128("15")}) == 2


async def test_a_value_from_outside_is_refused_unless_it_is_equal(db: Handle, raw: Raw) -> None:
    await db[Order].insert_one({"_id": 1, "lines": LINES, "total": Decimal("6.5")})
    for document in ({"_id": 2, "lines": LINES, "total": 7}, {"_id": 2, "lines": [{**LINES[0], "total": 7}]}):
        with pytest.raises(InvalidDocument, match="OWN002"):
            await db[Order].insert_one(document)
    with pytest.raises(InvalidDocument, match="OWN002"):
        await db[Order].update_one({"_id": 1}, {"$set": {"total": Decimal(7)}})
    with pytest.raises(InvalidDocument, match="OWN002"):
        await db[Order].replace_one({"_id": 1}, {"lines": LINES, "total": 7})
    await db[Order].update_one({"_id": 1}, {"$set": {"total": Decimal("3.25"), "share": 2}})
    assert shown(raw)[1] == "3.25"
    await db[Crate].insert_one({"_id": 1, "part": {"size": 2}})
    with pytest.raises(InvalidDocument, match="OWN002"):
        await db[Crate].update_one({"_id": 1}, {"$set": {"part": {"size": 3, "area": 8}}})
    await db[Crate].update_one({"_id": 1}, {"$set": {"part": {"size": 3}}})
    assert raw["crates"].find_one() == {"_id": 1, "part": {"size": 3, "area": 9}}


async def test_what_moves_with_its_element_was_not_set(db: Handle, raw: Raw) -> None:
    """Read, changed and replaced, or changed by a pipeline, with an element taken out before the changed one."""
    for change in ({"quantity": 4}, {"quantity": 4, "product_id": 1}):
        await db[Order].replace_one({"_id": 1}, {"lines": LINES}, upsert=True)
        read = await db[Order].find_one({"_id": 1})
        await db[Order].replace_one({"_id": 1}, {**read, "lines": [{**read["lines"][1], **change}]})
        assert shown(raw) == (["2.0"], "2.0", "Lamp" if "product_id" in change else "Bulb")
    await db[Order].replace_one({"_id": 1}, {"lines": LINES})
    more = {"$mergeObjects": ["$$this", {"quantity": 6}]}
    await db[Order].update_one(
        {"_id": 1}, [{"$set": {"lines": {"$map": {"input": {"$slice": ["$lines", 1, 1]}, "in": more}}}}]
    )
    assert shown(raw) == (["3.0"], "3.0", "Bulb")
    with pytest.raises(InvalidDocument, match="OWN002"):
        await db[Order].replace_one({"_id": 1}, {"lines": [{**LINES[0], "total": 9}]})


class Tag(Model, collection="tags"):
    id: int
    code: Annotated[str, Unique()]


class Post(Model, collection="posts"):
    id: int
    title: str
    main: Annotated[int | None, Ref(Tag, on_delete="set_null")] = None
    tags: Annotated[list[Annotated[int, Ref(Tag, on_delete="set_null")]], Allow([])]
    code: Annotated[str | None, Ref(Tag, field="code", on_update="cascade", on_delete="set_null")] = None
    revision: Annotated[int, Revision()] = 0

    @derived
    def label(self) -> str:
        return f"{self.title}: {self.main} {self.tags} {self.code}"


def test_they_follow_the_references_that_the_library_itself_changes(raw: Raw) -> None:
    db = integrity.Database(raw, models=[Tag, Post])
    db[Tag].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
    db[Post].insert_one({"_id": 1, "title": "One", "main": 1, "tags": [1, 2], "code": "a"})
    labels = raw["posts"].find({}, {"_id": 0, "label": 1})
    db[Tag].update_one({"_id": 1}, {"$set": {"code": "c"}})
    assert labels.clone().to_list() == [{"label": "One: 1 [1, 2] c"}]
    db[Tag].delete_one({"_id": 1})
    assert labels.clone().to_list() == [{"label": "One: None [2] None"}]
    with db.transaction():
        db[Post].update_one({"_id": 1}, {"$set": {"code": "b"}})
        db[Tag].update_one({"_id": 2}, {"$set": {"code": "d"}})
    assert labels.clone().to_list() == [{"label": "One: None [2] d"}]


async def test_what_cannot_be_computed_or_is_not_valid_is_refused(db: Handle, raw: Raw) -> None:
    with pytest.raises(InvalidDocument, match="cannot be computed"):
        await db[Order].insert_one({"_id": 1, "lines": LINES, "share": 0})
    with pytest.raises(InvalidDocument, match=r"lines\.0\.total"):
        await db[Order].insert_one({"_id": 1, "lines": [{**LINES[0], "quantity": 0}]})
    with pytest.raises(InvalidDocument) as caught:
        await db[Order].insert_one({"_id": 1, "lines": [{"product_id": 1, "quantity": "?", "price": 1}]})
    assert [each.path for each in caught.value.violations] == ["lines.0.quantity"]
    await db[Order].insert_one({"_id": 1, "lines": LINES})
    with pytest.raises(InvalidDocument, match="cannot be computed"):
        await db[Order].update_one({"_id": 1}, {"$set": {"share": 0}})
    assert shown(raw)[1] == "6.5"


def test_an_audit_computes_them_again(client: Any, database_name: str) -> None:
    raw: Raw = client[database_name]
    with integrity.Database(raw, models=MODELS) as db:
        db[Product].insert_one({"_id": 1, "name": "Lamp"})
        for number in range(4):
            db[Order].insert_one({"_id": number, "lines": LINES[:1]})
    raw["orders"].update_one({"_id": 1}, {"$set": {"total": Decimal128("7")}})
    raw["orders"].update_one({"_id": 2}, {"$unset": {"lines.0.total": ""}})
    raw["orders"].update_one({"_id": 3}, {"$set": {"total": Decimal128("6.0")}})  # equal
    found = run(audit(BlockingStore(raw), Registry(MODELS)))
    assert [(each.code, each.id, each.path) for each in found.violations] == [
        ("OWN002", 1, "total"),
        ("OWN002", 2, "lines.0.total"),
    ]
    found.close()


def test_a_method_without_a_type_is_no_field() -> None:
    with pytest.raises(DeclarationError, match="no return type"):

        @derived
        def total(self):  # type: ignore[no-untyped-def]  # this is the point  # noqa: ANN001, ANN202
            return self


def test_making_an_instance_computes_a_derived_field_once() -> None:
    """Goes red when the instance that the method is given makes defaults of its own derived fields, without an end."""
    calls = []

    class Chain(Model, collection="chains"):
        id: int
        first: int

        @derived
        def second(self) -> int:
            calls.append(self.first)
            return self.first + 1

    made = Chain(id=1, first=1)
    assert len(calls) == 1
    assert (made.second, made.model_dump()["second"]) == (2, 2)


def test_derived_fields_may_be_many_and_follow_each_other(raw: Raw) -> None:
    class Long(Model, collection="longs"):
        id: int
        first: int

        @derived
        def second(self) -> int:
            return self.first + 1

        @derived
        def third(self) -> int:
            return self.second + 1

        @derived
        def fourth(self) -> int:
            return self.third + self.second

    db = integrity.Database(raw, models=[Long], actor="*")
    db[Long].insert_one(Long(id=1, first=1))
    db[Long].update_one({"_id": 1}, {"$inc": {"first": 1}})
    assert raw["longs"].find_one() == {"_id": 1, "first": 2, "second": 3, "third": 4, "fourth": 7}
