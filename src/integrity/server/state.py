"""The stages as they are recorded in the database, one document a constraint, in `integrity.stages`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from integrity.declare.stage import COLLECTION, Constraint, Stage, Stages
from integrity.store.port import Store
from integrity.writes.references.durable import durable
from integrity.writes.staging import read

__all__ = ["passing", "read", "record", "restore"]


async def record(store: Store, constraints: Iterable[Constraint], stage: Stage, *, staged: bool) -> None:
    """Record the stage of constraints.

    Args:
        store: The database.
        constraints: The constraints.
        stage: Their stage.
        staged: Whether somebody asked for it. What was only found out while declarations were applied does not
            replace what somebody asked for.
    """
    for each in constraints:
        now = dt.datetime.now(dt.UTC)
        if staged:
            change = {"$set": {"stage": str(stage), "staged": True, "since": now}}
            await durable(store).update_one(COLLECTION, {"_id": each.name}, change, upsert=True)
        else:
            change = {"$setOnInsert": {"stage": str(stage), "staged": False, "since": now}}
            await durable(store).update_one(COLLECTION, {"_id": each.name}, change, upsert=True)


async def passing(store: Store, constraints: Iterable[Constraint], stage: Stage) -> None:
    """Record a stage that constraints pass through, on the way to the one that was asked for.

    Whether somebody asked for a stage stays as it was: guarded writes that refuse do so until they are told otherwise.
    """
    for each in constraints:
        change = {"$set": {"stage": str(stage), "since": dt.datetime.now(dt.UTC)}, "$setOnInsert": {"staged": False}}
        await durable(store).update_one(COLLECTION, {"_id": each.name}, change, upsert=True)


async def restore(store: Store, constraints: Iterable[Constraint], stages: Stages) -> None:
    """Record of constraints what was recorded before, which may be nothing."""
    for each in constraints:
        stage = stages.of(each)
        if stage is None:
            await durable(store).delete_one(COLLECTION, {"_id": each.name})
            continue
        change = {"$set": {"stage": str(stage), "staged": each.name in stages.staged}}
        await durable(store).update_one(COLLECTION, {"_id": each.name}, change, upsert=True)
