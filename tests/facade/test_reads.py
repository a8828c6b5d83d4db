"""Reads are PyMongo's: documents as they are, or instances of the model, or an error that names what is wrong."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128, ObjectId
from pydantic import AwareDatetime, Field
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import InvalidOperation

import integrity
from integrity import InvalidDocument, Model, Ref, UnguardedWrite, Unique
from tests.writes.handles import COLOURS, opened

Raw = Database[dict[str, Any]]


class Item(Model, collection="items"):
    id: int
    text: str
    price: Annotated[Decimal | None, Field(gt=0)] = None
    at: AwareDatetime | None = None
    key: uuid.UUID | None = None
    about: dict[str, Any] | None = None


@pytest.fixture
def raw(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    return client[database_name]


@pytest.fixture
def items(raw: Raw) -> integrity.Collection[Item]:
    raw["items"].insert_many([{"_id": number, "text": f"t{number}"} for number in range(250)])
    return integrity.Database(raw, models=[Item])[Item]


def test_a_cursor_is_pymongos(items: integrity.Collection[Item], raw: Raw) -> None:
    assert list(items.find()) == list(raw["items"].find())
    asked = items.find({"_id": {"$gt": 5}}, {"text": 0}).sort("_id", -1).skip(2).limit(3).batch_size(2)
    assert asked.comment("c").max_time_ms(5000).collation({"locale": "en"}).hint("_id_").to_list() == [
        {"_id": 247}, {"_id": 246}, {"_id": 245},
    ]  # fmt: skip
    assert items.find().sort([("_id", -1)])[3]["_id"] == 246
    assert [each["_id"] for each in items.find().sort("_id")[2:4]] == [2, 3]
    with items.find() as cursor:
        assert next(cursor)["_id"] == 0
        assert cursor.next()["_id"] == 1
        assert len(cursor.to_list(5)) == 5
        with pytest.raises(InvalidOperation):
            cursor.limit(3)
        assert cursor.clone().next()["_id"] == 0
        assert cursor.rewind().next()["_id"] == 0
    assert not cursor.alive
    assert sorted(items.find({"_id": {"$lt": 2}}).distinct("text")) == ["t0", "t1"]
    bounds = items.find().hint("_id_").min([("_id", 3)]).max([("_id", 5)])
    assert [each["_id"] for each in bounds] == [3, 4]
    assert items.find().where("this._id == 7").to_list() == [{"_id": 7, "text": "t7"}]


@pytest.mark.parametrize(
    "cut", [slice(2, 4), slice(3, 3), slice(0, 0), slice(248, None), slice(None, 2), slice(2, None)]
)
def test_a_slice_of_a_cursor_is_pymongos(items: integrity.Collection[Item], raw: Raw, cut: slice) -> None:
    """One of nothing is no page of everything."""
    limit = 0 if cut.start == 248 else 5
    ours = items.find().sort("_id").limit(limit)[cut]
    assert ours.to_list() == list(raw["items"].find().sort("_id").limit(limit)[cut])
    assert ours.rewind().to_list() == ours.clone().to_list() == list(raw["items"].find().sort("_id"))[cut]


@pytest.mark.parametrize("cut", [slice(4, 2), slice(-1, None), slice(0, -1), slice(0, 4, 2), -1, 900])
def test_a_slice_that_is_none_is_an_error_as_pymongos(items: integrity.Collection[Item], raw: Raw, cut: Any) -> None:
    for cursor in (items.find(), raw["items"].find()):
        with pytest.raises(IndexError):
            cursor[cut]


def test_the_other_reads_are_pymongos(items: integrity.Collection[Item]) -> None:
    assert items.count_documents({"_id": {"$lt": 9}}) == 9
    assert items.estimated_document_count() == 250
    assert len(items.distinct("text")) == 250
    assert items.find_one(7) == {"_id": 7, "text": "t7"}
    assert items.find_one({"_id": 999}) is None
    assert items.find_one({"_id": 7}, {"_id": 0}) == {"text": "t7"}
    assert list(items.aggregate([{"$match": {"_id": 7}}])) == [{"_id": 7, "text": "t7"}]


@pytest.mark.parametrize("colour", COLOURS)
async def test_models_are_read_back_as_they_were_written(colour: str, uri: str, database_name: str) -> None:
    item = Item(id=1, text="t", price=Decimal("1.50"), at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), key=uuid.uuid4())
    item.about = {"$ref": "items", "$id": 1}  # which PyMongo reads as a DBRef
    async with opened(colour, uri, database_name, models=[Item]) as db:
        await db[Item].insert_one(item)
        assert await db[Item].find_one({"_id": 1}, as_model=True) == item
        assert await db[Item].all(as_model=True) == [item]
        assert await db[Item].piped([{"$match": {}}], as_model=True) == [item]
        found = await db[Item].find_one()
    assert found["price"] == Decimal128("1.50")
    assert found["key"] == item.key


class Migrated(Model, collection="migrated"):
    id: ObjectId
    legacy: Annotated[int, Field(alias="id"), Unique()]
    by: Annotated[ObjectId | None, Ref("Migrated")] = None


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_field_that_is_stored_as_id_is_not_the_key(colour: str, uri: str, database_name: str) -> None:
    async with opened(colour, uri, database_name, models=[Migrated]) as db:
        first: dict[str, Any] = {"id": 7}
        await db[Migrated].insert_one(first)
        assert await db[Migrated].find_one() == {"_id": first["_id"], "id": 7, "by": None}
        await db[Migrated].insert_one({"id": 8, "by": first["_id"]})
        await db[Migrated].replace_one({"id": 7}, {"id": 9})
        assert await db[Migrated].find_one({"id": 9}) == {"_id": first["_id"], "id": 9, "by": None}
        with pytest.raises(InvalidDocument, match=r"REF001 by: refers to migrated\._id"):
            await db[Migrated].insert_one({"id": 10, "by": ObjectId()})


@pytest.mark.parametrize("colour", ["async", "motor"])
async def test_an_asynchronous_cursor_is_iterated_and_closed(colour: str, uri: str, database_name: str) -> None:
    async with opened(colour, uri, database_name, models=[Item]) as db:
        await db[Item].insert_many([{"_id": number, "text": "t"} for number in range(250)])
        items = db.db[Item]
        async with items.find().sort("_id") as cursor:
            assert [each["_id"] async for each in cursor] == list(range(250))
        assert (await (await items.aggregate([{"$count": "n"}])).next()) == {"n": 250}
        with pytest.raises(StopAsyncIteration):
            await items.find({"_id": -1}).next()
        assert sorted(await items.find({"_id": {"$lt": 2}}).distinct("_id")) == [0, 1]
        assert (await (await items.find().rewind()).next())["_id"] == 0


def test_a_stored_document_that_is_not_as_declared_is_no_model(items: integrity.Collection[Item], raw: Raw) -> None:
    raw["items"].insert_one({"_id": 1000, "text": "N/A", "price": 5})
    assert items.find_one({"_id": 1000}) == {"_id": 1000, "text": "N/A", "price": 5}
    with pytest.raises(InvalidDocument) as refused:
        items.find_one({"_id": 1000}, as_model=True)
    assert {(each.code, each.path) for each in refused.value.violations} == {("FRB001", "text"), ("SCH001", "price")}
    with pytest.raises(TypeError, match="projection"):
        items.find({}, {"text": 1}, as_model=True)  # type: ignore[call-overload]  # what is refused


def test_reads_keep_the_applications_own_options(uri: str, database_name: str, raw: Raw) -> None:
    raw["items"].insert_one({"_id": 1, "text": "t", "at": dt.datetime(2026, 1, 2)})  # noqa: DTZ001 - as stored
    with integrity.connect(uri, database=database_name, models=[Item], tz_aware=True) as db:
        found = db[Item].find_one()
        assert found is not None
        assert found["at"] == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def test_an_aggregation_that_writes_is_refused(items: integrity.Collection[Item]) -> None:
    for stage in ({"$out": "elsewhere"}, {"$merge": {"into": "items"}}):
        with pytest.raises(UnguardedWrite, match="unsafe_raw"):
            items.aggregate([{"$match": {}}, stage])


def test_what_is_not_guarded_says_where_it_is(items: integrity.Collection[Item]) -> None:
    with pytest.raises(AttributeError, match=r"unsafe_raw\.drop"):
        items.drop()
    with pytest.raises(NotImplementedError):
        bool(items)
    assert items.unsafe_raw.name == items.name == "items"
    assert "Item" in repr(items)
