"""Doing what a delete plan says: references set to null, children deleted before their parents.

Every command names, besides the ``_id``, what the plan was made for: the key that the child referred to, the
deletion's flag on what was condemned. What has changed since is left alone and counted: what would have been deleted
is seen by the caller, a reference that has merely moved within its document is looked for again here.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, WriteError
from pymongo.operations import UpdateOne

from integrity.declare.equality import key
from integrity.declare.extract import Path, value_at
from integrity.declare.registry import Entry, Reference
from integrity.errors import DOCUMENT_VALIDATION_FAILURE, DUPLICATE_KEY, IntegrityError
from integrity.rules.judge import dotted
from integrity.store.lookup import width
from integrity.store.port import Document, Store
from integrity.writes import derived
from integrity.writes.change import Change
from integrity.writes.references.condemned import FLAG
from integrity.writes.references.keys import fields
from integrity.writes.references.plan import Child, DeletePlan, Doomed, naming
from integrity.writes.references.plan import children as find
from integrity.writes.references.restricted import unable, unchanged
from integrity.writes.whole import nameable, rewrite

if TYPE_CHECKING:
    from integrity.writes.references.protocol import Protocol

#: Documents in one command, and bytes of their ``_id``s, which stand in it beside the keys that they refer to.
CHUNK, _BYTES = 500, 4_000_000

#: How often a reference is looked for again that was not where the plan has it.
ATTEMPTS = 10

#: Values that a collation compares, or that hold some.
_STRINGS = (str, dict, list)

#: Called before every command, so that a lease can be renewed.
Before = Callable[[], Awaitable[None]]


async def carry_out(
    protocol: Protocol,
    store: Store,
    plan: DeletePlan,
    token: Any,
    beside: Iterable[str],
    before: Before | None = None,
    **session: Any,
) -> int:
    """Do what a plan says.

    Args:
        protocol: The protocol.
        store: The database.
        plan: The plan; what refuses it is passed over.
        token: The deletion's, which stands on what it condemned; None where nothing is condemned.
        beside: The collections whose documents do not bear a flag.
        before: Called before every command.
        session: PyMongo's ``session``, when there is one.

    Returns:
        How many documents were deleted.
    """
    await detach(protocol, store, plan.nulled, before, **session)
    deleted = 0
    # Children first: a parent that is still there is found again when this is resumed, and with it what is left.
    for entry, group in groupby(reversed(plan.doomed), lambda each: each.entry):
        doomed = list(group)
        flagged = token is not None and bool(fields(entry)) and entry.collection not in beside
        step = width([each for one in doomed for each in (one.id, one.value)], CHUNK, _BYTES)
        for start in range(0, len(doomed), step):
            if before is not None:
                await before()
            some = doomed[start : start + step]
            # By the collection's own collation what refers to "A" by now would go with what referred to "a".
            exact = store.exact if any(isinstance(each.value, _STRINGS) for each in some) else {}
            filter_ = _still(some, token if flagged else None)
            deleted += (await store.delete_many(entry.collection, filter_, **exact, **session)).deleted_count
    return deleted


def _still(doomed: Sequence[Doomed], token: Any) -> dict[str, Any]:
    """Return the filter that matches documents as long as the plan is true of them."""
    conditions: list[dict[str, Any]] = [{"_id": {"$in": [each.id for each in doomed]}}]
    if token is not None:
        # A replacement wipes the flag, and a writer may since have found the document free of it: then it must live.
        conditions.append({f"{FLAG}.by": token})
    by: dict[Reference | None, list[Doomed]] = {}
    for each in doomed:
        by.setdefault(each.by, []).append(each)
    # A child that was given another parent meanwhile is none of ours any more. Each is asked for its own reference.
    ways = [_reached(reference, reached, alone=len(by) == 1) for reference, reached in by.items()]
    conditions += [{"$or": ways}] if len(ways) > 1 else ways
    return {"$and": [each for each in conditions if each]}


def _reached(by: Reference | None, doomed: Sequence[Doomed], *, alone: bool) -> dict[str, Any]:
    """Return the filter that matches documents as long as the cascade reaches them by a reference."""
    found: dict[str, Any] = {} if alone else {"_id": {"$in": [each.id for each in doomed]}}
    if by is None:
        return found
    wanted = naming(by, list({key(each.value): each.value for each in doomed}.values()))
    return {"$and": [found, wanted]} if found else wanted


async def detach(
    protocol: Protocol, store: Store, children: Sequence[Child], before: Before | None = None, **session: Any
) -> None:
    """Set references to null; take an array's elements out of it.

    Raises:
        RestrictedDelete: A validator or a unique index of the server refuses it, a copy of what is derived from it
            cannot follow, or others change the document each time.
    """
    left = await _rewritten(protocol, store, children, None, before, **session)
    if left:
        why = f"which cannot be written back as it is, or was changed {ATTEMPTS} times meanwhile; change it first."
        raise unable(left[0], why)


async def rename(protocol: Protocol, store: Store, children: Sequence[Child], value: Any, **session: Any) -> None:
    """Give references another key, the one that what they refer to has now.

    Raises:
        RestrictedUpdate: One of them cannot be given it.
    """
    left = await _rewritten(protocol, store, children, value, **session)
    if left:
        raise unchanged(left[0])


async def _rewritten(
    protocol: Protocol,
    store: Store,
    children: Sequence[Child],
    value: Any,
    before: Before | None = None,
    **session: Any,
) -> list[Child]:
    """Give references another value, or none; return those that still have the old one."""
    left = list(children)
    for _ in range(ATTEMPTS):
        missed: list[Child] = []
        for entry, group in groupby(sorted(left, key=lambda each: each.reference.entry.name), _entry):
            of = list(group)
            for start in range(0, len(of), CHUNK):
                if before is not None:
                    await before()
                missed += await _piece(protocol, store, entry, of[start : start + CHUNK], value, **session)
        left = await _standing(store, missed, **session)
        if not left:
            break
    return left


def _entry(child: Child) -> Entry:
    return child.reference.entry


async def _standing(store: Store, missed: Sequence[Child], **session: Any) -> list[Child]:
    """Return the references that were not found where they stood, and stand in the document all the same."""
    found: list[Child] = []
    for reference in dict.fromkeys(each.reference for each in missed):
        of = [each for each in missed if each.reference is reference]
        ids = {key(each.id) for each in of}
        values = {key(value): value for each in of for _, value in each.spots}
        there = await find(store, reference, values.values(), **session)
        found += [replace(each, back=of[0].back) for each in there if key(each.id) in ids]
    return found


async def _piece(
    protocol: Protocol, store: Store, entry: Entry, children: Sequence[Child], value: Any, **session: Any
) -> list[Child]:
    """Write one command, and by themselves what no path goes into or is derived from; return what may be missed."""
    named: list[Child] = []
    others: list[Child] = []
    for each in children:
        by_path = not entry.derived and all(nameable(path) for path, _ in each.spots)
        (named if by_path else others).append(each)
    requests = [(child, request) for child in named for request in _requests(store, child, value)]
    missed: list[Child] = []
    at: Child | None = None
    try:
        if requests:
            writes = [request for _, request in requests]
            outcome = await store.bulk_write(entry.collection, writes, ordered=True, **session)
            if outcome.matched_count < len(requests):
                missed += named
        for at in others:
            if not await _followed(protocol, store, at, value, **session):
                missed.append(at)
    except (BulkWriteError, WriteError) as error:
        failed = (error.details or {}).get("writeErrors") or [{"code": error.code, "errmsg": str(error)}]
        refused = failed[0].get("code") in {DOCUMENT_VALIDATION_FAILURE, DUPLICATE_KEY}
        child = at if at is not None else requests[failed[0].get("index", 0)][0]
        if value is not None or not refused:
            raise
        why = f"and the server refuses what is left of it ({failed[0].get('errmsg', '')}); change that document first, "
        raise unable(child, f"{why}or what its index or validator says.") from error
    return missed


def _requests(store: Store, child: Child, value: Any) -> Iterator[UpdateOne]:
    counted = _counted(child)
    # By the collection's own collation "A" may be an equal of "a", and another parent.
    exact = store.exact if any(isinstance(old, _STRINGS) for _, old in child.spots) else {}
    if _taken_out(child, value):
        for array, values in _arrays(child).items():
            name = dotted(array)
            named = {"$and": [{"_id": child.id}, {name: {"$in": values}}]}
            yield UpdateOne(named, {"$pull": {name: {"$in": values}}, **counted}, **exact)
        return
    for path, old in child.spots:
        named = {"$and": [{"_id": child.id}, {dotted(path): {"$eq": old}}]}
        yield UpdateOne(named, {"$set": {dotted(path): value}, **counted}, **exact)


async def _followed(protocol: Protocol, store: Store, child: Child, value: Any, session: Any = None) -> bool:
    """Change a document as a whole, and with it the copies of what is derived in it."""
    entry = child.reference.entry
    if not (entry.derived and entry.copied):
        return await _whole(store, child, value, session=session) is not None
    copies = protocol.copies
    if not await protocol.transactional(store):

        def alone(change: Change) -> None:
            if copies.moved(entry, change):
                why = "from which others copy what is derived, and a standalone server has no transaction for both."
                raise _refused(child, value, why)

        return await _whole(store, child, value, alone) is not None

    async def body(session: Any) -> bool:
        change = await _whole(store, child, value, session=session)
        if change is not None and (wrong := await copies.follow(store, entry, change, session)):
            raise _refused(child, value, f"and a copy of what is derived from it cannot follow: {wrong[0]}")
        return change is not None

    return await (body(session) if session is not None else copies.transact(store, body))


def _refused(child: Child, value: Any, why: str) -> IntegrityError:
    return unable(child, why) if value is None else unchanged(child, why)


async def _whole(
    store: Store, child: Child, value: Any, seen: Callable[[Change], None] | None = None, session: Any = None
) -> Change | None:
    """Change a document that no path goes into, or that is derived from; return None where it is not as planned.

    Args:
        store: The database.
        child: The document.
        value: What the reference becomes.
        seen: Is shown the change before it is written.
        session: PyMongo's session.
    """
    entry = child.reference.entry
    done: list[Change] = []
    tops = list(dict.fromkeys(each.steps[0] for each in (child.reference.place, *entry.derived)))
    counts = () if entry.revision is None else entry.revision.steps
    others = [each for each in entry.document.fields if each not in {"_id", *tops, *counts}] if entry.derived else []

    def change(document: Document) -> bool:
        before = copying.deepcopy(document)
        if not moved(document):
            return False
        derived.recompute(entry, document)
        done.append(Change(before, document))
        if seen is not None:
            seen(done[-1])
        return True

    def moved(document: Document) -> bool:
        if _taken_out(child, value):
            for path, values in _arrays(child).items():
                array, gone = value_at(document, path), set(map(key, values))
                if not isinstance(array, list) or gone.isdisjoint(map(key, array)):
                    return False
                array[:] = [each for each in array if key(each) not in gone]
            return True
        for path, old in child.spots:
            if key(value_at(document, path)) != key(old):
                return False
            value_at(document, path[:-1])[path[-1]] = value
        return True

    within = {} if session is None else {"session": session}
    written = await rewrite(store, entry.collection, child.id, tops, change, _counted(child), others, **within)
    return done[-1] if written else None


def _counted(child: Child) -> Document:
    revision = child.reference.entry.revision
    return {} if revision is None else {"$inc": {dotted(revision.steps): -1 if child.back else 1}}


def _taken_out(child: Child, value: Any) -> bool:
    return value is None and child.reference.place.steps[-1] == "[]"


def _arrays(child: Child) -> dict[Path, list[Any]]:
    arrays: dict[Path, list[Any]] = {}
    for path, value in child.spots:
        arrays.setdefault(path[:-1], []).append(value)
    return arrays
