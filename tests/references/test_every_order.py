"""Every order of two operations' commands, and a crash at every step, on the real server."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pymongo import MongoClient

from integrity import Model
from tests.references.scenes import (
    Child,
    Note,
    Operation,
    Parent,
    Part,
    Piece,
    delete,
    insert,
    insert_many,
    scene,
    update,
)
from tests.references.scheduler import Explored, explore

PARENTS = [{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}]
CHILD = [{"_id": 10, "parent": 2}]

MODELS: dict[str, list[type[Model]]] = {
    "insert, delete": [Parent, Child],
    "insert, cascade": [Parent, Part, Piece],
    "insert below a cascade": [Parent, Part],
    "insert, set null": [Parent, Note],
    "delete, delete": [Parent, Part],
    "bulk insert, delete_many": [Parent, Child],
    "re-parent, delete": [Parent, Child],
}
SCENES: dict[str, tuple[dict[str, Any], Operation, Operation]] = {
    "insert, delete": ({"parents": PARENTS}, insert(Child, {"_id": 1, "parent": 1}), delete(Parent, {"_id": 1})),
    "insert, cascade": (
        {"parents": PARENTS, "parts": [{"_id": 1, "parent": 1}]},
        insert(Piece, {"_id": 1, "part": 1}),
        delete(Parent, {"_id": 1}),
    ),
    "insert below a cascade": (
        {"parents": PARENTS},
        insert(Part, {"_id": 1, "parent": 1}, ("parents", 1)),
        delete(Parent, {"_id": 1}),
    ),
    "insert, set null": (
        {"parents": PARENTS},
        insert(Note, {"_id": 1, "parents": [1, 2]}),
        delete(Parent, {"_id": 1}),
    ),
    "delete, delete": (
        {"parents": PARENTS, "parts": [{"_id": 1, "parent": 1}]},
        delete(Parent, {"_id": 1}),
        delete(Parent, {"_id": 1}),
    ),
    "bulk insert, delete_many": (
        {"parents": PARENTS},
        insert_many(Child, [{"_id": 1, "parent": 1}, {"_id": 2, "parent": 2}], ordered=False),
        delete(Parent, {}, many=True),
    ),
}
MOVES: dict[str, tuple[dict[str, Any], Operation, Operation]] = {
    "re-parent, delete": (
        {"parents": PARENTS, "children": CHILD},
        update(Child, {"_id": 10}, {"$set": {"parent": 1}}),
        delete(Parent, {"_id": 1}),
    ),
}


#: Those that take seconds; `benchmarks/torture_orders.py` tries all of them, with every crash.
QUICK = ["insert, delete", "re-parent, delete", "insert, set null"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["pinned", "optimistic"])
@pytest.mark.parametrize("name", QUICK)
def test_no_order_leaves_an_orphan(
    client: MongoClient[dict[str, Any]], database_name: str, name: str, mode: str
) -> None:
    # A crash costs a run of its own at every step; one scene has them all here.
    crashes = name == "insert, delete"
    found = tried(client, database_name, name, mode, crashes=crashes)
    assert found.schedules > 50
    assert found.crashes > 100 or not crashes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_order_leaves_an_orphan_without_transactions(alone: MongoClient[dict[str, Any]], database_name: str) -> None:
    try:
        found = tried(alone, database_name, "insert, delete", "auto")
    finally:
        alone.drop_database(database_name)
    assert found.schedules > 1000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_batches_leave_no_orphan_either(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    found = tried(client, database_name, "insert, cascade", "pinned", crashes=False, limit=0)
    assert found.schedules > 50


def tried(
    client: MongoClient[dict[str, Any]], database: str, name: str, mode: str, *, crashes: bool = True, limit: int = 1000
) -> Explored:
    """Try a scene, and say how much was tried."""
    start, first, second = {**SCENES, **MOVES}[name]
    made = scene(
        client[database],
        transactional=mode != "auto",
        modes=(mode, mode),
        start=start,
        operations=(first, second),
        models=MODELS[name],
        limit=limit,
    )
    found = explore(made, crashes=crashes)
    sys.stderr.write(f"\n{name}, {mode}: {found}\n")  # the number of schedules is part of the evidence
    return found
