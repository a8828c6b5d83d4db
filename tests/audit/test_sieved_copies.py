"""Copies that are fetched as they are stored and compared by columns: what is told is true, and nothing is missed."""

import datetime as dt
import itertools
import math
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.errors import InvalidBSON
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options, Workers, Workplace, columns, describe, nearer, plan, plans, scan, stale, workers
from integrity.audit.pace import Pace
from integrity.audit.sieve import compared, owners
from integrity.audit.sieve.compared import Compared
from integrity.audit.sieve.page import Page
from integrity.audit.source import Source
from integrity.audit.targets import Targets
from integrity.audit.task import Task
from integrity.cli.models import registry
from integrity.declare.constraint import CopyOf, Ref, Unique
from integrity.declare.equality import key
from integrity.declare.equality import same as alike
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.audit.conftest import Found, audited
from tests.audit.shop import Box, Item

SHOP = str(Path(__file__).parent / "shop.py")
Scalar = str | int | float | bool | bytes | dt.datetime | Decimal | ObjectId | None


class Owner(Model, collection="owners"):
    id: Any
    name: Any = None
    code: Annotated[Any, Unique()] = None


class Seat(Model):
    to: Annotated[Any, Ref(Owner)] = None
    name: Annotated[Scalar, CopyOf(Owner, "name", via="to")] = None


class Child(Model, collection="children"):
    id: Any
    to: Annotated[Any, Ref(Owner)] = None
    name: Annotated[Scalar, CopyOf(Owner, "name", via="to")] = None


class Sitting(Model, collection="sittings"):
    id: Any
    seat: Seat | None = None


MISSING = object()
DAY = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as PyMongo reads it
#: Of every type: what is equal to MongoDB and of other bytes, what has the same bytes and is of another type, and all
#: that is read or grouped otherwise than it is stored.
VALUES: list[Any] = [
    MISSING, None, 5, Int64(5), 5.0, Decimal128("5"), Decimal128("5.0"), 0, 0.0, -0.0, Int64(0), False, True, 1,
    math.nan, math.inf, "5", "a", "A", "b", "", " ", "a\0b", "a\0c", "\u00e9", "e\u0301", b"a", Binary(b"a", 5),
    Binary(bytes(16), 4), Binary(bytes(16), 3), Binary(bytes(15), 4), ObjectId("0" * 24), ObjectId("0" * 23 + "1"),
    "0" * 24, DAY, Int64(1767225600000), Timestamp(1, 2), Timestamp(2, 1), {"a": 1}, {"a": 1.0}, {"b": 1}, {}, [], [1],
    ["a"], [None], Regex("a"), Regex("a", "i"), Code("a"), Code("a", {"b": 1}), MinKey(), MaxKey(), 2**53 + 1,
    float(2**53), Int64(2**53),
]  # fmt: skip
#: Double, string, binary, ObjectId, bool, date, int, timestamp, long, decimal.
PLAIN = {0x01, 0x02, 0x05, 0x07, 0x08, 0x09, 0x10, 0x11, 0x12, 0x13}
KEYS = [each for each in VALUES if each is not MISSING and not isinstance(each, list | Regex) and each != {"$a": 1}]


def document(**fields: Any) -> bytes:
    return bson.encode({name: each for name, each in fields.items() if each is not MISSING})


def told(parents: list[bytes], children: list[bytes], model: type[Model] = Child) -> list[bool]:
    """Of which children something is told, as they and their parents would be fetched: each a reply of its own."""
    copy = next(each for each in Registry([Owner, model]) if each.model is model).copies[0]
    looked = Compared(None, copy)  # type: ignore[arg-type]  # nothing is fetched
    for each in parents:
        assert run(looked._held(each))
    looked._owners.close()
    page = Page(b"".join(children))
    assert len(page.starts) == len(children)
    return looked.told(page).tolist()  # type: ignore[no-any-return]  # numpy's


def stored(value: Any) -> tuple[int, bytes]:
    """A value's type and bytes; null where there is none."""
    data = bson.encode({"": None if value is MISSING else value})
    return data[4], data[6:-1]


def test_of_what_has_the_owners_bytes_it_is_told_that_it_is_faithful_and_of_nothing_else() -> None:
    """Of each pair of an owner's value and a copy; what is told is what Python says of it."""
    pairs = list(itertools.product(VALUES, VALUES))
    found = told(
        [b"".join(document(_id=number, name=original) for number, (original, _) in enumerate(pairs))],
        [document(_id=0, to=number, name=value) for number, (_, value) in enumerate(pairs)],
    )
    for (original, value), faithful in zip(pairs, found, strict=True):
        plain = original is MISSING or original is None or stored(original)[0] in PLAIN
        assert faithful == (plain and stored(original) == stored(value)), (original, value)
        if faithful:
            read = [None if each is MISSING else bson.decode(bson.encode({"": each}))[""] for each in (original, value)]
            assert alike(*read)


@pytest.mark.parametrize("held", KEYS)
def test_a_reference_is_told_by_its_own_type_and_bytes(held: Any) -> None:
    found = told([document(_id=held, name="a")], [document(_id=0, to=each, name="a") for each in VALUES])
    for via, faithful in zip(VALUES, found, strict=True):
        nothing = via is MISSING or via is None
        own = stored(held)[0] in PLAIN and stored(held) == stored(via)
        assert faithful == (nothing or own), via
        if faithful and not nothing:
            assert key(held) == key(via)


@pytest.mark.parametrize("to", [None, MISSING])
def test_where_there_is_no_reference_there_is_nothing_to_copy(to: Any) -> None:
    found = told([], [document(_id=0, to=to, name=each) for each in VALUES])
    # But where nobody knows where the copy ends.
    assert found == [not isinstance(each, Regex) for each in VALUES]


def test_of_a_reference_that_leads_nowhere_nothing_is_told() -> None:
    assert told([], [document(_id=0, to=1, name="a")]) == [False]
    assert told([document(_id=1, name="a")], [document(_id=0, to=2, name="a")]) == [False]


@pytest.mark.parametrize("names", [("a", "b"), ("a", "a")])
def test_of_a_key_that_two_owners_have_nothing_is_told(names: tuple[str, str]) -> None:
    """As shards may have it: each sees to its own ids alone."""
    parents = [document(_id=1, name=names[0]), document(_id=2, name="b"), document(_id=1, name=names[1])]
    children = [document(_id=0, to=to, name=name) for to, name in [(1, "a"), (1, "b"), (2, "b"), (2, "a")]]
    assert told(parents, children) == [False, False, True, False]


def test_two_keys_with_one_number_are_not_taken_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "hashed", lambda column: column.lengths.astype("u8") % 4 << 62)
    parents = [document(_id=each, name=f"n{each}") for each in (1, 2, 3, 6)]
    children = [document(_id=0, to=to, name=f"n{name}") for to in range(8) for name in range(8)]
    # 2 and 6 have one number, and none of them is found; 5 and 7 have those of 1 and 3.
    expected = [to == name and to in {1, 3} for to in range(8) for name in range(8)]
    assert told(parents, children) == expected


def test_owners_whose_numbers_begin_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them in one part of what is looked through: those beyond the first few are not found."""
    monkeypatch.setattr(owners, "hashed", lambda column: column.lengths.astype("u8"))
    parents = [document(_id=each, name=f"n{each}") for each in range(100)]
    children = [document(_id=0, to=to, name=f"n{name}") for to in range(110) for name in (to, to + 1)]
    found = told(parents, children)
    assert any(found)
    assert not any(found[1::2])
    assert not any(found[2 * owners._ALIKE + 2 :])


LENGTHS = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 18, 19, 20, 21, 100]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("make", [str, str.encode])
def test_values_that_differ_in_one_byte_are_told_apart(length: int, make: Any) -> None:
    """Words of eight bytes are compared: a difference in any of them counts, and what follows a value does not."""
    whole = "x" * length
    others = [f"{whole[:at]}y{whole[at + 1 :]}" for at in range(length)] + [f"{whole}x", f"{whole}\0", whole[:-1]]
    others = [each for each in others if each != whole]
    parents = [document(_id=1, name=make(whole)), document(_id=make(whole), name="a")]
    children = [document(_id=number, to=1, name=make(each)) for number, each in enumerate(others)]
    children += [document(_id=number, to=make(each), name="a") for number, each in enumerate(others)]
    faithful = [document(_id=0, to=1, name=make(whole)), document(_id="zzz", to=make(whole), name="a")]
    assert told(parents, [*children, *faithful]) == [False] * len(children) + [True, True]


@pytest.mark.parametrize("kind", [Int64, float, lambda each: DAY + dt.timedelta(milliseconds=each)])
def test_numbers_that_differ_in_one_byte_are_told_apart(kind: Any) -> None:
    values = [kind(each) for each in (0, 1, 256, 2**20, 2**28)]
    parents = [document(_id=each, name=each) for each in values]
    pairs = list(itertools.product(values, values))
    children = [document(_id=0, to=to, name=name) for to, name in pairs]
    assert told(parents, children) == [to == name for to, name in pairs]


def test_what_is_long_is_left_to_python() -> None:
    long, longer = "x" * (owners._LONG - 5), "x" * (owners._LONG - 4)
    parents = [document(_id=1, name=long), document(_id=2, name=longer), document(_id=longer, name="a")]
    children = [(1, long), (2, longer), (1, longer), (longer, "a")]
    assert told(parents, [document(_id=0, to=to, name=name) for to, name in children]) == [True, False, False, False]


def raw(*fields: tuple[str, Any]) -> bytes:
    """A document with these fields in this order, also where a name comes twice."""
    inside = b"".join(bson.encode({name: each})[4:-1] for name, each in fields)
    return (len(inside) + 5).to_bytes(4, "little") + inside + b"\0"


def test_fields_are_found_in_any_order_and_documents_with_anything_else_are_odd() -> None:
    fields = [("_id", 1), ("to", 2), ("name", "a")]
    orders = list(itertools.permutations(fields))
    odd = [
        [*fields, ("name", "a")], [*fields, ("to", 2)], [*fields, ("other", 1)], [("nam", "a"), *fields],
        [*fields, ("namee", "a")], [("_id", 1), ("to", 2), ("na", 1), ("name", "a")], [*fields, ("", 1)],
        [*fields, ("name", Regex("a"))], [("to", 2), *fields],
    ]  # fmt: skip
    parents = [document(_id=2, name="a")]
    assert told(parents, [raw(*each) for each in [*orders, *odd]]) == [True] * len(orders) + [False] * len(odd)
    # Each first in its page: the order is the first document's.
    for each in orders:
        assert told(parents, [raw(*each), *(raw(*other) for other in orders)]) == [True] * (len(orders) + 1)
    for some in odd:
        assert told(parents, [raw(*some), raw(*fields)]) == [False, True]


def test_owners_with_a_field_twice_or_with_anything_else_are_not_held() -> None:
    some = [[("_id", 1), ("name", "a")], [("name", "a"), ("_id", 2)], [("_id", 3), ("name", "b"), ("name", "a")],
            [("_id", 4), ("name", "a"), ("other", 1)], [("_id", 5), ("name", "a"), ("name", "b")]]  # fmt: skip
    children = [document(_id=0, to=to, name=name) for to in range(1, 6) for name in "ab"]
    found = told([raw(*each) for each in some], children)
    assert found == [True, False, True, False, *[False] * 6]


def test_what_a_document_is_followed_by_is_no_part_of_it() -> None:
    """The length of the next one, were it read on, would be the name of the reference: it is "to", and zeros."""
    length = int.from_bytes(b"to", "little")
    following = document(_id=1, to=2, name="x" * (length - len(document(_id=1, to=2, name=""))))
    assert following.startswith(b"to\0\0")
    assert told([], [document(_id=1), following]) == [True, False]
    assert told([], [document(_id=1, name="a"), following, document(_id=2), following]) == [True, False, True, False]


def test_owners_come_in_several_replies() -> None:
    parents = [document(_id=at, name="x" * at) for at in range(9)]
    pairs = list(itertools.product(range(9), range(9)))
    children = [document(_id=0, to=to, name="x" * many) for to, many in pairs]
    for size in (1, 2, 4, 9):
        replies = [b"".join(parents[at : at + size]) for at in range(0, 9, size)]
        assert told(replies, children) == [to == many for to, many in pairs]


SEATS: list[tuple[Any, bool]] = [
    ({"to": 1, "name": "a"}, True), ({"name": "a", "to": 1}, True), ({"to": 1, "name": "b"}, False),
    ({"to": 1}, False), ({"to": 2}, True), ({"to": 2, "name": None}, True), ({"name": "a"}, True), ({}, True),
    (None, True), (MISSING, True), ([], False), ([{"to": 1, "name": "a"}], False), ("x", False), (5, False),
    ({"to": [1], "name": "a"}, False), ({"to": 1, "name": ["a"]}, False), ({"to": 1, "name": "a", "x": 1}, False),
    ({"to": {"to": 1}, "name": "a"}, False),
]  # fmt: skip


def test_fields_of_objects_are_found_and_those_in_arrays_are_left_to_python() -> None:
    parents = [document(_id=1, name="a"), document(_id=2)]
    for some in (SEATS, SEATS[::-1], [SEATS[-1], *SEATS]):
        children = [document(_id=0, seat=each) for each, _ in some]
        assert told(parents, children, Sitting) == [faithful for _, faithful in some]
    twice = raw(("_id", 1), ("seat", {"to": 1, "name": "a"}), ("seat", {"to": 1, "name": "b"}))
    assert told(parents, [twice], Sitting) == [False]


def broken(child: bytes) -> Iterator[bytes]:
    """A document with each of its bytes changed, as long as it was."""
    for at in range(4, len(child)):
        for value in (0, 1, 0x7F, 0xFF):
            yield child[:at] + bytes([value]) + child[at + 1 :]


def test_of_a_document_that_is_no_valid_bson_nothing_false_is_told() -> None:
    originals: dict[Any, Any] = {1: "abcd", 2: 7}
    parents = [document(_id=at, name=each) for at, each in originals.items()]
    for child in (document(_id=0, to=1, name="abcd"), document(_id="a", to=2, name=7)):
        for each in broken(child):
            (faithful, _) = told(parents, [each, document(_id=0, to=1, name="abcd")])
            if not faithful:
                continue
            try:
                read = bson.decode(each)
            except InvalidBSON:
                assert each.endswith(child[child.index(b"to\0") - 1 :])  # an _id that is no valid string, say
            else:
                original = originals.get(read.get("to"))
                assert read.get("to") is None or read.get("name") == original


class Fetching(BlockingStore):
    """A store that notes which collections are read as they are stored, and which are grouped."""

    fetched: list[str]
    grouped: list[str]

    def pages(self, collection: str, filter: Any = None, /, **options: Any) -> Any:
        self.fetched.append(collection)
        return super().pages(collection, filter, **options)

    async def aggregate(self, collection: str, pipeline: Any, /, **options: Any) -> Any:
        self.grouped.append(collection)
        return await super().aggregate(collection, pipeline, **options)

    def _like(self, other: Any) -> Any:
        other.fetched, other.grouped = self.fetched, self.grouped
        return super()._like(other)


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Database[dict[str, Any]]:
    """A database of the test's own, with the collections of all the models."""
    database = client[database_name]
    for each in ("owners", "children", "sittings"):
        database.create_collection(each)
    return database


@pytest.fixture
def store(database: Database[dict[str, Any]]) -> Fetching:
    found = Fetching(database)
    found.fetched, found.grouped = [], []
    return found


#: The client is forced to look for stale copies; the server; and Python, document by document.
WAYS = (Options(suspects="client"), Options(suspects="server"), Options(pushdown=False))
COPIES: dict[str, Any] = {"select": ("OWN",)}


def same(
    store: Fetching, models: list[type[Model]], *, fetched: bool = True, select: tuple[str, ...] = ("OWN",)
) -> Found:
    """Audit in all three ways: the findings are the same, each there once, and the client has looked for them."""
    store.fetched, store.grouped = [], []
    first, *others = [audited(store, models, replace(each, select=select)) for each in WAYS]
    names = {str(each.__integrity__.collection) for each in models} - {"owners", "people"}
    # The owners and the children; and the server's groups in the second audit alone.
    assert {each for each in store.fetched if each in names} == (names if fetched else set())
    assert (first.failure, first.complete) == (None, True)
    for other in others:
        assert (other.failure, other.complete) == (None, True)
        assert sorted(map(repr, other.violations)) == sorted(map(repr, first.violations))
        assert other.counts == first.counts
    assert len(set(map(repr, first.places))) == len(first.places)
    return first


def test_all_ways_find_the_same_of_every_pair_of_values(database: Database[dict[str, Any]], store: Fetching) -> None:
    """Each value of an owner with each copy, by references of the owner's own type and of another."""
    owned = [each for each in VALUES if not isinstance(each, list | dict | Regex)]
    rows = [(at, *each) for at, each in enumerate(itertools.product(owned, VALUES))]
    database.owners.insert_many(present(_id=at, name=original) for at, original, _ in rows)
    database.children.insert_many(present(_id=at, to=at, name=value) for at, _, value in rows)
    database.children.insert_many(
        present(_id=f"{at}", to=[float(at), Int64(at), str(at), -at][at % 4], name=value) for at, _, value in rows
    )
    found = same(store, [Owner, Child])
    assert found.codes["OWN001"] > 1000


def present(**fields: Any) -> dict[str, Any]:
    return {name: each for name, each in fields.items() if each is not MISSING}


def test_all_ways_find_the_same_by_keys_of_every_type(database: Database[dict[str, Any]], store: Fetching) -> None:
    """Only one of the keys that are equal to MongoDB can be there; all of them refer to it."""
    held = {key(each): each for each in KEYS if each is not None}
    database.owners.insert_many({"_id": each, "name": "a"} for each in held.values())
    pairs = list(itertools.product(VALUES, ["a", "b", None, MISSING]))
    database.children.insert_many(present(_id=at, to=to, name=name) for at, (to, name) in enumerate(pairs))
    found = same(store, [Owner, Child])
    assert found.codes["OWN001"] > 100


def test_all_ways_find_the_same_in_objects_and_arrays(database: Database[dict[str, Any]], store: Fetching) -> None:
    database.owners.insert_many([{"_id": 1, "name": "a"}, {"_id": 2}])
    database.sittings.insert_many(present(_id=at, seat=each) for at, (each, _) in enumerate(SEATS))
    found = same(store, [Owner, Sitting])
    assert found.places == [("OWN001", 2, "seat.name"), ("OWN001", 3, "seat.name")]


def test_all_ways_find_the_same_under_a_collation(database: Database[dict[str, Any]], store: Fetching) -> None:
    """Strings that the collections' own collation takes for equal are two keys, and two values."""
    collation = {"locale": "en", "strength": 1}
    for each in ("owners", "children"):
        database.drop_collection(each)
        database.create_collection(each, collation=collation)
    database.owners.insert_many([{"_id": "a", "name": "x"}, {"_id": "b", "name": "X"}])
    pairs = itertools.product(["a", "A", "b", "B", "\u00e1"], ["x", "X", "y"])
    database.children.insert_many({"_id": at, "to": to, "name": name} for at, (to, name) in enumerate(pairs))
    found = same(store, [Owner, Child])
    assert found.places == [("OWN001", at, "name") for at in (1, 2, 6, 8)]


def test_a_stale_copy_is_found_whatever_the_id_of_its_document(
    database: Database[dict[str, Any]], store: Fetching
) -> None:
    database.owners.insert_one({"_id": 1, "name": "a"})
    ids = {key(each): each for each in KEYS}.values()
    database.children.insert_many({"_id": each, "to": 1, "name": "b"} for each in ids)
    found = same(store, [Owner, Child])
    assert found.codes == {"OWN001": database.children.estimated_document_count()}


@pytest.fixture
def crowd(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """Owners, and three children of each: one has what it has, one in another type of number, one something else."""
    database.owners.insert_many({"_id": at, "name": f"n{at}"} for at in range(200))
    database.children.insert_many(
        {"_id": at, "to": float(at % 200) if at % 3 else at % 200, "name": f"n{at % 200 + (at % 3 == 2)}"}
        for at in range(600)
    )
    return database


def test_what_is_undecided_is_decided_some_at_a_time(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply has many of them here, and the owners are read as a whole when many have been asked for."""
    read: list[int] = []
    whole = Targets.read

    async def reading(targets: Targets) -> None:
        read.append(1)
        await whole(targets)

    monkeypatch.setattr(compared, "_REPLY", 50)
    monkeypatch.setattr(scan, "AGAIN", 40)
    monkeypatch.setattr(stale, "KEYS", 150)
    monkeypatch.setattr(Targets, "read", reading)
    found = same(store, [Owner, Child])
    assert found.codes == {"OWN001": 200}
    assert len(read) == 2  # in the first audit, and by the server's


@pytest.mark.parametrize("reply", [1, 2, 3, 7, 600, 601])
def test_replies_of_any_size_are_looked_through(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch, reply: int
) -> None:
    crowd.children.delete_many({"_id": {"$gte": 60}})
    monkeypatch.setattr(compared, "_REPLY", reply)
    found = same(store, [Owner, Child])
    assert [each.id for each in found.violations] == list(range(2, 60, 3))


def test_a_finding_is_confirmed_by_a_second_look(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stale.Stale.ids

    async def mended(self: Any, fetched: list[bytes]) -> list[Any]:
        found = await whole(self, fetched)
        crowd.children.update_one({"_id": 2}, {"$set": {"name": "n2"}})
        crowd.owners.update_one({"_id": 5}, {"$set": {"name": "n6"}})
        crowd.children.delete_one({"_id": 8})
        return found

    monkeypatch.setattr(stale.Stale, "ids", mended)
    found = audited(store, [Owner, Child], replace(WAYS[0], **COPIES))
    assert found.complete
    assert {each.id for each in found.violations} == set(range(11, 600, 3))


def test_owners_that_are_too_many_or_too_long_to_be_held_leave_the_pairs_to_the_server(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_BYTES", 1000)
    assert same(store, [Owner, Child], fetched=False).codes == {"OWN001": 200}
    assert store.fetched == ["owners"]
    monkeypatch.undo()
    monkeypatch.setattr("integrity.audit.targets._FEW", 100)
    assert same(store, [Owner, Child], fetched=False).codes == {"OWN001": 200}
    assert store.fetched == []


def test_without_numpy_the_server_lists_the_pairs(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a worker that has none, whatever was decided where the plan was made."""
    monkeypatch.setattr(scan, "columns", lambda: False)
    assert same(store, [Owner, Child], fetched=False).codes == {"OWN001": 200}
    monkeypatch.setattr(plan, "columns", lambda: False)
    assert same(store, [Owner, Child], fetched=False).codes == {"OWN001": 200}


def test_copies_that_are_equal_and_of_two_types_are_asked_for_each(
    database: Database[dict[str, Any]], store: Fetching
) -> None:
    """Both have other bytes than the owner: 5 is the same number as a long, and 5.0 is not."""
    database.owners.insert_one({"_id": 1, "name": Int64(5)})
    for values in ([5, 5.0], [5.0, 5]):
        database.children.delete_many({})
        database.children.insert_many({"_id": at, "to": 1, "name": each} for at, each in enumerate(values))
        assert same(store, [Owner, Child]).places == [("OWN001", [type(each) for each in values].index(float), "name")]


class Double(Model, collection="doubles"):
    id: int
    to: Annotated[Any, Ref(Owner)] = None
    name: Annotated[Scalar, CopyOf(Owner, "name", via="to")] = None
    code: Annotated[Scalar, CopyOf(Owner, "code", via="to")] = None


def test_each_copy_reports_what_is_its_own_and_nothing_else(
    database: Database[dict[str, Any]], store: Fetching
) -> None:
    """What else is wrong with a document that is read again is reported by others, once."""
    database.owners.insert_one({"_id": 1, "name": "a", "code": "c"})
    database.doubles.insert_many([
        {"_id": 0, "to": 1, "name": "b", "code": "d"}, {"_id": 1, "to": 1, "name": "", "code": "d", "other": 1},
        {"_id": 2, "to": 1, "name": "a", "code": "c"}, {"_id": 3, "to": 9, "name": "b"},
    ])  # fmt: skip
    found = same(store, [Owner, Double], select=())
    assert found.codes == {"OWN001": 3, "EMP001": 1, "SCH004": 1, "REF001": 1}


@pytest.mark.parametrize("sooner", [True, False])
def test_what_is_quicker_is_taken_where_nothing_is_asked_for(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch, sooner: bool
) -> None:
    tried: list[str] = []

    def quicker(ours: float, theirs: float) -> bool:
        assert 0 < ours < 60 > theirs > 0
        tried.extend([*store.fetched, *store.grouped])
        store.fetched, store.grouped = [], []
        return sooner

    crowd.children.delete_many({"_id": {"$mod": [3, 1]}})
    crowd.children.update_many({"_id": {"$mod": [3, 2]}}, [{"$set": {"to": {"$toInt": "$to"}}}])
    kept = crowd.children.delete_many({"_id": {"$gt": 100, "$mod": [3, 2]}})
    assert kept.deleted_count
    monkeypatch.setattr(plan, "LEAST", 1)
    monkeypatch.setattr(columns, "_LEAST", 1)
    monkeypatch.setattr(nearer, "_less", quicker)
    found = audited(store, [Owner, Child], Options(**COPIES))
    assert found.codes == {"OWN001": 33}
    assert tried == ["children"] * 6  # each way twice, and the groups once more: with their own way, and without
    # The owners; the first of the children, to see that something is told of them; all of them.
    assert store.fetched == (["owners", "children", "children"] if sooner else [])
    assert store.grouped == ([] if sooner else ["children"])


class Slow(Fetching):
    """A store over which one of the two ways takes long."""

    slow: str

    def pages(self, collection: str, filter: Any = None, /, **options: Any) -> Any:
        time.sleep(0.2 if self.slow == "pages" else 0)
        return super().pages(collection, filter, **options)

    async def aggregate(self, collection: str, pipeline: Any, /, **options: Any) -> Any:
        await self.sleep(0.2 if self.slow == "groups" else 0)
        return await super().aggregate(collection, pipeline, **options)

    def _like(self, other: Any) -> Any:
        other.slow = self.slow
        return super()._like(other)


@pytest.mark.parametrize(("slow", "expected"), [("pages", {0: "server"}), ("groups", {0: "client"})])
def test_the_slow_way_is_not_taken(
    crowd: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, slow: str, expected: dict[int, str]
) -> None:
    monkeypatch.setattr(plan, "LEAST", 1)
    monkeypatch.setattr(columns, "_LEAST", 1)
    store = Slow(crowd)
    store.fetched, store.grouped, store.slow = [], [], slow
    (made,) = run(plans(store, Registry([Owner, Child]), Options(collections=("children",), **COPIES)))
    assert [each.where for each in made.copies] == ["auto"]
    known = plan.Known(made.source, (("owners", "collection"), ("children", "collection")))
    taken = run(nearer.nearer(store, known, made, Options(**COPIES), Pace()))
    again = taken.plan(made.entry, Options(**COPIES))
    assert {number: each.where for number, each in enumerate(again.copies)} == expected


def test_where_most_is_undecided_the_server_lists_the_pairs_after_all(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thirds of the references are of another type here; nothing was reported before that was seen."""

    def quicker(*_: float) -> bool:
        store.fetched, store.grouped = [], []
        return True

    monkeypatch.setattr(plan, "LEAST", 1)
    monkeypatch.setattr(columns, "_LEAST", 1)
    monkeypatch.setattr(nearer, "_less", quicker)
    found = audited(store, [Owner, Child], Options(**COPIES))
    assert found.codes == {"OWN001": 200}
    assert (store.fetched, store.grouped) == (["owners", "children"], ["children"])


def test_the_plan_says_where_stale_copies_are_looked_for(
    crowd: Database[dict[str, Any]], store: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(**options: Any) -> str:
        (made,) = run(plans(store, Registry([Owner, Child]), Options(collections=("children",), **COPIES, **options)))
        return describe(made)

    server = "copy name: its values with those of to, each pair once; then owners.name by $in\n"
    here = "of every document, compared here by columns\n"
    assert shown().endswith(server)  # of so few it does not matter
    assert shown(suspects="server").endswith(server)
    assert shown(suspects="client").endswith(
        "copy name: its values with those of to, of every document as they are stored, compared here by columns\n"
        "    with owners.name; or, where owners is large, each pair once, with it by $in\n"
    )
    monkeypatch.setattr(plan, "LEAST", 1)
    monkeypatch.setattr(columns, "_LEAST", 1)
    assert shown().endswith(f"{server}    or, where owners is small and that is quicker, {here}")
    assert shown(suspects="server").endswith(server)
    monkeypatch.setattr(plan, "columns", lambda: False)
    assert shown().endswith(server)
    assert store.fetched == []


class Marked(Model, collection="marked"):
    """Copies that are left to the server: in an array, and of an owner that is found by another field."""

    id: int
    seats: list[Seat] | None = None
    code: Annotated[Any, Ref(Owner, field="code")] = None
    name: Annotated[Scalar, CopyOf(Owner, "name", via="code")] = None


def test_copies_in_arrays_and_of_owners_without_their_ids_are_left_to_the_server(
    database: Database[dict[str, Any]], store: Fetching
) -> None:
    database.owners.insert_many([{"_id": 1, "name": "a", "code": 7}, {"_id": 2, "name": "b", "code": 8}])
    database.marked.insert_many([
        {"_id": 0, "seats": [{"to": 1, "name": "a"}, {"to": 2, "name": "a"}]}, {"_id": 1, "code": 7, "name": "b"},
        {"_id": 2, "code": 8, "name": "b"},
    ])  # fmt: skip
    found = same(store, [Owner, Marked], fetched=False)
    assert found.places == [("OWN001", 0, "seats.1.name"), ("OWN001", 1, "name")]
    assert store.fetched == []
    (made,) = run(plans(store, Registry([Owner, Marked]), Options(collections=("marked",), suspects="client")))
    assert [each.where for each in made.copies] == ["server", "server"]


class Called(Model):
    first: Any = None


class Person(Model, collection="people"):
    id: int
    name: Called | None = None


class Twin(Model, collection="twins"):
    """Its own id is its reference, and it copies what is nested."""

    id: Annotated[int, Ref(Person)]
    inside: Annotated[Scalar, CopyOf(Person, "name.first", via="id")] = None


def test_an_id_that_is_a_reference_and_a_copy_of_what_is_nested(
    database: Database[dict[str, Any]], store: Fetching
) -> None:
    names: list[Any] = [{"first": "a"}, {"first": "b", "other": 1}, {"other": 1}, None, {}, "a", ["a"], {"first": None}]
    database.people.insert_many({"_id": at, "name": each} for at, each in enumerate(names))
    database.people.insert_one({"_id": len(names)})
    for copies in ("a", "b", None):
        database.drop_collection("twins")
        database.twins.insert_many({"_id": at, "inside": copies} for at in range(len(names) + 1))
        found = same(store, [Person, Twin])
        own = {"a": {0}, "b": {1}, None: {2, 3, 4, 5, 6, 7, 8}}[copies]
        assert {each.id for each in found.violations} == set(range(len(names) + 1)) - own


@pytest.fixture
def shop(client: MongoClient[dict[str, Any]], database_name: str) -> Database[dict[str, Any]]:
    database = client[database_name]
    database.items.insert_many({"_id": at, "code": f"c{at}", "size": 1} for at in range(300))
    database.boxes.insert_many({"_id": at, "item": at, "code": f"c{at}" if at % 5 else "stale"} for at in range(300))
    return database


def test_workers_compare_where_it_was_decided_and_without_numpy_let_the_server_list_the_pairs(
    shop: Database[dict[str, Any]], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workplace(registry, SHOP, uri, shop.name)
    expected = audited(BlockingStore(shop), [Item, Box], replace(WAYS[1], **COPIES))
    assert expected.codes == {"OWN001": 60}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        how = replace(WAYS[0], **COPIES)
        assert audited(BlockingStore(shop), [Item, Box], how, workers=Workers(pool, place)).places == expected.places
    # In this process, to see what it does: threads would share what is patched here.
    opened: list[int] = []

    async def read(self: Compared) -> bool:
        opened.append(1)
        return await whole(self)

    whole = Compared.read
    monkeypatch.setattr(Compared, "read", read)
    for decided, there in itertools.product([frozenset({0}), frozenset[int](), None], [True, False]):
        monkeypatch.setattr(scan, "columns", lambda there=there: there)
        entry = Registry([Item, Box]).by_collection("boxes")
        assert entry is not None
        known = plan.Known(Source("boxes", documents=300), (("items", "collection"),), compared=decided)
        found, _, _ = workers.work(place, known, Task("boxes", "copy", 0), Options(**COPIES))
        assert sorted(each.id for each in found) == list(range(0, 300, 5))
        assert opened == ([1] if decided and there else [])
        opened.clear()
