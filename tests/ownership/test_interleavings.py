"""Every order of an owner's change and a copy's write, on the real server, and a crash at every step of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity import CopyOf, Model, Ref
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes import insert_one
from integrity.writes.copies import recording, sync
from integrity.writes.references import Protocol
from tests.references import scenes
from tests.references.scenes import Operation, insert, registry_of, scene, update
from tests.references.scheduler import Actor, Clock, Explored, Scene, Violated, explore


class Author(Model, collection="parents"):
    id: int
    name: str


class Book(Model, collection="books"):
    id: int
    author_id: Annotated[int, Ref(Author)]
    author: Annotated[str, CopyOf(Author, "name", via="author_id")]


AUTHORS = [{"_id": 1, "name": "Ada"}, {"_id": 2, "name": "Bob"}]
BOOK = {"_id": 7, "author_id": 1, "author": "Ada"}
RENAMED = update(Author, {"_id": 1}, {"$set": {"name": "Ada L."}})

PAIRS: dict[str, tuple[list[dict[str, Any]], Operation, Operation]] = {
    "change, insert": ([BOOK], RENAMED, insert(Book, {"_id": 1, "author_id": 1})),
    "change, re-parent": (
        [BOOK, {"_id": 8, "author_id": 2, "author": "Bob"}],
        RENAMED,
        update(Book, {"_id": 8}, {"$set": {"author_id": 1}}),
    ),
    "change alone": ([BOOK], RENAMED, update(Author, {"_id": 3}, {"$set": {"name": "Nobody"}})),
    "change, change": ([BOOK], RENAMED, update(Author, {"_id": 1}, {"$set": {"name": "A."}})),
    "change, change back": ([BOOK], RENAMED, update(Author, {"_id": 1}, {"$set": {"name": "Ada"}})),
}


def made(database: Database[Any], name: str, mode: str, limits: tuple[int, int]) -> Scene:
    books, first, second = PAIRS[name]
    registry = registry_of(Author, Book)

    found = scene(
        database,
        transactional=True,
        modes=(mode, mode),
        start={"parents": AUTHORS, "books": books, "integrity.refreshes": []},
        operations=(_with(first, limits[0]), _with(second, limits[1])),
        models=[Author, Book],
    )

    def recovered(clock: Clock) -> None:
        found.recover(clock)
        store = BlockingStore(database)
        of = scenes.guards(store, registry, "auto", clock, 6)
        run(sync(of.copies, store))
        assert not list(database["integrity.refreshes"].find())

    def check(one: Actor, other: Actor) -> None:
        found.check(one, other)
        names = {each["_id"]: each["name"] for each in database["parents"].find()}
        stale = [each for each in database["books"].find() if each["author"] != names[each["author_id"]]]
        left = database["integrity.refreshes"].count_documents({})
        # Until somebody has come by, what a crash has left is at least recorded.
        assert not stale or (left and (one.dead or other.dead)), f"stale: {stale}"

    watched = [*found.watched, "integrity.refreshes"]
    return replace(found, check=check, recover=recovered, watched=watched)


def _with(operation: Operation, limit: int) -> Operation:
    async def limited(guard: Any) -> Any:
        guard(Author).copies.limit = limit
        return await operation(guard)

    return limited


def tried(
    client: MongoClient[Any],
    database: str,
    name: str,
    *,
    mode: str,
    limits: tuple[int, int] = (1000, 1000),
    crashes: bool = False,
    runs: int | None = None,
    part: int = 1,
) -> Explored:
    """Try a pair, and say how much was tried."""
    found = explore(made(client[database], name, mode, limits), crashes=crashes, runs=runs, part=part)
    sys.stderr.write(f"\n{name}, {mode}, limits {limits}: {found}\n")  # the number of schedules is part of the evidence
    return found


#: Those that take seconds, a sample of their orders; `benchmarks/torture_copies.py` tries all orders of all pairs, with
#: every crash, in batches too.
QUICK = ["change, insert"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", QUICK)
def test_no_order_leaves_a_stale_copy(client: MongoClient[dict[str, Any]], database_name: str, name: str) -> None:
    assert tried(client, database_name, name, mode="pinned", runs=90).schedules > 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_crash_between_batches_is_made_up_for(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    found = tried(client, database_name, "change alone", mode="pinned", limits=(0, 0), crashes=True, runs=40, part=4)
    assert found.crashes > 10


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not pin."""


async def _as_judged(_: Any, verdicts: Any, __: Any) -> Any:
    return list(verdicts)


async def _forgotten(store: Any, record: Any, session: Any) -> bool:
    await store.delete_one("integrity.refreshes", {"_id": record.id}, session=session)
    return True


@pytest.mark.parametrize(
    ("name", "limits", "module", "attribute", "instead"),
    [
        ("change, insert", (1000, 1000), Protocol, "seal", _nothing),
        ("change, re-parent", (1000, 1000), Protocol, "seal", _nothing),
        ("change, insert", (1000, 1000), insert_one, "current", _as_judged),
        ("change, change back", (0, 1000), Protocol, "touch", _nothing),
        ("change, change", (0, 0), recording, "forget", _forgotten),
    ],
)
def test_without_one_of_the_orderings_a_copy_goes_stale(
    client: MongoClient[dict[str, Any]],
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    limits: tuple[int, int],
    module: Any,
    attribute: str,
    instead: Any,
) -> None:
    monkeypatch.setattr(module, attribute, instead)
    with pytest.raises(Violated, match="stale"):
        tried(client, database_name, name, mode="pinned", limits=limits)
