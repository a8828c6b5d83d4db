"""What was looked at is what is written: no other document, no other meaning, nothing left behind."""

import contextlib
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128, Int64, encode
from bson.codec_options import CodecOptions, TypeCodec, TypeRegistry
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pydantic import Field, StringConstraints, model_validator
from pymongo import DeleteOne, MongoClient, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.collation import Collation
from pymongo.database import Database

import integrity
from integrity import InvalidDocument, Model, Ref, Revision, StaleDocument, UnguardedWrite, Unique
from integrity.writes import verified

Document = dict[str, Any]
IGNORING_CASE = Collation("en", strength=2)


class Sign(enum.Enum):
    STOCK = "$stock"


class Item(Model, collection="items"):
    id: str
    stock: Annotated[int, Field(ge=0)]
    label: Annotated[str | None, StringConstraints(strip_whitespace=True)] = None
    sign: Sign | None = None
    price: Decimal | None = None


class Note(Model, collection="notes"):
    id: int
    item: Annotated[str, Ref(Item, on_delete="cascade")]


class Tag(Model, collection="tags"):
    id: int
    code: Annotated[str, Unique()]
    low: int = 0

    @model_validator(mode="after")
    def below_ten(self) -> "Tag":
        if self.low >= 10:
            raise ValueError("too high")
        return self


class Tagged(Model, collection="tagged"):
    id: int
    tag: Annotated[str, Ref(Tag, field="code", on_update="cascade")]
    version: Annotated[int, Revision()] = 0


MODELS: list[type[Model]] = [Item, Note, Tag, Tagged]


@pytest.fixture
def raw(client: MongoClient[Document], database_name: str) -> Database[Document]:
    return client[database_name]


@pytest.fixture
def db(raw: Database[Document]) -> Any:
    return integrity.Database(raw, models=MODELS)


@pytest.fixture
def twins(db: Any) -> Any:
    """Two documents whose ``_id``s a collation takes for one."""
    db[Item].insert_many([{"_id": "abc", "stock": 3}, {"_id": "ABC", "stock": 9}])
    return db[Item]


def test_an_update_with_a_collation_changes_the_document_that_it_judges(twins: Any) -> None:
    found = twins.find_one_and_update(
        {"_id": "abc"}, {"$inc": {"stock": -5}}, sort=[("stock", -1)], collation=IGNORING_CASE
    )
    assert found["_id"] == "ABC"
    assert {each["_id"]: each["stock"] for each in twins.find()} == {"abc": 3, "ABC": 4}
    with pytest.raises(InvalidDocument):
        twins.update_many({"_id": "abc"}, {"$inc": {"stock": -4}}, collation=IGNORING_CASE)
    assert twins.update_many({"_id": "Abc"}, {"$inc": {"stock": -3}}, collation=IGNORING_CASE).modified_count == 2


def test_each_batch_of_an_update_with_a_collation_changes_its_own(twins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "BATCH", 1)
    assert twins.update_many({}, {"$inc": {"stock": -1}}, collation=IGNORING_CASE).modified_count == 2
    assert {each["_id"]: each["stock"] for each in twins.find()} == {"abc": 2, "ABC": 8}


def test_a_delete_with_a_collation_deletes_one_document(twins: Any) -> None:
    assert twins.delete_one({"_id": "Abc"}, collation=IGNORING_CASE).deleted_count == 1
    assert twins.count_documents({}) == 1
    assert twins.bulk_write([DeleteOne({"_id": "Abc"}, collation=IGNORING_CASE)]).deleted_count == 1


@pytest.mark.parametrize("joined", [True, False])
def test_a_replacement_keeps_the_id_that_a_collation_finds(db: Any, raw: Database[Document], *, joined: bool) -> None:
    """As in PyMongo: the filter chooses the document, and does not name it."""
    raw.create_collection("items", collation=IGNORING_CASE)
    items = db[Item]
    items.insert_one({"_id": "abc", "stock": 3})
    with db.transaction() if joined else contextlib.nullcontext():
        assert items.replace_one({"_id": "ABC"}, {"stock": 4}).matched_count == 1
        assert items.find_one_and_replace({"_id": {"$eq": "Abc"}}, {"stock": 5})["stock"] == 4
        assert items.bulk_write([ReplaceOne({"_id": "aBC"}, {"stock": 6}, upsert=True)]).modified_count == 1
    assert [(each["_id"], each["stock"]) for each in raw["items"].find()] == [("abc", 6)]
    with pytest.raises(integrity.ImmutableField):
        items.replace_one({"_id": "abc"}, {"_id": "ABC", "stock": 7})


@pytest.mark.parametrize(("field", "value"), [("label", " $stock"), ("sign", Sign.STOCK)])
def test_a_constant_of_a_stage_stays_one_when_it_is_coerced(db: Any, field: str, value: Any) -> None:
    db[Item].insert_one({"_id": "a", "stock": 3})
    db[Item].update_one({"_id": "a"}, [{"$set": {field: value}}])
    assert db[Item].find_one({"_id": "a"})[field] == "$stock"


def test_a_path_that_is_no_string_is_refused_in_a_sentence(db: Any) -> None:
    with pytest.raises(integrity.UnguardedWrite, match="a path is a string"):
        db[Item].update_one({"_id": "a"}, {"$set": {1: 2}})


def test_a_refused_write_in_a_transaction_that_goes_on_leaves_what_refers_to_it(
    db: Any, raw: Database[Document]
) -> None:
    db.apply()
    db[Tag].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
    db[Tagged].insert_many([{"_id": 1, "tag": "a"}, {"_id": 2, "tag": "b"}])
    before = [list(raw[name].find().sort("_id")) for name in ("tags", "tagged")]
    renamed = {"code": {"$concat": ["$code", "x"]}, "low": {"$multiply": ["$_id", 9]}}

    def body(_: Any) -> None:
        with pytest.raises(InvalidDocument):
            db[Tag].update_one({"_id": 1}, {"$set": {"code": "z", "low": 10}})
        with pytest.raises(InvalidDocument):
            db[Tag].update_many({}, [{"$set": renamed}])

    db.with_transaction(body)
    assert [list(raw[name].find().sort("_id")) for name in ("tags", "tagged")] == before
    with db.transaction():
        db[Tag].update_one({"_id": 1}, {"$set": {"code": "z"}})
    assert raw["tagged"].find_one({"_id": 1}) == {"_id": 1, "tag": "z", "version": 1}


class DecimalCodec(TypeCodec):
    """As PyMongo's documentation has it."""

    python_type = Decimal
    bson_type = Decimal128

    def transform_python(self, value: Decimal) -> Decimal128:
        return Decimal128(value)

    def transform_bson(self, value: Decimal128) -> Decimal:
        return value.to_decimal()


def test_an_applications_own_codec_is_its_own(raw: Database[Document]) -> None:
    """What is judged is what is stored, and what is returned is what the application's codec makes of it."""
    options: CodecOptions[Any] = CodecOptions(document_class=SON, type_registry=TypeRegistry([DecimalCodec()]))
    items: Any = integrity.Database(raw.with_options(codec_options=options), models=MODELS)[Item]
    items.insert_one({"_id": "a", "stock": 1, "price": Decimal("2.5")})
    items.update_one({"_id": "a", "price": Decimal("2.5")}, {"$inc": {"stock": -1}})
    for found in (
        items.find_one_and_update({"_id": "a"}, {"$inc": {"stock": 1}}),
        items.find_one_and_update({"_id": "a"}, {"$set": {"stock": 1}}),
        items.find_one_and_replace({"_id": "a"}, {"stock": 1, "price": Decimal("2.5")}),
        items.find_one_and_delete({"_id": "a"}),
    ):
        assert type(found) is SON
        assert found["price"] == Decimal("2.5")
    items.insert_one({"_id": "a", "stock": 1, "price": Decimal("2.5")})
    model = items.find_one_and_update({"_id": "a"}, {"$inc": {"stock": 1}}, as_model=True)
    assert model.price == Decimal("2.5")
    assert raw["items"].find_one({"_id": "a"}) == {
        "_id": "a", "stock": 2, "label": None, "sign": None, "price": Decimal128("2.5")
    }  # fmt: skip


def test_pymongos_time_limit_goes_with_an_update_that_is_judged(twins: Any) -> None:
    assert twins.find_one_and_update({"_id": "abc"}, {"$inc": {"stock": -3}}, maxTimeMS=10_000)["stock"] == 3
    assert twins.find_one_and_delete({"_id": "abc"}, maxTimeMS=10_000)["stock"] == 0


def test_options_and_the_session_go_with_an_update_that_is_proved(db: Any, twins: Any) -> None:
    assert twins.update_one({"_id": "Abc"}, {"$set": {"stock": 5}}, collation=IGNORING_CASE).matched_count == 1
    options: dict[str, Any] = {"projection": {"stock": 1}, "return_document": ReturnDocument.AFTER}
    assert twins.find_one_and_update({"_id": "ABC"}, {"$set": {"stock": 8}}, **options) == {"_id": "ABC", "stock": 8}
    with db.transaction() as tx:
        twins.update_one({"_id": "ABC"}, {"$min": {"stock": 1}})
        tx.rollback()
    assert twins.find_one({"_id": "ABC"})["stock"] == 8


def test_pymongos_write_concern_is_the_transactions_where_there_is_one(db: Any, twins: Any) -> None:
    concern = {"w": 1}
    assert twins.find_one_and_update({"_id": "abc"}, {"$inc": {"stock": -1}}, writeConcern=concern)["stock"] == 3
    with db.transaction():
        assert twins.find_one_and_update({"_id": "abc"}, {"$set": {"stock": 7}}, writeConcern=concern)["stock"] == 2
        assert twins.find_one_and_update({"_id": "abc"}, {"$inc": {"stock": -1}}, writeConcern=concern)["stock"] == 7


REVISIONS: list[Any] = [
    {"_id": 1, "version": 0},
    {"_id": 1, "version": Int64(0)},
    {"_id": 1, "version": {"$eq": 0}},
    {"$and": [{"_id": 1}, {"version": 0}]},
]


@pytest.mark.parametrize("filter", REVISIONS, ids=str)
def test_a_filter_names_its_revision_in_any_of_its_ways(db: Any, raw: Database[Document], filter: Document) -> None:
    db[Tag].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
    tagged = db[Tagged]
    writes: list[Callable[[], Any]] = [
        lambda: tagged.update_one(filter, {"$set": {"tag": "b"}}),
        lambda: tagged.replace_one(filter, {"_id": 1, "tag": "b"}),
        lambda: tagged.bulk_write([UpdateOne(filter, {"$set": {"tag": "b"}})]),
    ]
    for write in writes:
        raw["tagged"].delete_many({})
        tagged.insert_one({"_id": 1, "tag": "a"})
        write()
        assert raw["tagged"].find_one({"_id": 1}) == {"_id": 1, "tag": "b", "version": 1}
        with pytest.raises(integrity.IntegrityError) as refused:
            write()
        assert [each.code for each in refused.value.violations] == ["OWN005"]


def test_by_names_a_revision_too(db: Any) -> None:
    db[Tag].insert_one({"_id": 1, "code": "a"})
    tagged = db[Tagged]
    tagged.insert_one({"_id": 1, "tag": "a"})
    tagged.replace_one(tagged.by(id=1, version=0), {"tag": "a"})
    with pytest.raises(StaleDocument):
        tagged.replace_one(tagged.by(id=1, version=0), {"tag": "a"})


@pytest.mark.parametrize("upsert", [True, False])
def test_a_write_that_names_a_revision_brings_nothing_back(db: Any, upsert: bool) -> None:
    db[Tag].insert_one({"_id": 1, "code": "a"})
    writes: list[Callable[[], Any]] = [
        lambda: db[Tagged].update_one({"_id": 1, "version": 2}, {"$set": {"tag": "a"}}, upsert=upsert),
        lambda: db[Tagged].replace_one({"_id": 1, "version": 2}, {"tag": "a"}, upsert=upsert),
        lambda: db[Tagged].replace_one({"_id": 1}, {"tag": "a", "version": 2}, upsert=upsert),
    ]
    for write in writes:
        with pytest.raises(StaleDocument):
            write()
    assert db[Tagged].count_documents({}) == 0


def test_an_upsert_from_an_older_revision_is_stale_and_no_duplicate(db: Any) -> None:
    db[Tag].insert_one({"_id": 1, "code": "a"})
    db[Tagged].insert_one({"_id": 1, "tag": "a"})
    db[Tagged].update_one({"_id": 1}, {"$set": {"tag": "a"}})
    with pytest.raises(StaleDocument):
        db[Tagged].update_one({"_id": 1, "version": 0}, {"$set": {"tag": "a"}}, upsert=True)


def test_a_duplicate_names_its_value_when_it_is_replaced(raw: Database[Document]) -> None:
    class Person(Model, collection="persons"):
        id: int
        email: Annotated[str, Unique(case_insensitive=True)]

    persons = integrity.Database(raw, models=[Person])[Person]
    persons.insert_many([{"_id": 1, "email": "a@b.test"}, {"_id": 2, "email": "c@d.test"}])
    with pytest.raises(integrity.DuplicateValue, match=r"email: is 'A@B.test'"):
        persons.replace_one({"_id": 2}, {"email": "A@B.test"})


class Texts(TypeCodec):
    """An application's own: its decimals are stored as text."""

    python_type = Decimal
    bson_type = str

    def transform_python(self, value: Any) -> Any:
        return str(value)

    def transform_bson(self, value: Any) -> Any:
        return value


def test_what_an_upsert_takes_from_its_filter_is_judged_as_it_is_sent(
    client: MongoClient[Document], database_name: str
) -> None:
    options: CodecOptions[Document] = CodecOptions(type_registry=TypeRegistry([Texts()]))
    database = client.get_database(database_name, codec_options=options)
    items = integrity.Database(database, models=[Item])[Item]
    for act in (items.update_one, items.update_many, items.find_one_and_update):
        with pytest.raises(InvalidDocument):
            act({"_id": "a", "price": Decimal(5)}, {"$set": {"stock": 1}}, upsert=True)
    assert items.count_documents({}) == 0


def test_a_filter_that_names_a_field_twice_upserts_what_it_reads_as(
    client: MongoClient[Document], database_name: str
) -> None:
    class Lot(Model):
        stock: Annotated[int, Field(ge=0)]

    class Box(Model, collection="boxes"):
        id: int
        lot: Lot | None = None
        n: int = 0

    boxes = integrity.Database(client[database_name], models=[Box])[Box]
    bad, good = encode({"stock": -1}), encode({"stock": 1})
    twice = RawBSONDocument((len(bad) + len(good) - 5).to_bytes(4, "little") + bad[4:-1] + good[4:])
    with pytest.raises(UnguardedWrite, match="RawBSONDocument at 'lot'"):
        boxes.update_one({"_id": 1, "lot": twice}, {"$set": {"n": 1}}, upsert=True)
    first, last = encode({"_id": 1, "n": "x"}), encode({"n": 5})
    whole = RawBSONDocument((len(first) + len(last) - 5).to_bytes(4, "little") + first[4:-1] + last[4:])
    boxes.update_one(whole, {"$set": {"lot": {"stock": 1}}}, upsert=True)
    assert client[database_name].boxes.find_one({"n": {"$type": "string"}}) is None
    assert client[database_name].boxes.find_one({}) == {"_id": 1, "n": 5, "lot": {"stock": 1}}
