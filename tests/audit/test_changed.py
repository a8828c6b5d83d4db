"""What the driver reads otherwise than it is stored, such as a field that is named twice, counts as seen too."""

import struct
from typing import Annotated, Any

import pytest
from bson import Code, DBRef, MinKey, ObjectId, encode
from bson.raw_bson import RawBSONDocument
from pydantic import Field
from pymongo.database import Database

from integrity.audit import Options
from integrity.audit.marks import since_last, standing
from integrity.audit.since import parsed
from integrity.declare.constraint import CopyOf, Ref, Unique
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.audit.conftest import Audit, audited

Raw = Database[dict[str, Any]]


class Part(Model, collection="parts"):
    id: Any
    n: int
    name: str = "x"


class Use(Model, collection="uses"):
    id: int
    part: Annotated[Any, Ref(Part)] = None
    name: Annotated[str | None, CopyOf(Part, "name", via="part")] = None


class Once(Model, collection="once", constraints=[Unique("two", "three")]):
    id: int
    v: Annotated[Any, Unique()] = None
    two: Any = None
    three: int | None = None
    many: list[Annotated[Any, Unique(nulls="equal")]] = Field(default_factory=list)


def document(*parts: bytes) -> RawBSONDocument:
    body = b"".join(parts)
    return RawBSONDocument(struct.pack("<i", len(body) + 5) + body + b"\0")


def named(name: bytes, element: bytes) -> bytes:
    """An element, its type and its value, under a name."""
    return element[:1] + name + b"\0" + element[1:]


def element(value: Any) -> bytes:
    return encode({"": value})[4:5] + encode({"": value})[6:-1]


def inner(*parts: bytes) -> bytes:
    return b"\x03" + bytes(document(*parts).raw)


TWICE = inner(named(b"a", element(1)), named(b"a", element(2)))
UNDEFINED = inner(b"\x06x\0")
POINTER = b"\x0c\x02\0\0\0c\0" + bytes(12)
DEEP = inner(named(b"o", TWICE))
READ = [{"a": 2}, {"x": None}, DBRef("c", ObjectId(bytes(12))), {"o": {"a": 2}}]
STORED = [TWICE, UNDEFINED, POINTER, DEEP]


def store(database: Raw, name: str, *documents: RawBSONDocument) -> None:
    database.command({"insert": name, "documents": list(documents)})


@pytest.mark.parametrize("partition", [None, 20])
def test_a_suspect_is_read_again_by_the_id_that_is_stored(check: Audit, database: Raw, partition: int | None) -> None:
    """And by what the driver made of it, where another document has that for its own."""
    store(database, "parts", *(document(named(b"_id", each), named(b"n", element("bad"))) for each in STORED))
    database.parts.insert_many(
        [{"_id": {"a": 2}, "n": 1}, {"_id": {"x": None}, "n": "bad"}, {"_id": {"b": 1}, "n": ""}]
    )
    database.parts.insert_many({"_id": n, "n": n} for n in range(200))
    found = check([Part], Options(partition=partition))
    assert found.complete
    expected = [("SCH001", each, "n") for each in (*READ, {"x": None})]
    assert found.places == sorted([*expected, ("EMP001", {"b": 1}, "n")], key=repr)


def test_what_is_new_is_read_again_by_the_id_that_is_stored(database: Raw) -> None:
    store(database, "parts", *(document(named(b"_id", each), named(b"n", element("bad"))) for each in STORED))
    database.parts.insert_many([{"_id": {"a": 2}, "n": 1}])
    found = audited(BlockingStore(database), [Part], Options(since=parsed("0")))
    assert found.places == sorted([("SCH001", each, "n") for each in READ], key=repr)


def test_what_a_change_stream_tells_of_is_read_by_the_id_that_is_stored(database: Raw) -> None:
    """And all that may refer to it."""
    stored, registry = BlockingStore(database), Registry([Part, Use])
    database.create_collection("parts")
    database.uses.insert_one({"_id": 1, "part": 5})
    mark = run(standing(stored, registry, Options()))
    store(database, "parts", *(document(named(b"_id", each), named(b"n", element("bad"))) for each in STORED))
    since = run(since_last(stored, registry, Options(), mark))
    found = audited(stored, [Part, Use], Options(since=since))
    assert found.places == sorted([("REF001", 1, "part"), *(("SCH001", each, "n") for each in READ)], key=repr)


def test_a_reference_to_what_is_read_otherwise_dangles(check: Audit, database: Raw) -> None:
    for n, each in enumerate((*STORED, element(Code("x")), element(MinKey()))):
        store(database, "uses", document(named(b"_id", element(n)), named(b"part", each)))
    found = check([Part, Use])
    assert found.places == [("REF001", n, "part") for n in range(6)]


def test_a_copy_by_a_reference_that_is_read_otherwise_is_compared(check: Audit, database: Raw) -> None:
    database.parts.insert_many([{"_id": each, "n": 1, "name": "x"} for each in ({"a": 2}, {"b": 1})])
    for n, (part, name) in enumerate([(TWICE, "x"), (TWICE, "y"), (element({"b": 1}), "y"), (element({"a": 2}), "y")]):
        store(
            database, "uses", document(named(b"_id", element(n)), named(b"part", part), named(b"name", element(name)))
        )
    found = check([Part, Use])
    assert found.places == [("OWN001", n, "name") for n in (1, 2, 3)]


def test_duplicates_of_what_is_read_otherwise_are_found(check: Audit, database: Raw) -> None:
    values = (*STORED, element(Code("x")), element(MinKey()), element({"$gt": 1}), element({"b": 1}))
    for n, each in enumerate(values):
        for m in (0, 1):
            pair = named(b"two", each), named(b"three", element(1))
            many = named(b"many", b"\x04" + bytes(document(named(b"0", each)).raw))
            store(database, "once", document(named(b"_id", element(2 * n + m)), named(b"v", each), *pair, many))
    found = check([Once])
    assert [place for place in found.places if place[2] == "v"] == [
        ("UNQ001", n, "v") for n in sorted(range(16), key=str)
    ]
    assert found.codes == {"UNQ001": 48}
