"""What is left of a refresh, in `integrity.refreshes`: written in the transaction that changed the owner.

A record says that copies of one owner may be stale, and no more. It holds no value: who finishes it reads what the
owner says by then. So a record may be finished by anybody, twice, or after another change.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.read_concern import ReadConcern

from integrity.declare.registry import Copy, Registry
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable
from integrity.writes.references.keys import Key
from integrity.writes.references.timing import Timing

COLLECTION = "integrity.refreshes"


@dataclass(frozen=True)
class Record:
    """Copies of one owner that may be stale.

    Args:
        id: Of the record: the copy, and the name of the owner's key.
        collection: The collection of the copies.
        path: The declared path of the copy.
        key: The value that names the owner.
        change: Names the owner's last change.
        until: When its writer is taken for dead.
        unfit: Whether its copies were seen to be such as cannot hold their owner's value.
    """

    id: str
    collection: str
    path: str
    key: Any
    change: Any
    until: dt.datetime
    unfit: bool = False

    def copy(self, registry: Registry) -> Copy | None:
        """Return the copy, or None where the models do not declare it."""
        entry = registry.by_collection(self.collection)
        return None if entry is None else next((each for each in entry.copies if each.path == self.path), None)


def read(document: Document) -> Record:
    """Return a record as it is stored."""
    return Record(
        document["_id"],
        document["collection"],
        document["path"],
        document["key"],
        document["change"],
        document["until"].replace(tzinfo=None),
        document.get("unfit", False),
    )


async def write(store: Store, rests: Sequence[tuple[Copy, Key]], timing: Timing, session: Any) -> list[str]:
    """Record what is left of a refresh, in its transaction; return the records' ids.

    The change's name is what tells a finisher that its first batches may be out of date. It is no count: a record that
    was forgotten and written anew would count from the beginning, and pass for the one before it.
    """
    names = []
    for copy, key in rests:
        name = f"{copy.entry.collection}:{copy.path}:{key.name}"
        said = {"collection": copy.entry.collection, "path": copy.path, "key": key.value}
        # What could not be held before, or what it has become: who finishes it looks.
        fresh = {"until": timing.until(timing.lease), "change": timing.token()}
        update = {"$set": {**said, **fresh}, "$unset": {"unfit": ""}}
        await store.update_one(COLLECTION, {"_id": name}, update, upsert=True, session=session)
        names.append(name)
    return names


async def standing(store: Store, name: str, session: Any) -> Record | None:
    """Return a record as a majority has it; None where there is none, or none any more.

    The primary is asked first: what it has, a majority has when it answers, or an election has taken it back.

    Args:
        store: The database, as its primary has it.
        name: The record's id.
        session: A causally consistent session: what is read in it from here on is not older.
    """
    if await store.find_one(COLLECTION, {"_id": name}, session=session) is None:
        return None
    # As long as the application lets a write wait for a majority.
    limit = store.write_concern.document.get("wtimeout")
    options = {"max_time_ms": limit} if limit else {}
    stays = store.with_options(read_concern=ReadConcern("majority"))
    found = await stays.find_one(COLLECTION, {"_id": name}, session=session, **options)
    return None if found is None else read(found)


async def renew(store: Store, record: Record, timing: Timing, session: Any) -> None:
    """Say that somebody is at it, for another lease."""
    update = {"$set": {"until": timing.until(timing.lease)}}
    await store.update_one(COLLECTION, {"_id": record.id}, update, session=session)


async def keep(store: Store, record: Record, session: Any) -> bool:
    """Leave a record whose copies cannot hold their owner's value to `sync`, which tells of it.

    Returns:
        False where the owner has changed again since it was read.
    """
    update = {"$set": {"unfit": True}}
    if (await durable(store).update_one(COLLECTION, _of(record), update, session=session)).matched_count:
        return True
    return await _gone(store, record, session)


async def forget(store: Store, record: Record, session: Any) -> bool:
    """Delete a record whose copies are refreshed; return False where the owner has changed again since it was read."""
    if (await durable(store).delete_one(COLLECTION, _of(record), session=session)).deleted_count:
        return True
    return await _gone(store, record, session)


def _of(record: Record) -> Document:
    return {"_id": record.id, "change": record.change}


async def _gone(store: Store, record: Record, session: Any) -> bool:
    return await store.find_one(COLLECTION, {"_id": record.id}, session=session) is None


async def due(store: Store, timing: Timing | None = None, limit: int = 0) -> list[Record]:
    """Return the records; where `timing` is given, those whose writer is taken for dead.

    Without those then that nobody can finish: they would be all that a writer gets to who finishes a few by the way.
    """
    wanted = {} if timing is None else {"until": {"$lte": timing.now()}, "unfit": {"$ne": True}}
    batches = store.find(COLLECTION, wanted, sort=[("until", 1)], limit=limit)
    found: list[Record] = []
    while batch := await batches.next():
        found += map(read, batch)
    return found
