"""Doing what a delete plan says: references set to null, children deleted before their parents.

Every command names, besides the ``_id``, what the plan was made for: the key that the child referred to, the
deletion's flag on what was condemned. What has changed since is left alone and counted, so that the caller sees it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from pymongo.errors import BulkWriteError
from pymongo.operations import UpdateOne

from integrity.declare.equality import key
from integrity.declare.registry import Entry, Reference
from integrity.errors import DOCUMENT_VALIDATION_FAILURE, DUPLICATE_KEY
from integrity.rules.judge import dotted
from integrity.store.lookup import width
from integrity.store.port import Store
from integrity.writes.references.condemned import FLAG
from integrity.writes.references.keys import fields
from integrity.writes.references.plan import Child, DeletePlan, Doomed, naming
from integrity.writes.references.restricted import unable

#: Documents in one command, and bytes of their ``_id``s, which stand in it beside the keys that they refer to.
CHUNK, _BYTES = 500, 4_000_000

#: Called before every command, so that a lease can be renewed.
Before = Callable[[], Awaitable[None]]


async def carry_out(
    store: Store, plan: DeletePlan, token: Any, beside: Iterable[str], before: Before | None = None, **session: Any
) -> int:
    """Do what a plan says.

    Args:
        store: The database.
        plan: The plan; what refuses it is passed over.
        token: The deletion's, which stands on what it condemned; None where nothing is condemned.
        beside: The collections whose documents do not bear a flag.
        before: Called before every command.
        session: PyMongo's ``session``, when there is one.

    Returns:
        How many documents were deleted.
    """
    await detach(store, plan.nulled, before, **session)
    deleted = 0
    # Children first: a parent that is still there is found again when this is resumed, and with it what is left.
    for entry, group in groupby(reversed(plan.doomed), lambda each: each.entry):
        doomed = list(group)
        flagged = token is not None and bool(fields(entry)) and entry.collection not in beside
        step = width([each for one in doomed for each in (one.id, one.value)], CHUNK, _BYTES)
        for start in range(0, len(doomed), step):
            if before is not None:
                await before()
            filter_ = _still(doomed[start : start + step], token if flagged else None)
            deleted += (await store.delete_many(entry.collection, filter_, **session)).deleted_count
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


async def detach(store: Store, children: Sequence[Child], before: Before | None = None, **session: Any) -> None:
    """Set references to null; take an array's elements out of it.

    Raises:
        RestrictedDelete: A validator or a unique index of the server refuses it.
    """
    for entry, group in groupby(sorted(children, key=lambda each: each.reference.entry.name), _entry):
        of = list(group)
        for start in range(0, len(of), CHUNK):
            if before is not None:
                await before()
            piece = of[start : start + CHUNK]
            requests = [(child, each) for child in piece for each in _detached(child)]
            try:
                await store.bulk_write(entry.collection, [each for _, each in requests], ordered=True, **session)
            except BulkWriteError as error:
                failed = error.details.get("writeErrors") or [{}]
                if failed[0].get("code") not in {DOCUMENT_VALIDATION_FAILURE, DUPLICATE_KEY}:
                    raise
                raise unable(requests[failed[0]["index"]][0], failed[0].get("errmsg", "")) from error


def _entry(child: Child) -> Entry:
    return child.reference.entry


def _detached(child: Child) -> Iterator[UpdateOne]:
    revision = child.reference.entry.revision
    counted = {} if revision is None else {"$inc": {dotted(revision.steps): 1}}
    if child.reference.place.steps[-1] == "[]":
        arrays: dict[str, list[Any]] = {}
        for path, value in child.spots:
            arrays.setdefault(dotted(path[:-1]), []).append(value)
        for array, values in arrays.items():
            yield UpdateOne({"_id": child.id}, {"$pull": {array: {"$in": values}}, **counted})
        return
    for path, value in child.spots:
        yield UpdateOne(
            {"$and": [{"_id": child.id}, {dotted(path): {"$eq": value}}]}, {"$set": {dotted(path): None}, **counted}
        )


async def rename(store: Store, children: Sequence[Child], value: Any, **session: Any) -> None:
    """Give references another key, the one that what they refer to has now."""
    for entry, group in groupby(sorted(children, key=lambda each: each.reference.entry.name), _entry):
        requests = []
        revision = entry.revision
        counted = {} if revision is None else {"$inc": {dotted(revision.steps): 1}}
        for child in group:
            for path, old in child.spots:
                filter_ = {"$and": [{"_id": child.id}, {dotted(path): {"$eq": old}}]}
                requests.append(UpdateOne(filter_, {"$set": {dotted(path): value}, **counted}))
        for start in range(0, len(requests), CHUNK):
            await store.bulk_write(entry.collection, requests[start : start + CHUNK], ordered=True, **session)
