"""Every order of two operations' commands, and a crash at every step, on the real server."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pymongo import MongoClient

from integrity import Model
from tests.references.scenes import (
    Child,
    Follower,
    Label,
    Note,
    Operation,
    Parent,
    Part,
    Piece,
    Tail,
    delete,
    insert,
    insert_glimpsed,
    insert_many,
    insert_together,
    replace,
    scene,
    update,
)
from tests.references.scheduler import Explored, explore

PARENTS = [{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}]
CHILD = [{"_id": 10, "parent": 2}]

MODELS: dict[str, list[type[Model]]] = {
    "insert, delete": [Parent, Child],
    "insert that glimpses early, delete": [Parent, Child],
    "insert that glimpses late, delete": [Parent, Child],
    "insert that glimpses below a cascade": [Parent, Part],
    "insert, cascade": [Parent, Part, Piece],
    "insert below a cascade": [Parent, Part],
    "insert, set null": [Parent, Note],
    "delete, delete": [Parent, Part],
    "bulk insert, delete_many": [Parent, Child],
    "bulk insert in portions, delete_many": [Parent, Child],
    "inserts together, delete_many": [Parent, Child],
    "re-parent, delete": [Parent, Child],
    "insert, key change": [Parent, Label],
    "move out of a cascade": [Parent, Part, Piece],
    "insert, key change that cascades": [Parent, Follower],
    "insert below keys that follow": [Parent, Follower, Tail],
    "replace, cascade": [Parent, Part, Piece],
    "replace, set null": [Parent, Note],
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
    "bulk insert in portions, delete_many": (
        {"parents": PARENTS},
        insert_many(Child, [{"_id": 1, "parent": 1}, {"_id": 2, "parent": 2}], portion=1),
        delete(Parent, {}, many=True),
    ),
    "inserts together, delete_many": (
        {"parents": PARENTS},
        insert_together(Child, [{"_id": 1, "parent": 1}, {"_id": 2, "parent": 2}]),
        delete(Parent, {}, many=True),
    ),
}
MOVES: dict[str, tuple[dict[str, Any], Operation, Operation]] = {
    "re-parent, delete": (
        {"parents": PARENTS, "children": CHILD},
        update(Child, {"_id": 10}, {"$set": {"parent": 1}}),
        delete(Parent, {"_id": 1}),
    ),
    "insert, key change": (
        {"parents": PARENTS},
        insert(Label, {"_id": 1, "code": "a"}),
        update(Parent, {"_id": 1}, {"$set": {"code": "x"}}),
    ),
}
#: Inserts that look while they wait, the look before the insert and after it: only optimistic ones do.
GLIMPSED: dict[str, tuple[dict[str, Any], Operation, Operation]] = {
    **{
        f"insert that glimpses {when}, delete": (
            {"parents": PARENTS},
            insert_glimpsed(Child, {"_id": 1, "parent": 1}, glimpse_first=first),
            delete(Parent, {"_id": 1}),
        )
        for when, first in (("early", True), ("late", False))
    },
    "insert that glimpses below a cascade": (
        {"parents": PARENTS},
        insert_glimpsed(Part, {"_id": 1, "parent": 1}, glimpse_first=False, above=("parents", 1)),
        delete(Parent, {"_id": 1}),
    ),
}
#: What keeps its references: on a standalone server too, where they are only kept by conditions.
STANDING: dict[str, tuple[dict[str, Any], Operation, Operation]] = {
    "replace, cascade": (
        {"parents": PARENTS, "parts": [{"_id": 1, "parent": 1}], "pieces": []},
        replace(Part, {"_id": 1, "parent": 1}),
        delete(Parent, {"_id": 1}),
    ),
    "replace, set null": (
        {"parents": PARENTS, "notes": [{"_id": 1, "parents": [1, 2]}]},
        replace(Note, {"_id": 1, "parents": [2, 1]}),
        delete(Parent, {"_id": 1}),
    ),
}
#: What `benchmarks/torture_orders.py` tries besides.
MORE: dict[str, tuple[dict[str, Any], Operation, Operation]] = {
    "move out of a cascade": (
        {"parents": PARENTS, "parts": [{"_id": 1, "parent": 1}]},
        update(Part, {"_id": 1}, {"$set": {"parent": 2}}),
        delete(Parent, {"_id": 1}),
    ),
    "insert, key change that cascades": (
        {"parents": PARENTS},
        insert(Follower, {"_id": 1, "code": "a"}),
        update(Parent, {"_id": 1}, {"$set": {"code": "x"}}),
    ),
    "insert below keys that follow": (
        {"parents": PARENTS, "followers": [{"_id": 1, "code": "a"}]},
        insert(Tail, {"_id": 1, "code": "a"}),
        update(Parent, {"_id": 1}, {"$set": {"code": "x"}}),
    ),
}


#: How many runs of each scene the tests make, and of how many crashes they try one. `benchmarks/torture_orders.py`
#: makes all of them; what is left out here is said in the line that each test prints. With 30 runs, no scene notices
#: when the optimistic writer looks before it inserts; with these, four do.
RUNS, PART = 45, 8
PORTIONS = "bulk insert in portions, delete_many"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (name, mode)
        for name in [*SCENES, *MOVES]
        for mode in ("pinned", "optimistic")
        if (name, mode) != (PORTIONS, "optimistic")  # where they are sent at once, and looked at once
    ]
    + [(name, "optimistic") for name in GLIMPSED],
)
def test_no_order_leaves_an_orphan(
    client: MongoClient[dict[str, Any]], database_name: str, name: str, mode: str
) -> None:
    found = tried(client, database_name, name, mode, runs=RUNS, part=PART)
    assert found.runs >= RUNS or found.whole
    assert found.crashes > 10


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [each for each in (*SCENES, *GLIMPSED, *STANDING) if each != PORTIONS])
def test_no_order_leaves_an_orphan_without_transactions(
    alone: MongoClient[dict[str, Any]], database_name: str, name: str
) -> None:
    try:
        found = tried(alone, database_name, name, "auto", runs=RUNS, part=PART)
    finally:
        alone.drop_database(database_name)
    assert found.crashes > 10


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_batches_leave_no_orphan_either(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    found = tried(client, database_name, "insert, cascade", "pinned", runs=RUNS, part=PART, limit=0)
    assert found.crashes > 10


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_order_of_one_scene(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    """All of its orders, whose number does not depend on the machine, and one crash of eight."""
    found = tried(client, database_name, "re-parent, delete", "pinned", part=8)
    assert (found.schedules, found.states) == (7838, 331)
    assert found.crashes > 50


def tried(
    client: MongoClient[dict[str, Any]],
    database: str,
    name: str,
    mode: str,
    *,
    runs: int | None = None,
    part: int = 1,
    limit: int = 1000,
) -> Explored:
    """Try a scene, and say how much was tried."""
    start, first, second = {**SCENES, **GLIMPSED, **MOVES, **MORE, **STANDING}[name]
    made = scene(
        client[database],
        transactional=mode != "auto",
        modes=(mode, mode),
        start=start,
        operations=(first, second),
        models=MODELS[name],
        limit=limit,
    )
    found = explore(made, runs=runs, part=part)
    sys.stderr.write(f"\n{name}, {mode}: {found}\n")  # the number of schedules is part of the evidence
    return found
