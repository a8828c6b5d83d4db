"""What the driver refuses to decode is judged like any other value, and hides nothing beside it."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import pymongo
import pytest
from bson import Binary, encode
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.database import Database

import integrity
from integrity.audit import Options, State, Workers, Workplace
from integrity.audit.plan import planned
from integrity.audit.since import parsed
from integrity.audit.source import Source
from integrity.declare.constraint import CopyOf, Ref, Unique
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.registry import Registry
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.motor import MotorStore
from tests.audit.conftest import Audit, audited

#: The audit then says that it has not seen the document.
DECODES = pytest.mark.skipif(
    pymongo.version_tuple < (4, 20), reason="PyMongo before 4.20 refuses such a binary, whatever its codec is told"
)


class Key(Model, collection="keys"):
    id: uuid.UUID
    name: str


class Lock(Model, collection="locks"):
    id: Any
    key: Annotated[uuid.UUID, Ref(Key)]
    serial: Annotated[uuid.UUID | None, Unique()] = None
    name: Annotated[str | None, CopyOf(Key, "name", via="key")] = None
    size: int = 0


Raw = Database[dict[str, Any]]
MODELS: list[type[Model]] = [Key, Lock]
KEYS = [uuid.UUID(int=n) for n in range(20)]
SHORT = Binary(b"short", 4)


def registry(_: str) -> Registry:
    return Registry(MODELS)


def stored(**values: Any) -> RawBSONDocument:
    return RawBSONDocument(encode(values, codec_options=CodecOptions(uuid_representation=4)))


def broken(these: bytes, those: bytes, /, **values: Any) -> RawBSONDocument:
    """A document with some of its bytes changed to others."""
    return RawBSONDocument(bytes(stored(**values).raw).replace(these, those))


@pytest.fixture
def doors(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """Keys and locks without a fault."""
    database["keys"].insert_many(stored(_id=each, name=f"k{n}") for n, each in enumerate(KEYS))
    database.locks.insert_many(
        stored(_id=n, key=each, serial=each, name=f"k{n}", size=1) for n, each in enumerate(KEYS)
    )
    return database


@DECODES
def test_a_binary_that_is_no_uuid_has_a_wrong_type_and_hides_nothing(
    check: Audit, doors: Database[dict[str, Any]]
) -> None:
    """As a declared field, a reference, an ``_id``, an undeclared field, and twice where it has to be unique."""
    doors["keys"].insert_one(stored(_id=SHORT, name=""))
    doors.locks.insert_many([
        stored(_id="field", key=KEYS[0], serial=SHORT, name="k0", size=1),
        stored(_id="twice", key=KEYS[0], serial=SHORT, name="stale", size="x"),
        stored(_id="reference", key=SHORT, name="k0", size=1),
        stored(_id="other type", key=KEYS[0], name="k0", size=SHORT),
        stored(_id="undeclared", key=KEYS[0], name="k0", size=1, more=Binary(b"", 4)),
        stored(_id=SHORT, key=uuid.UUID(int=99), size=1),
    ])  # fmt: skip
    found = check(MODELS)
    assert found.complete
    assert {each for each in found.places if each[1] != SHORT} == {
        ("SCH001", "field", "serial"),
        ("SCH001", "twice", "serial"),
        ("SCH001", "twice", "size"),
        ("OWN001", "twice", "name"),
        ("SCH001", "reference", "key"),
        ("SCH001", "other type", "size"),
        ("SCH004", "undeclared", "more"),
    }
    assert {(each[0], each[2]) for each in found.places if each[1] == SHORT} == {
        ("SCH001", "_id"), ("EMP001", "name"), ("REF001", "key"),
    }  # fmt: skip


@DECODES
def test_every_reply_of_many_is_decoded(check: Audit, doors: Database[dict[str, Any]]) -> None:
    """The reply that is refused is not the first one, and what lies in it and after it is judged."""
    doors.locks.insert_many(
        stored(_id=1000 + n, key=KEYS[n % 20], name=f"k{n % 20}", size=SHORT if n % 1000 == 7 else 1)
        for n in range(4000)
    )
    assert check(MODELS).codes == {"SCH001": 4}


@DECODES
def test_it_is_found_by_tasks_elsewhere_and_gone_on_with(
    doors: Database[dict[str, Any]], uri: str, tmp_path: Path
) -> None:
    """Partitions between UUIDs and what is none are kept in a state, and run by workers."""
    doors["keys"].insert_many(stored(_id=Binary(bytes([n]), 4), name="") for n in range(30))
    with State(tmp_path / "state") as state, ThreadPoolExecutor(2) as pool:
        how = {"state": state, "workers": Workers(pool, Workplace(registry, "", uri, doors.name))}
        found = audited(BlockingStore(doors), MODELS, Options(partition=3), **how)
    assert found.complete
    assert found.codes == {"SCH001": 30, "EMP001": 30}


@pytest.mark.parametrize("length", [1, 5000])
def test_what_nobody_can_decode_is_named(doors: Database[dict[str, Any]], length: int) -> None:
    """The obsolete subtype 2 holds its length once more; a wrong one ends the reading, in a sentence with the _id."""
    odd = broken(b"\x02\x03\0\0\0abc", b"\x02\x09\0\0\0abc", _id="odd", size=Binary(b"abc", 2), name="x" * length)
    doors.locks.insert_one(odd)
    found = audited(BlockingStore(doors), MODELS)
    assert not found.complete
    assert "the document with the _id 'odd' of 'locks' is no valid BSON" in str(found.failure)


def test_a_name_that_is_no_utf8_is_an_undeclared_field(check: Audit, doors: Database[dict[str, Any]]) -> None:
    """It is told with its bytes escaped: nobody could print it."""
    doors.locks.insert_one(broken(b"##", b"\xff\xfe", _id="odd", key=KEYS[0], name="k0", size=1.5, **{"##": 1}))
    assert check(MODELS).places == [("SCH001", "odd", "size"), ("SCH004", "odd", r"\udcff\udcfe")]


class Lid(Model, extra="allow"):
    size: int | None = None


class Chest(Model, collection="chests", extra="allow"):
    id: int
    size: int = 1
    lid: Lid | None = None
    lids: list[Lid] | None = None


class Trunk(Model, collection="chests", extra="allow"):
    """Python is asked for one place, and the server for the rest."""

    id: int
    size: int | str = 1
    lid: Lid | None = None
    lids: list[Lid] | None = None


@pytest.mark.parametrize("model", [Chest, Trunk])
def test_a_name_that_is_no_utf8_is_found_where_any_name_is_let_in(check: Audit, database: Raw, model: Any) -> None:
    """No command holds it. What stands inside an undeclared field is not looked into."""
    odd: list[dict[str, Any]] = [{"##": 1}, {"lid": {"##": 1}}, {"lids": [{"size": 1}, {"more": 1, "a##": 1}]}]
    odd += [{"size": 1.5, "##": "x", "more": {"##": 1}}, {"more": {"##": 1}}, {"more": ["##"], "m\u00e9\u4e2d": 1}]
    for n, values in enumerate(odd):
        database.chests.insert_one(broken(b"##", b"\xff\xfe", _id=n, **values))
    found = check([model])
    name = r"\udcff\udcfe"
    assert found.places == [
        ("SCH001", 3, "size"), ("SCH004", 0, name), ("SCH004", 1, f"lid.{name}"), ("SCH004", 2, f"lids.1.a{name}"),
        ("SCH004", 3, name),
    ]  # fmt: skip
    assert {each.message for each in found.violations if each.code == "SCH004"} == {
        "has a name that is no valid UTF-8."
    }


@pytest.mark.parametrize(("select", "looked"), [((), True), (("SCH004",), True), (("SCH001",), False)])
def test_names_are_looked_for_where_their_rule_is_asked_for(
    check: Audit, database: Raw, select: tuple[str, ...], looked: bool
) -> None:
    """Of all that the server decides of a model that lets in any name, this takes the most."""
    database.chests.insert_one(broken(b"##", b"\xff\xfe", _id=1, **{"##": 1}))
    database.chests.insert_one({"_id": 2, "size": 1.5})
    found = check([Trunk], Options(select=select))
    assert [each.id for each in found.violations] == [
        each for each, there in ((1, looked), (2, "SCH004" not in select)) if there
    ]
    (entry,) = Registry([Trunk])
    plan = planned(entry, Source("chests"), Options(select=select), {"chests": "collection"})
    assert ("patternProperties" in str(plan.fields)) is looked


class Loose(Model, collection="loose"):
    id: int
    any: Any = None
    some: list[Any] | None = None


class Free(Model, collection="free", policy=Policy(frozenset(), allow_empty_strings=True, allow_white_space=True)):
    id: int
    must: str
    may: str | None = None
    many: list[str] | None = None


def test_a_string_that_is_no_utf8_is_found_where_every_string_is_valid(check: Audit, database: Raw) -> None:
    anything: list[dict[str, Any]] = [{"any": "ab##"}, {"some": ["ok", "ab##"]}, {"any": "ok", "some": ["ok", 1]}]
    for n, values in enumerate(anything):
        database.loose.insert_one(broken(b"##", b"\xff\xfe", _id=n, **values))
    strings: list[dict[str, Any]] = [{"must": "ab##"}, {"must": "", "may": "ab##"}, {"must": "", "many": ["", "ab##"]}]
    strings += [{"must": " ", "may": "", "many": ["", " "]}, {"must": 1, "may": ["a"]}]
    for n, values in enumerate(strings):
        database.free.insert_one(broken(b"##", b"\xff\xfe", _id=n, **values))
    assert check([Loose]).places == [("SCH003", 0, "any"), ("SCH003", 1, "some.1")]
    wrong = [("SCH001", 4, "may"), ("SCH001", 4, "must")]
    assert check([Free]).places == [*wrong, ("SCH003", 0, "must"), ("SCH003", 1, "may"), ("SCH003", 2, "many.1")]


def test_an_id_that_is_no_utf8_is_named(doors: Database[dict[str, Any]]) -> None:
    """It cannot be asked for; the other collections are read."""
    doors["keys"].insert_one(broken(b"##", b"\xff\xfe", _id="##", name=""))
    doors.locks.insert_one(stored(_id="x", key=KEYS[0], name="k0", size="x"))
    found = audited(BlockingStore(doors), MODELS)
    assert not found.complete
    assert "Reading 'keys' ended after" in str(found.failure)
    assert "a string in it is no valid UTF-8" in str(found.failure)
    assert ("SCH001", "x", "size") in found.places


@DECODES
def test_an_application_reads_it_as_the_driver_would(doors: Database[dict[str, Any]], uri: str) -> None:
    """By its own options: as a Binary where it never spoke of UUIDs, and as the driver's refusal where it did."""
    doors["keys"].insert_one(stored(_id=SHORT, name="odd"))
    with MongoClient[dict[str, Any]](uri) as plain:
        keys = integrity.Database(plain[doors.name], models=MODELS)[Key]
        read = {each["_id"] for each in keys.find({})}
        assert read == {*KEYS, SHORT}
        assert (keys.find_one({"name": "odd"}) or {})["_id"] == SHORT
        assert SHORT in [each["_id"] for each in keys.aggregate([{"$match": {}}])]
    with MongoClient[dict[str, Any]](uri, uuidRepresentation="standard") as told:
        keys = integrity.Database(told[doors.name], models=MODELS)[Key]
        with pytest.raises(InvalidBSON, match="cannot decode a uuid from a 5-byte payload"):
            list(keys.find({}))


@DECODES
@pytest.mark.parametrize("driver", [AsyncMongoClient, AsyncIOMotorClient])
async def test_an_asynchronous_store_reads_it_too(doors: Database[dict[str, Any]], uri: str, driver: Any) -> None:
    """Through a cursor, a pipeline in one reply or in several, and a single read."""
    doors["keys"].insert_one(stored(_id=SHORT, name="odd"))
    client = driver(uri)
    store = (AsyncStore if driver is AsyncMongoClient else MotorStore)(client[doors.name])
    batches = [store.find("keys", {}), await store.aggregate("keys", [])]
    batches += [await store.aggregate("keys", [{"$sort": {"name": order}}], batchSize=2) for order in (1, -1)]
    read = [[*await each.next(3), *await each.next()] for each in batches]
    assert [{each["_id"] for each in some} for some in read] == [{*KEYS, SHORT}] * 4
    assert [len(each) for each in read] == [21] * 4
    assert (await store.find_one("keys", {"name": "odd"}) or {})["_id"] == SHORT
    if (closing := client.close()) is not None:
        await closing


class Plate(Model, collection="plates"):
    id: int
    number: Annotated[str | None, Unique()] = None
    name: Annotated[str | None, Unique(case_insensitive=True)] = None


@pytest.mark.parametrize("options", [Options(), Options(pushdown=False), Options(since=parsed("-1"))])
@pytest.mark.parametrize("field", ["number", "name"])
@pytest.mark.parametrize("many", [1, 2])
def test_what_is_no_utf8_is_no_duplicate(database: Raw, options: Options, field: str, many: int) -> None:
    """It is at fault itself, and nothing can be asked for by it: that ended the audit of what is new."""
    database.plates.insert_many(broken(b"BAD", b"B\xffD", _id=n, **{field: "BAD"}) for n in range(many))
    database.plates.insert_many({"_id": n, field: f"\u00e9{n}"} for n in range(5, 9))
    found = audited(BlockingStore(database), [Plate], options)
    assert found.failure is None
    assert found.places == [("SCH003", n, field) for n in range(many)]


class Van(Model, collection="vans"):
    id: int
    plate: Annotated[str | None, Ref("Tag")] = None
    label: Annotated[str | None, CopyOf("Tag", "label", via="plate")] = None


class Tag(Model, collection="tags"):
    id: str
    label: str


@pytest.mark.parametrize("tags", [1, 50])
@pytest.mark.parametrize("options", [Options(), Options(pushdown=False), Options(since=parsed("-1"))])
def test_a_reference_that_is_no_utf8_hides_no_other(database: Raw, options: Options, tags: int) -> None:
    """Few targets are read, and many are asked for: by a string that is none, neither is possible."""
    database.tags.insert_many({"_id": f"t{n}", "label": "a"} for n in range(tags))
    database.vans.insert_one({"_id": 0, "plate": "t0", "label": "b"})
    database.vans.insert_many(broken(b"BAD", b"B\xffD", _id=n, plate="BAD", label="a") for n in (1, 2))
    database.vans.insert_many({"_id": n, "plate": "none"} for n in range(3, 9))
    found = audited(BlockingStore(database), [Van, Tag], options)
    assert found.failure is None
    dangling = [("REF001", n, "plate") for n in range(3, 9)]
    assert found.places == [("OWN001", 0, "label"), *dangling, ("SCH003", 1, "plate"), ("SCH003", 2, "plate")]
