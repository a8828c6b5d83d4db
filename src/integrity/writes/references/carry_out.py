"""Doing what a delete plan says: references set to null, children deleted before their parents.

Every command names, besides the ``_id``, what the plan was made for: the key that the child referred to, the
deletion's flag on what was condemned. What has changed since is left alone and counted, so that the caller sees it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from pymongo.operations import UpdateOne

from integrity.declare.equality import key
from integrity.declare.registry import Entry
from integrity.rules.judge import dotted
from integrity.store.port import Store
from integrity.writes.references.condemned import FLAG
from integrity.writes.references.keys import fields
from integrity.writes.references.plan import Child, DeletePlan, Doomed, naming

#: Documents in one command.
CHUNK = 500

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
        for start in range(0, len(doomed), CHUNK):
            if before is not None:
                await before()
            filter_ = _still(doomed[start : start + CHUNK], token if flagged else None)
            deleted += (await store.delete_many(entry.collection, filter_, **session)).deleted_count
    return deleted


def _still(doomed: Sequence[Doomed], token: Any) -> dict[str, Any]:
    """Return the filter that matches documents as long as the plan is true of them."""
    conditions: list[dict[str, Any]] = [{"_id": {"$in": [each.id for each in doomed]}}]
    if token is not None:
        # A replacement wipes the flag, and a writer may since have found the document free of it: then it must live.
        conditions.append({f"{FLAG}.by": token})
    references = {each.by for each in doomed}
    if None not in references and len(references) == 1:
        (by,) = references
        assert by is not None
        # A child that was given another parent meanwhile is none of ours any more.
        conditions.append(naming(by, list({key(each.value): each.value for each in doomed}.values())))
    return {"$and": conditions}


async def detach(store: Store, children: Sequence[Child], before: Before | None = None, **session: Any) -> None:
    """Set references to null; take an array's elements out of it."""
    for entry, group in groupby(sorted(children, key=lambda each: each.reference.entry.name), _entry):
        of = list(group)
        for start in range(0, len(of), CHUNK):
            if before is not None:
                await before()
            requests = [each for child in of[start : start + CHUNK] for each in _detached(child)]
            await store.bulk_write(entry.collection, requests, ordered=True, **session)


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
