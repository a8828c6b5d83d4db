"""The stages as they are recorded in the database, one document a constraint, in `integrity.stages`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from integrity.declare.stage import COLLECTION, Constraint, Stage
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable
from integrity.writes.staging import read

__all__ = ["Recorded", "claim", "claimed", "lower", "note", "passing", "read", "record", "release", "take_back"]


@dataclass(frozen=True)
class Recorded:
    """What was recorded, to be taken back.

    Args:
        by: Whose it is.
        claim: The claim of the enforcement that recorded it.
        before: What was recorded before, by constraint; those that another enforcement has claimed are not among them.
    """

    by: ObjectId
    claim: str
    before: Mapping[Constraint, Document]


async def claim(store: Store, constraints: Sequence[Constraint]) -> tuple[str, list[Constraint]]:
    """Claim constraints for an enforcement: from then on none that has begun before records anything of them.

    Of two at once the higher claim goes, for all that both move: it ends as if that one had come after the other.

    Args:
        store: The database.
        constraints: The constraints.

    Returns:
        The claim, and the constraints that it holds.
    """
    last = 0
    batches = store.find(COLLECTION, {"claim": {"$exists": True}}, projection={"claim": 1})
    while batch := await batches.next():
        last = max([last, *(int(each["claim"].split()[0]) for each in batch)])
    # Two that have read the same number are told apart by what comes after it.
    mine, held = f"{last + 1:012} {ObjectId()}", []
    for each in constraints:
        lower = {"_id": each.name, "$or": [{"claim": {"$exists": False}}, {"claim": {"$lt": mine}}]}
        with suppress(DuplicateKeyError):  # it is there, and its claim is higher
            await durable(store).find_one_and_update(COLLECTION, lower, {"$set": {"claim": mine}}, upsert=True)
            held.append(each)
    return mine, held


async def claimed(store: Store, mine: str) -> frozenset[str]:
    """Return the names of the constraints that a claim still holds."""
    found: list[str] = []
    batches = store.find(COLLECTION, {"claim": mine}, projection={"_id": 1})
    while batch := await batches.next():
        found += [each["_id"] for each in batch]
    return frozenset(found)


async def release(store: Store, mine: str) -> None:
    """Take away what a claim has left where nothing is recorded."""
    await durable(store).delete_many(COLLECTION, {"claim": mine, "stage": {"$exists": False}})


async def record(store: Store, constraints: Iterable[Constraint], stage: Stage, mine: str) -> Recorded:
    """Record the stage of constraints, of those that are claimed still.

    Args:
        store: The database.
        constraints: The constraints.
        stage: Their stage, which somebody asked for.
        mine: The claim.
    """
    return await _recorded(store, constraints, _change(stage, True), mine)  # noqa: FBT003 - staged


async def passing(store: Store, constraints: Iterable[Constraint], stage: Stage, mine: str) -> Recorded:
    """Record a stage that constraints pass through, on the way to the one that was asked for.

    Whether somebody asked for a stage stays as it was: guarded writes that refuse do so until they are told otherwise.
    """
    return await _recorded(store, constraints, _change(stage, {"$ifNull": ["$staged", False]}), mine)


async def note(store: Store, constraint: Constraint, stage: Stage) -> None:
    """Record a stage that was found out while declarations were applied, where none is recorded."""
    found = {"stage": str(stage), "staged": False, "since": dt.datetime.now(dt.UTC), "by": ObjectId()}
    unrecorded = {"_id": constraint.name, "stage": {"$exists": False}}
    with suppress(DuplicateKeyError):  # one is
        await durable(store).update_one(COLLECTION, unrecorded, {"$set": found}, upsert=True)


async def lower(store: Store, constraint: Constraint, stage: Stage) -> None:
    """Record that a constraint which is recorded as enforced is not: the data does not bear it, and nobody asked."""
    found = {"stage": str(stage), "staged": False, "since": dt.datetime.now(dt.UTC), "by": ObjectId()}
    still = {"_id": constraint.name, "stage": str(Stage.ENFORCED)}
    await durable(store).update_one(COLLECTION, still, {"$set": found})


async def take_back(store: Store, recorded: Recorded) -> None:
    """Record again what was recorded before, of what nobody else has recorded or claimed meanwhile."""
    for constraint, before in recorded.before.items():
        mine = {"_id": constraint.name, "by": recorded.by, "claim": recorded.claim}
        await durable(store).replace_one(COLLECTION, mine, before)


def _change(stage: Stage, staged: Any) -> Document:
    known = {"$eq": ["$stage", str(stage)]}
    since = {"$cond": [known, "$since", dt.datetime.now(dt.UTC)]}
    return {"stage": str(stage), "staged": staged, "since": since}


async def _recorded(store: Store, constraints: Iterable[Constraint], change: Document, mine: str) -> Recorded:
    by, before = ObjectId(), {}
    for each in constraints:
        name = {"_id": each.name, "claim": mine}
        was = await durable(store).find_one_and_update(COLLECTION, name, [{"$set": {**change, "by": by}}])
        if was is not None:
            before[each] = was
    return Recorded(by, mine, before)
