"""The stages as they are recorded in the database, one document a constraint, in `integrity.stages`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from integrity.declare.stage import COLLECTION, Constraint, Stage
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable
from integrity.writes.staging import read

__all__ = ["Recorded", "lower", "passing", "read", "record", "take_back"]


@dataclass(frozen=True)
class Recorded:
    """What was recorded, to be taken back.

    Args:
        by: Whose it is.
        before: What was recorded before, by constraint; None for nothing.
    """

    by: ObjectId
    before: Mapping[Constraint, Document | None]


async def record(store: Store, constraints: Iterable[Constraint], stage: Stage, *, staged: bool) -> Recorded:
    """Record the stage of constraints.

    Args:
        store: The database.
        constraints: The constraints.
        stage: Their stage.
        staged: Whether somebody asked for it. What was only found out while declarations were applied does not
            replace what somebody asked for.
    """
    if staged:
        return await _recorded(store, constraints, lambda by: _change(stage, True, by))  # noqa: FBT003 - staged
    found = {"stage": str(stage), "staged": False, "since": dt.datetime.now(dt.UTC)}
    return await _recorded(store, constraints, lambda by: {"$setOnInsert": {**found, "by": by}})


async def passing(store: Store, constraints: Iterable[Constraint], stage: Stage) -> Recorded:
    """Record a stage that constraints pass through, on the way to the one that was asked for.

    Whether somebody asked for a stage stays as it was: guarded writes that refuse do so until they are told otherwise.
    """
    return await _recorded(store, constraints, lambda by: _change(stage, {"$ifNull": ["$staged", False]}, by))


async def lower(store: Store, constraint: Constraint, stage: Stage) -> None:
    """Record that a constraint which is recorded as enforced is not: the data does not bear it, and nobody asked."""
    found = {"stage": str(stage), "staged": False, "since": dt.datetime.now(dt.UTC), "by": ObjectId()}
    still = {"_id": constraint.name, "stage": str(Stage.ENFORCED)}
    await durable(store).update_one(COLLECTION, still, {"$set": found})


async def take_back(store: Store, recorded: Recorded) -> None:
    """Record again what was recorded before, of what nobody else has recorded meanwhile."""
    for constraint, before in recorded.before.items():
        mine = {"_id": constraint.name, "by": recorded.by}
        if before is None:
            await durable(store).delete_one(COLLECTION, mine)
        else:
            await durable(store).replace_one(COLLECTION, mine, before)


def _change(stage: Stage, staged: Any, by: ObjectId) -> list[Document]:
    known = {"$eq": ["$stage", str(stage)]}
    since = {"$cond": [known, "$since", dt.datetime.now(dt.UTC)]}
    return [{"$set": {"stage": str(stage), "staged": staged, "since": since, "by": by}}]


async def _recorded(store: Store, constraints: Iterable[Constraint], change: Callable[[ObjectId], Any]) -> Recorded:
    by, before = ObjectId(), {}
    for each in constraints:
        name = {"_id": each.name}
        before[each] = await durable(store).find_one_and_update(COLLECTION, name, change(by), upsert=True)
    return Recorded(by, before)
