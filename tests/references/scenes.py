"""The pairs of operations that the scheduler tries, and what must hold after any order of their commands."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache, partial
from typing import Annotated, Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from integrity import Allow, DanglingReference, Model, Ref, RestrictedDelete, TransactionRequired, Unique
from integrity.declare.equality import key
from integrity.declare.extract import values_at
from integrity.declare.registry import Registry
from integrity.declare.reserved import CONDEMNED
from integrity.errors import BeingDeleted, InvalidBulkWrite, RestrictedUpdate
from integrity.facade.guards import Guards
from integrity.store.blocking import BlockingStore, BlockingWaiter
from integrity.store.port import Document, Store
from integrity.store.run import run
from integrity.writes import delete as deletes
from integrity.writes import insert_many as inserts
from integrity.writes import operations
from integrity.writes import update as updates
from integrity.writes.guard import Guard
from integrity.writes.insert_one import insert_one
from integrity.writes.references import Protocol, group_commit, notices, recover
from integrity.writes.references.keys import named, protected
from integrity.writes.references.lanes import Seat
from tests.references.scheduler import Actor, Clock, Scene, Stepping


class Parent(Model, collection="parents"):
    id: int
    code: Annotated[str, Unique()] = "p"


class Child(Model, collection="children"):
    id: int
    parent: Annotated[int | None, Ref(Parent)]


class Part(Model, collection="parts"):
    id: int
    parent: Annotated[int | None, Ref(Parent, on_delete="cascade")]


class Piece(Model, collection="pieces"):
    id: int
    part: Annotated[int | None, Ref(Part)]


class Note(Model, collection="notes"):
    id: int
    parents: Annotated[list[Annotated[int, Ref(Parent, on_delete="set_null")]], Allow([])]


class Label(Model, collection="labels"):
    id: int
    code: Annotated[str, Ref(Parent, field="code")]


class Follower(Model, collection="followers"):
    id: int
    code: Annotated[str, Unique(), Ref(Parent, field="code", on_update="cascade")]


class Tail(Model, collection="tails"):
    id: int
    code: Annotated[str, Ref(Follower, field="code", on_update="cascade")]


EXPECTED = (RestrictedDelete, RestrictedUpdate, DanglingReference, InvalidBulkWrite)

Operation = Callable[[Callable[[type[Model]], Guard]], Coroutine[Any, Any, Any]]


@lru_cache
def registry_of(*models: type[Model]) -> Registry:
    return Registry(models)


def guards(store: Store, registry: Registry, mode: str, clock: Clock, actor: int, limit: int = 1000) -> Guards:
    made = Guards(store, registry, references=mode, policy=None, unique="trust")
    made.references = Protocol(made.registry, mode, timing=clock.timing(actor), limit=limit)  # type: ignore[arg-type]
    made.copies = made.references.copies
    made.copies._looked = 0.0
    return made


def scene(
    database: Database[Any],
    *,
    transactional: bool,
    modes: tuple[str, str],
    start: Mapping[str, Sequence[Document]],
    operations: tuple[Operation, Operation],
    models: Sequence[type[Model]],
    limit: int = 1000,
) -> Scene:
    """A scene of two operations, each in a process of its own."""
    prepared = BlockingStore(database)
    registry = registry_of(*models)
    first = guards(prepared, registry, "auto", Clock(), 9)
    run(first.references.prepare(prepared))
    watched = [each.collection for each in registry]
    if "optimistic" in modes:  # as its first write has said
        start = {**start, notices.COLLECTION: [{"_id": notices.OPTIMISTIC}]}

    def build(one: Stepping, two: Stepping, clock: Clock) -> tuple[Coroutine[Any, Any, Any], Coroutine[Any, Any, Any]]:
        made = []
        for number, (store, mode, operation) in enumerate(zip((one, two), modes, operations, strict=True), 1):
            of = guards(store, registry, mode, clock, number, limit)
            # What every process does once is done: it would only make the orders more.
            of.references._transactional = transactional
            of.references._ready = True
            of.references._recovered = 0.0
            if mode == "optimistic":
                of.references.notices._registered = True
            made.append(operation(partial(of.guard, actor=None)))
        return made[0], made[1]

    def recovered(clock: Clock) -> None:
        store = BlockingStore(database)
        for _ in range(2):
            clock.seconds += 31
            run(recover(guards(store, registry, "auto", clock, 7).references, store))
        clock.seconds += 121
        run(recover(guards(store, registry, "auto", clock, 8).references, store))
        clock.seconds += 121
        run(recover(guards(store, registry, "auto", clock, 8).references, store))
        left = list(database["integrity.condemned"].find())
        assert not left, f"records are left: {left}"

    return Scene(
        database=database,
        transactional=transactional,
        start=start,
        build=build,
        check=lambda a, b: check(database, registry, a, b),
        recover=recovered,
        watched=watched,
        expected=EXPECTED,
    )


def orphans(database: Database[Any], registry: Registry) -> list[str]:
    """The references that name nothing."""
    found = []
    for entry in registry:
        for reference in entry.references:
            if not protected(reference):
                continue
            target = database[reference.target.collection]
            existing = {
                key(value) for document in target.find() if (value := document.get(reference.field)) is not None
            }
            for document in database[entry.collection].find():
                for _, value in values_at(document, reference.place.steps):
                    if value is not None and key(value) not in existing:
                        found.append(f"{entry.collection} {document['_id']} refers to {value}")
    return found


def check(database: Database[Any], registry: Registry, *actors: Actor) -> None:
    """Nothing dangles, nothing is condemned, what was acknowledged is there."""
    dangling = orphans(database, registry)
    assert not dangling, f"orphans: {dangling}"
    if any(each.dead for each in actors) and list(database["integrity.condemned"].find({"state": {"$ne": "gone"}})):
        raise AssertionError("something is condemned past its lease")
    for entry in registry:
        flagged = list(database[entry.collection].find({CONDEMNED: {"$exists": True}}))
        assert not flagged, f"condemned past the end: {flagged}"
    for each in actors:
        if each.done and each.error is None and isinstance(each.result, Promise):
            each.result.kept(database)


class Promise:
    """What an acknowledged write promised.

    Args:
        inserted: Documents that are there, unless what they refer to by a cascade is not.
        gone: Documents that are not there.
    """

    def __init__(self, inserted: Sequence[tuple[str, Any, Any]] = (), gone: Sequence[tuple[str, Any]] = ()) -> None:
        self.inserted = inserted
        self.gone = gone

    def kept(self, database: Database[Any]) -> None:
        for collection, id_, above in self.inserted:
            there = database[collection].count_documents({"_id": id_})
            excused = above is not None and not database[above[0]].count_documents({"_id": above[1]})
            assert there or excused, f"the acknowledged {collection} {id_} is lost"
        for collection, id_ in self.gone:
            assert not database[collection].count_documents({"_id": id_}), f"the deleted {collection} {id_} is there"


def insert(model: type[Model], document: Document, above: Any = None) -> Operation:
    async def operation(guard: Callable[[type[Model]], Guard]) -> Promise:
        await insert_one(guard(model), document)
        return Promise([(guard(model).collection, document["_id"], above)])

    return operation


def insert_glimpsed(model: type[Model], document: Document, *, glimpse_first: bool, above: Any = None) -> Operation:
    """An insert that looks while it waits, as of a document whose ``_id`` is generated."""

    async def operation(guard: Callable[[type[Model]], Guard]) -> Promise | None:
        of = guard(model)
        assert isinstance(of.store, Stepping)
        of.store.glimpse_first = glimpse_first
        of.references.whole = True
        made = dict(document)
        try:
            await of.references.together(of, made, lambda: insert_one(of, made), new=True)
        except DuplicateKeyError:
            return None
        return Promise([(of.collection, made["_id"], above)])

    return operation


def one_after_the_other(*operations: Operation) -> Operation:
    """Some operations of one caller."""

    async def operation(guard: Callable[[type[Model]], Guard]) -> None:
        for each in operations:
            await each(guard)

    return operation


def insert_many(
    model: type[Model], documents: Sequence[Document], *, ordered: bool = True, portion: int = 1000
) -> Operation:
    async def operation(guard: Callable[[type[Model]], Guard]) -> Promise:
        guard(model).store.portion = portion
        try:
            await inserts.insert_many(guard(model), documents, ordered=ordered)
        except InvalidBulkWrite as error:
            failed = {each["index"] for each in error.details["writeErrors"]}
            last = min(failed) if ordered else len(documents)
            stored = [each for at, each in enumerate(documents) if at < last and at not in failed]
        else:
            stored = list(documents)
        return Promise([(guard(model).collection, each["_id"], None) for each in stored])

    return operation


def insert_together(model: type[Model], documents: Sequence[Document]) -> Operation:
    """Inserts of several callers at once, which share their commands: as `insert_one` does when there is no lane."""

    async def operation(guard: Callable[[type[Model]], Guard]) -> Promise:
        of = guard(model)
        protocol = of.references
        seats = [Seat(each, named(of.entry, [each])) for each in documents]
        for each in seats[1:]:
            each.waiter = BlockingWaiter()
        optimistic = await protocol._optimistic(of.store, seats[0].keys.values())
        lanes = protocol.groups.lanes(of, optimistic=optimistic)
        lanes.enter(seats[0], of.store)
        await group_commit.set_out(protocol, of, lanes, seats, optimistic=optimistic)
        stored = []
        for each in seats:
            if isinstance(each.outcome, Exception):
                raise each.outcome
            if each.outcome is None:  # its caller inserts it by itself
                try:
                    await insert_one(of, each.document)
                except DanglingReference:
                    continue
            stored.append((of.collection, each.document["_id"], None))
        return Promise(stored)

    return operation


def delete(model: type[Model], filter_: Document, *, many: bool = False) -> Operation:
    async def operation(guard: Callable[[type[Model]], Guard]) -> Promise | int:
        result = await (deletes.delete_many if many else deletes.delete_one)(guard(model), filter_)
        if many or not result.deleted_count:
            return int(result.deleted_count)
        return Promise(gone=[(guard(model).collection, filter_["_id"])])

    return operation


def update(model: type[Model], filter_: Document, change: Document) -> Operation:
    async def operation(guard: Callable[[type[Model]], Guard]) -> Any:
        return (await updates.update(guard(model), updates.Wish(filter_, change))).matched_count

    return operation


def replace(model: type[Model], document: Document) -> Operation:
    async def operation(guard: Callable[[type[Model]], Guard]) -> Any:
        try:
            return (await operations.replace_one(guard(model), {"_id": document["_id"]}, document)).matched_count
        except TransactionRequired:  # its reference was taken away meanwhile, and would be made anew
            return None

    return operation


__all__ = [
    "BeingDeleted", "Child", "Follower", "Label", "Parent", "Part", "Piece", "Tail", "delete", "insert",
    "insert_glimpsed", "insert_many", "insert_together", "one_after_the_other", "replace", "scene", "update",
]  # fmt: skip
