"""Every ordering that the proof relies on, swapped or dropped: the scheduler must find what goes wrong.

A test that fails here means that an ordering is not needed, or that the scheduler does not look where it should. That
what lost its flag is not deleted, and that a deletion is swept, `test_recovery` tells by one order of each: the
scheduler took half a minute to come to them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import PyMongoError

import integrity
from integrity import DanglingReference, Model
from integrity.declare.reserved import CONDEMNED
from integrity.store import lookup
from integrity.store.port import Filter
from integrity.writes.guard import Guard
from integrity.writes.insert_one import insert_one
from integrity.writes.references import (
    condemned,
    deleting,
    existence,
    group_commit,
    notices,
    optimistic,
    pins,
    plan,
    recovery,
    standing,
)
from integrity.writes.references.condemned import COLLECTION, Condemnation
from integrity.writes.references.durable import durable
from integrity.writes.references.existence import Sight
from integrity.writes.references.keys import Key
from integrity.writes.references.protocol import Protocol
from integrity.writes.references.witnesses import Witnesses
from tests.references.scenes import (
    Child,
    Label,
    Operation,
    Parent,
    Part,
    Piece,
    Promise,
    delete,
    insert,
    insert_glimpsed,
    one_after_the_other,
    scene,
    update,
)
from tests.references.scheduler import START, Violated, explore
from tests.references.test_every_order import MODELS, STANDING

PARENTS = [{"_id": 1, "code": "a"}]

Explore = Callable[..., None]


@pytest.fixture
def finds(client: MongoClient[dict[str, Any]], database_name: str) -> Explore:
    """Explores a scene, and demands that something is found."""

    def found(
        operations: tuple[Operation, Operation],
        mode: str,
        models: list[type[Model]],
        start: dict[str, Any] | None = None,
        *,
        crashes: bool = False,
        limit: int = 1000,
        words: str = "orphans",
    ) -> None:
        made = scene(
            client[database_name],
            transactional=True,
            modes=(mode, mode),
            start=start or {"parents": PARENTS},
            operations=operations,
            models=models,
            limit=limit,
        )
        with pytest.raises(Violated, match=words):
            explore(made, crashes=crashes)

    return found


INSERT_DELETE = (insert(Child, {"_id": 1, "parent": 1}), delete(Parent, {"_id": 1}))


@pytest.mark.parametrize("way", ["together", "alone"])
def test_the_optimistic_writer_looks_after_it_has_inserted(
    finds: Explore, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "alone":

        async def at_once(*args: Any, **_: Any) -> Any:
            return await args[-1]()

        monkeypatch.setattr(Protocol, "together", at_once)
    real = existence.look

    async def before_only(*args: Any, **options: Any) -> Sight:
        sight = await real(*args, **options)
        return sight if sight.faults and not await _stored(args) else Sight([()] * len(args[1]))

    async def _stored(args: Any) -> bool:
        guard, documents = args[0], args[1]
        return bool(await guard.store._inner.count_documents(guard.collection, {"_id": documents[0]["_id"]}))

    monkeypatch.setattr(group_commit if way == "together" else optimistic, "look", before_only)
    finds(INSERT_DELETE, "optimistic", [Parent, Child])


def _glimpse_of(*, child: bool, flag: bool) -> Callable[..., Any]:
    """Return a glimpse that leaves something out."""

    async def glimpse(guard: Guard, reference: Any, document: Any) -> bool:
        if child and await guard.store.find_one(guard.collection, {"_id": document["_id"]}) is None:
            return False
        wanted = {"_id": document[reference.path], **({CONDEMNED: {"$exists": False}} if flag else {})}
        return await guard.store.find_one(reference.target.collection, wanted) is not None

    return glimpse


@pytest.mark.parametrize(
    ("child", "flag"), [(False, True), (True, False)], ids=["at the parent alone", "past the condemnation"]
)
def test_who_glimpses_sees_the_child_and_the_condemnation(
    finds: Explore, monkeypatch: pytest.MonkeyPatch, child: bool, flag: bool
) -> None:
    monkeypatch.setattr(group_commit, "glimpse", _glimpse_of(child=child, flag=flag))
    operation = insert_glimpsed(Child, {"_id": 1, "parent": 1}, glimpse_first=not child)
    finds((operation, delete(Parent, {"_id": 1})), "optimistic", [Parent, Child])


def test_who_glimpses_has_an_id_that_nobody_had(finds: Explore) -> None:
    """Told to be new, and was there: what was seen is another document, which is deleted before the insert."""
    operations = (
        insert_glimpsed(Child, {"_id": 1, "parent": 1}, glimpse_first=True),
        one_after_the_other(delete(Child, {"_id": 1}), delete(Parent, {"_id": 1})),
    )
    start = {"parents": PARENTS, "children": [{"_id": 1, "parent": 1}]}
    finds(operations, "optimistic", [Parent, Child], start)


def test_the_deleter_condemns_before_it_looks(finds: Explore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silently(
        self: Condemnation, store: Any, notices: Any, documents: Any, keys: Any, roots: Any = ()
    ) -> None:
        self.documents.update({name: dict(ids) for name, ids in documents.items()})
        self.keys.update(each.name for each in keys)
        self.beside.update(documents)

    monkeypatch.setattr(Condemnation, "extend", silently)
    finds(INSERT_DELETE, "optimistic", [Parent, Child])


def test_the_writer_pins(finds: Explore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(pins, "touch", nothing)
    finds(INSERT_DELETE, "pinned", [Parent, Child])


def test_a_pin_changes_a_value(finds: Explore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def constant(store: Any, keys: Any, column: int, session: Any) -> None:
        numbers = [pins.row(each) * pins.COLUMNS + column for each in keys]
        await store.update_many(pins.COLLECTION, {"_id": {"$in": numbers}}, {"$min": {"n": 10**9}}, session=session)

    monkeypatch.setattr(pins, "touch", constant)
    finds(INSERT_DELETE, "pinned", [Parent, Child])


def test_the_deleter_seals_the_pins(finds: Explore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(pins, "seal", nothing)
    finds(INSERT_DELETE, "pinned", [Parent, Child])


def test_batches_wait_for_the_writers_that_began_before_the_condemnation(
    finds: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(pins, "seal", nothing)
    operations = (insert(Piece, {"_id": 1, "part": 1}), delete(Parent, {"_id": 1}))
    start = {"parents": PARENTS, "parts": [{"_id": 1, "parent": 1}]}
    finds(operations, "pinned", [Parent, Part, Piece], start, limit=0)


def test_a_record_is_forgotten_after_its_flags(finds: Explore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def record_first(self: Condemnation, store: Any, **_: Any) -> None:
        await durable(store).delete_many(COLLECTION, {"op": self.token})
        await self.lift(store)

    monkeypatch.setattr(Condemnation, "release", record_first)
    finds(INSERT_DELETE, "pinned", [Parent, Child], crashes=True, words="condemned past the end")


def test_an_insert_under_what_was_not_seen_lately_looks_first(finds: Explore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = Witnesses.lack, set()

    def not_at_first(self: Witnesses, keys: Any) -> bool:
        first = self not in asked
        asked.add(self)
        return not first and real(self, keys)

    monkeypatch.setattr(Witnesses, "lack", not_at_first)
    operations = (insert(Child, {"_id": 1, "parent": 99}), delete(Parent, {"_id": 1}))
    finds(operations, "optimistic", [Parent, Child], crashes=True)


def test_an_optimistic_writer_looks_for_notices_after_it_has_inserted(
    finds: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unasked(*_: Any) -> bool:
        return False

    monkeypatch.setattr(optimistic, "only_pins", unasked)
    monkeypatch.setattr(group_commit, "only_pins", unasked)
    operations = (insert(Label, {"_id": 1, "code": "a"}), update(Parent, {"_id": 1}, {"$set": {"code": "x"}}))
    finds(operations, "optimistic", [Parent, Label])


def test_a_condemnation_beside_is_read_before_existence(
    alone: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One order, by hand: the deletion ends between the writer's two reads, whichever of them comes first."""
    raw = alone[database_name]
    # A validator that takes no flag: the record is all that there is.
    refusing = {"$jsonSchema": {"properties": {"_id": {}, "code": {}}, "additionalProperties": False}}
    raw.create_collection("parents", validator=refusing)
    raw.parents.insert_one({"_id": 1, "code": "a"})
    raw[notices.COLLECTION].insert_one({"_id": "beside:parents"})
    deleter, writer = (integrity.Database(raw, models=[Parent, Child]) for _ in range(2))
    writer[Child].insert_one({"_id": 0, "parent": 1})  # so that it has seen the parent lately
    writer[Child].delete_one({"_id": 0})
    look_up, beside, in_batches = lookup.look_up, condemned.beside, deleting.in_batches
    acts: list[Callable[[], Any]] = []
    outcomes: list[int] = []

    async def end() -> None:
        if acts and raw.children.count_documents({}):
            outcomes.append(await acts.pop()())

    async def looked_up(*args: Any, **options: Any) -> Any:
        found = await look_up(*args, **options)
        await end()
        return found

    async def read(*args: Any, **options: Any) -> Any:
        found = await beside(*args, **options)
        await end()
        return found

    async def decided(*args: Any) -> int:
        acts.append(lambda: in_batches(*args))
        with pytest.raises(DanglingReference):
            writer[Child].insert_one({"_id": 1, "parent": 1})
        return outcomes[0]

    monkeypatch.setattr(existence, "look_up", looked_up)
    monkeypatch.setattr(condemned, "beside", read)
    monkeypatch.setattr(deleting, "in_batches", decided)
    try:
        assert deleter[Parent].delete_one({"_id": 1}).deleted_count == 1
        assert not raw.children.count_documents({})
    finally:
        alone.drop_database(database_name)


def test_the_sweep_looks_for_children_before_it_looks_for_their_parent(
    client: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sweep(guard: Callable[[type[Model]], Guard]) -> None:
        await recovery.recover(guard(Parent).references, guard(Parent).store)

    async def born_again(guard: Callable[[type[Model]], Guard]) -> Promise:
        await insert_one(guard(Parent), {"_id": 1, "code": "a"})
        await insert_one(guard(Child), {"_id": 1, "parent": 1})
        return Promise([("children", 1, None)])

    name = Key("parents", "_id", 1)
    over = START - dt.timedelta(seconds=1)
    record = {
        "_id": ObjectId("00" * 12), "op": ObjectId("00" * 12), "owner": ObjectId(), "state": "gone", "until": over,
        "over": over, "collection": "parents", "roots": [1], "documents": [],
        "keys": [{"n": name.name, "c": "parents", "f": "_id", "v": 1}],
    }  # fmt: skip
    made = scene(
        client[database_name],
        transactional=True,
        modes=("optimistic", "optimistic"),
        start={COLLECTION: [record]},
        operations=(born_again, sweep),
        models=[Parent, Child],
    )
    explore(made, crashes=False)
    children, look_up, seen = plan.children, lookup.look_up, []

    async def existence_first(store: Any, reference: Any, values: Any, **session: Any) -> Any:
        seen.append(await look_up(store, reference.target.collection, reference.field, values))
        return await children(store, reference, values, **session)

    async def as_seen(*_: Any) -> Any:
        return seen[-1]

    monkeypatch.setattr(recovery, "children", existence_first)
    monkeypatch.setattr(recovery, "look_up", as_seen)
    with pytest.raises(Violated, match="acknowledged children 1 is lost"):
        explore(made, crashes=False)


@pytest.mark.parametrize("many", [False, True], ids=["alone", "bulk"])
def test_a_parent_that_was_only_read_is_looked_for_again(
    alone: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch, *, many: bool
) -> None:
    """An election may take it back as long as no insert under it is acknowledged by a majority."""
    db = integrity.Database(alone[database_name], models=[Parent, Child], references="optimistic")
    db[Parent].insert_one({"_id": 1, "code": "a"})
    children = db[Child]
    children.insert_one({"_id": 0, "parent": None})
    lacked: list[bool] = []
    real = Witnesses.lack

    def lack(self: Witnesses, keys: Any) -> bool:
        lacked.append(real(self, keys))
        return lacked[-1]

    monkeypatch.setattr(Witnesses, "lack", lack)

    def insert_child(identifier: int) -> None:
        child = {"_id": identifier, "parent": 1}
        children.insert_many([child]) if many else children.insert_one(child)

    with pytest.raises(PyMongoError):
        insert_child(0)  # looked at, and refused by the server
    insert_child(1)
    assert lacked
    assert all(lacked)
    lacked.clear()
    insert_child(2)
    assert lacked == [False]


@pytest.mark.parametrize("left_out", ["references", "flag"])
def test_a_replacement_without_a_transaction_stands_on_its_filter(
    alone: MongoClient[dict[str, Any]], database_name: str, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    real = standing.conditions

    def fewer(*args: Any) -> list[Filter]:
        flag, *others = real(*args)
        return others if left_out == "flag" else [flag]

    monkeypatch.setattr(standing, "conditions", fewer)
    name = "replace, cascade" if left_out == "flag" else "replace, set null"
    start, *operations = STANDING[name]
    made = scene(
        alone[database_name],
        transactional=False,
        modes=("auto", "auto"),
        start=start,
        operations=(operations[0], operations[1]),
        models=MODELS[name],
    )
    try:
        with pytest.raises(Violated, match="orphans"):
            explore(made, crashes=False)
    finally:
        alone.drop_database(database_name)
