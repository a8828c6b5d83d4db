"""Whatever is declared and whatever is stored: the audit finds what plain Python finds, with the server and without."""

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import pytest
from bson import Decimal128, Int64, Regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options
from integrity.audit.pushdown import compiled
from integrity.declare.constraint import CopyOf, Ref, Unique
from integrity.declare.equality import key
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from tests.audit import generated
from tests.audit.conftest import Found, audited

SETTINGS = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def places(found: Found) -> dict[str, list[tuple[str, str]]]:
    by_id = defaultdict(list)
    for each in found.violations:
        by_id[repr(each.id)].append((each.code, each.path))
    return {id_: sorted(each) for id_, each in by_id.items()}


@settings(SETTINGS, max_examples=25)
@given(data=st.data())
def test_field_rules(database: Database[dict[str, Any]], data: st.DataObject) -> None:
    """The filter may over-report and never under-reports; Python's words are the same either way.

    Few examples: what each clause finds is shown in `tests.audit.test_pushdown`, and here what they find together.
    """
    spec = data.draw(generated.roots())
    documents = data.draw(st.lists(generated.documents(spec), min_size=1, max_size=25))
    model = generated.model("Generated", spec, collection="generated")
    database.generated.delete_many({})
    database.generated.insert_many([{"_id": index, **each} for index, each in enumerate(documents)])
    store = BlockingStore(database)
    pushed = audited(store, [model])
    read = audited(store, [model], Options(pushdown=False))
    assert (pushed.failure, read.failure) == (None, None)
    assert places(pushed) == places(read)
    assert sorted(map(repr, pushed.violations)) == sorted(map(repr, read.violations))
    found = places(read)
    for index, each in enumerate(documents):
        expected = generated.document_faults(spec, each)
        if generated.UNSURE in {code for code, _ in expected}:
            assert found[str(index)]
        else:
            assert found.get(str(index), []) == expected


class Parent(Model, collection="parents"):
    id: Any
    name: Any = None
    code: Annotated[Any, Unique()] = None


class Part(Model):
    to: Annotated[Any, Ref(Parent)] = None
    name: Annotated[str | None, CopyOf(Parent, "name", via="to")] = None


class Child(Model, collection="children", constraints=[Unique("x", "y")]):
    id: int
    to: Annotated[Any, Ref(Parent)] = None
    code: Annotated[Any, Ref(Parent, field="code")] = None
    many: list[Annotated[Any, Ref(Parent)]] | None = None
    name: Annotated[str | None, CopyOf(Parent, "name", via="to")] = None
    part: Part | None = None
    parts: list[Part] | None = None
    x: Any = None
    y: Any = None


KEYS = st.sampled_from([None, 1, 2, Int64(3), 2.0, "1", "2", "a", "A", "b", True, {"k": 1}, generated.DAY])
NAMES = st.sampled_from([None, "Ann", "Bob"])
PARTS = st.fixed_dictionaries({}, optional={"to": KEYS, "name": NAMES})
CHILDREN = st.fixed_dictionaries(
    {},
    optional={
        "to": KEYS, "code": KEYS, "name": NAMES, "part": PARTS.filter(bool), "x": KEYS, "y": KEYS,
        "many": st.lists(KEYS, min_size=1, max_size=3), "parts": st.lists(PARTS.filter(bool), min_size=1, max_size=3),
    },
)  # fmt: skip
PARENTS = st.fixed_dictionaries({"_id": KEYS}, optional={"name": NAMES, "code": KEYS})


def plain(value: Any) -> Any:
    """A value as MongoDB compares it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (type(value).__name__, repr(value))
    return ("number", float(value)) if not math.isnan(value) else ("number", "nan")


def alike(value: Any) -> list[Any]:
    """What is written alike in another type."""
    if isinstance(value, str) and value.isdigit():
        return [int(value)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [str(int(value))]
    return []


class Brute:
    """References, copies and duplicates by the rules' text, over everything in memory."""

    def __init__(self, parents: list[dict[str, Any]], children: list[dict[str, Any]]) -> None:
        self.by_id = {plain(each["_id"]): each for each in parents}
        self.codes = {plain(each["code"]) for each in parents if each.get("code") is not None}
        self.parents, self.children = parents, children

    def reference(self, value: Any, known: Any, path: str) -> list[tuple[str, str]]:
        if value is None or plain(value) in known:
            return []
        code = "REF002" if any(plain(other) in known for other in alike(value)) else "REF001"
        return [(code, path)]

    def copy(self, holder: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
        to = holder.get("to")
        if to is None or plain(to) not in self.by_id:
            return []
        owner = self.by_id[plain(to)]
        return [] if owner.get("name") == holder.get("name") else [("OWN001", f"{prefix}name")]

    def child(self, child: dict[str, Any]) -> list[tuple[str, str]]:
        found = self.reference(child.get("to"), self.by_id, "to")
        found += self.reference(child.get("code"), self.codes, "code")
        for index, each in enumerate(child.get("many") or []):
            found += self.reference(each, self.by_id, f"many.{index}")
        found += self.copy(child, "")
        holders = [("part.", child["part"])] if child.get("part") else []
        holders += [(f"parts.{index}.", each) for index, each in enumerate(child.get("parts") or [])]
        for prefix, holder in holders:
            found += self.reference(holder.get("to"), self.by_id, f"{prefix}to") + self.copy(holder, prefix)
        if child.get("x") is not None and child.get("y") is not None:
            same = [
                each
                for each in self.children
                if each.get("x") is not None
                and each.get("y") is not None
                and (plain(each["x"]), plain(each["y"])) == (plain(child["x"]), plain(child["y"]))
            ]
            if len(same) > 1:
                found.append(("UNQ001", "x, y"))
        return found

    def expected(self) -> dict[str, list[tuple[str, str]]]:
        found = {repr(each["_id"]): sorted(self.child(each)) for each in self.children}
        return {id_: each for id_, each in found.items() if each}


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Database[dict[str, Any]]]:
    """A database of the test's own, and one with indexes beside it."""
    yield client[database_name]
    client.drop_database(f"{database_name}_indexed")


@SETTINGS
@given(
    parents=st.lists(PARENTS, max_size=6, unique_by=lambda each: repr(plain(each["_id"]))),
    children=st.lists(CHILDREN, min_size=1, max_size=8),
    indexed=st.booleans(),
    size=st.integers(1, 9),
)
def test_references_copies_and_duplicates(
    database: Database[dict[str, Any]],
    client: MongoClient[dict[str, Any]],
    parents: list[dict[str, Any]],
    children: list[dict[str, Any]],
    indexed: bool,
    size: int,
) -> None:
    """Small partitions, with an index on the references and without."""
    children = [{"_id": index, **each} for index, each in enumerate(children)]
    # With indexes on the references or without: two databases, since to make an index takes longer than the rest.
    database = client[f"{database.name}{'_indexed' if indexed else ''}"]
    if "children" not in database.list_collection_names():
        database.create_collection("children")
        database.create_collection("parents")
        if indexed:
            database.children.create_index("to")
            database.children.create_index([("part.to", -1), ("x", 1)])
            database.children.create_index("many")
    database.parents.delete_many({})
    database.children.delete_many({})
    if parents:
        database.parents.insert_many([dict(each) for each in parents])
    database.children.insert_many([dict(each) for each in children])
    store = BlockingStore(database)
    pushed = audited(store, [Parent, Child], Options(collections=("children",), partition=size))
    fetched = audited(store, [Parent, Child], Options(collections=("children",), suspects="client"))
    read = audited(store, [Parent, Child], Options(collections=("children",), pushdown=False))
    assert (pushed.failure, fetched.failure, read.failure) == (None, None, None)
    assert places(read) == Brute(parents, children).expected()
    assert sorted(map(repr, pushed.violations)) == sorted(map(repr, read.violations))
    assert sorted(map(repr, fetched.violations)) == sorted(map(repr, read.violations))


class Post(Model):
    to: Annotated[Any, Ref(Parent)] = None
    name: Annotated[str | int | float | bool | bytes | None, CopyOf(Parent, "name", via="to")] = None


class Mixed(Model, collection="mixed"):
    id: Any
    to: Annotated[Any, Ref(Parent)] = None
    name: Annotated[str | int | float | bool | bytes | None, CopyOf(Parent, "name", via="to")] = None
    post: Post | None = None


#: Equal to MongoDB and not the same, the same but for their type, and of structures that no copy has.
ODD = st.sampled_from([
    None, "Ann", "Bob", "", "1", 1, Int64(1), 1.0, 0, 0.0, -0.0, False, True, math.nan, b"1", generated.DAY, {"k": 1},
    {"k": 1.0}, [1], [], ["Ann"], Regex("1"), Decimal128("1"), Decimal128("1.0"), 2**53 + 1, 2.0**53,
])  # fmt: skip
LINKS = ODD | KEYS
POSTS = st.fixed_dictionaries({}, optional={"to": LINKS, "name": ODD}) | st.sampled_from([None, [], 1, [{"to": 1}]])
MIXED = st.permutations(["to", "name", "post"]).flatmap(
    lambda names: st.fixed_dictionaries(
        {"_id": LINKS.filter(lambda each: not isinstance(each, list | Regex))},
        optional={name: {"to": LINKS, "name": ODD, "post": POSTS}[name] for name in names},
    )
)


@settings(SETTINGS, max_examples=40)
@given(
    parents=st.lists(st.tuples(LINKS, ODD | st.just(generated.MISSING)), max_size=8),
    children=st.lists(MIXED, min_size=1, max_size=12, unique_by=lambda each: key(each["_id"])),
)
def test_copies_of_mixed_types(
    database: Database[dict[str, Any]], parents: list[tuple[Any, Any]], children: list[dict[str, Any]]
) -> None:
    """Looked for by the server, by the client and by Python: fields in any order, keys and copies of any type."""
    for name in ("parents", "mixed"):
        if name not in database.list_collection_names():
            database.create_collection(name)
        database[name].delete_many({})
    held = {key(id_): (id_, name) for id_, name in parents if not isinstance(id_, list | Regex)}
    if held:
        database.parents.insert_many(
            {"_id": id_} if name is generated.MISSING else {"_id": id_, "name": name} for id_, name in held.values()
        )
    database.mixed.insert_many([dict(each) for each in children])
    store = BlockingStore(database)
    for select in (("OWN",), ()):
        ways = (Options(suspects="client"), Options(suspects="server"), Options(pushdown=False))
        fetched, *others = [
            audited(store, [Parent, Mixed], replace(each, collections=("mixed",), select=select)) for each in ways
        ]
        assert fetched.failure is None
        for each in others:
            assert each.failure is None
            assert sorted(map(repr, each.violations)) == sorted(map(repr, fetched.violations))


class Town(Model, collection="towns"):
    id: int
    name: str | None = None


class Stop(Model, collection="stops"):
    id: int
    town: Annotated[int | None, Ref(Town)] = None
    name: Annotated[str | None, CopyOf(Town, "name", via="town")] = None


class Trip(Model, collection="trips"):
    id: int
    first: Annotated[int | None, Ref(Town)] = None
    stop: Stop | None = None
    last: Annotated[int, Ref(Town)]


TOWNS = st.sampled_from([None, 1, 2, 3, 7, Int64(2), 1.0, 7.0, "1", True, [1], [1, 7], [], {"k": 1}, math.nan])
STOPS = st.fixed_dictionaries({"_id": st.integers(0, 3)}, optional={"town": TOWNS, "name": NAMES})
TRIPS = st.fixed_dictionaries({}, optional={"first": TOWNS, "last": TOWNS, "stop": STOPS | st.just([{"town": 7}])})


@SETTINGS
@given(
    towns=st.lists(st.sampled_from([1, 2, Int64(3)]), max_size=3, unique=True),
    trips=st.lists(TRIPS, min_size=6, max_size=10),
)
def test_single_references_to_a_small_collection(
    database: Database[dict[str, Any]], towns: list[int], trips: list[dict[str, Any]]
) -> None:
    """The server is asked for the documents that have none of its ids; with and without that, the same is found."""
    for name in ("towns", "trips", "stops"):
        if name not in database.list_collection_names():
            database.create_collection(name)
        database[name].delete_many({})
    if towns:
        database.towns.insert_many([{"_id": each, "name": "Ann"} for each in towns])
    database.trips.insert_many([{"_id": index, **each} for index, each in enumerate(trips)])
    store, models = BlockingStore(database), [Town, Stop, Trip]
    for select in ((), ("REF",), ("REF", "OWN")):
        pushed = audited(store, models, Options(collections=("trips",), select=select))
        fetched = audited(store, models, Options(collections=("trips",), select=select, suspects="client"))
        assert places(fetched) == places(pushed)
        read = audited(store, models, Options(collections=("trips",), select=select, pushdown=False))
        assert (pushed.failure, read.failure) == (None, None)
        assert places(pushed) == places(read)


def test_what_is_generated_is_decided_by_the_server_often_enough() -> None:
    """A differential of a planner that leaves everything to Python would prove nothing."""
    draw = random.Random(1)
    decided = 0
    for _ in range(50):
        kind = draw.choice(["int", "float", "str", "bool", "date"])
        spec = generated.Nested((("a", generated.Several(generated.Leaf(kind)), True),))
        plan = compiled(next(iter(Registry([generated.model("Some", spec, collection="some")]))))
        decided += plan.filter is not None and not plan.undecided and not plan.whole
    assert decided == 50
