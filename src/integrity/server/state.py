"""The stages as they are recorded in the database, one document a constraint, in `integrity.stages`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from integrity.declare.stage import COLLECTION, Constraint, Stage
from integrity.store.port import Store
from integrity.writes.references.durable import durable
from integrity.writes.staging import read

__all__ = ["read", "record"]


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
