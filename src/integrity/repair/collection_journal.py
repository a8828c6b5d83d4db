"""The journal in a collection of the database that is repaired."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from integrity.repair.journal import LARGEST, LEASE, PAGE, Entry, Journal, Run, Stopped, read_entry, read_run
from integrity.store.port import Store
from integrity.writes.references.durable import durable

COLLECTION = "integrity.journal"


class CollectionJournal(Journal):
    """A journal in the collection `integrity.journal` of the database that is repaired.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._plain = store
        self._store = durable(store)
        self._leased = False
        # A store of bytes has the concerns of the database that it was made of: this one writes documents as they are.
        self._bytes = store.for_bytes()

    async def _write(self, encoded: Sequence[RawBSONDocument]) -> None:
        start, size = 0, 0
        for at, each in enumerate(encoded):
            if at > start and size + len(each.raw) > LARGEST:
                await self._store.insert_many(COLLECTION, encoded[start:at])  # type: ignore[arg-type]  # documents too
                start, size = at, 0
            size += len(each.raw)
        await self._store.insert_many(COLLECTION, encoded[start:])  # type: ignore[arg-type]  # documents too

    async def _refuse(self, numbers: Sequence[int]) -> None:
        await self._note(self.run, numbers, "refused")

    async def hold(self, session: Any = None, seconds: float = LEASE) -> None:
        """Ask whether the run may make its next change, or was undone."""
        may = {**_head(self.run), "stopped": {"$ne": True}}
        if session is not None:
            # It must change something: a write that changes nothing conflicts with none.
            found = await self._plain.update_one(COLLECTION, may, {"$inc": {"held": 1}}, session=session)
        else:
            self._leased = True
            until = {"$add": ["$$NOW", int(seconds * 1000)]}
            found = await self._store.update_one(COLLECTION, may, [{"$set": {"until": until}}])
        if not found.matched_count:
            raise Stopped(self.run)

    async def rest(self, *, answered: bool = True) -> None:
        """Note that the run makes no change any more."""
        await super().rest()
        if self._leased and answered:
            await self._store.update_one(COLLECTION, _head(self.run), {"$unset": {"until": ""}})

    async def stop(self, run: str) -> None:
        """Forbid a run any further change."""
        # A transaction of the run's that is under way is waited for by the server: it has written to the same record.
        await self.mark(run, {"stopped": True})

    async def under_way(self, run: str) -> float:
        """Return the seconds for which a change may still be under way."""
        left = {"left": {"$subtract": ["$until", "$$NOW"]}}
        found = await self._store.find_one(COLLECTION, _head(run), left)
        return max(0.0, (found or {}).get("left") or 0) / 1000

    async def back(self, run: str, numbers: Sequence[int]) -> None:
        """Note that these changes were undone."""
        await self._note(run, numbers, "back")

    async def _note(self, run: str, numbers: Sequence[int], what: str) -> None:
        those = {"_id": {"$in": [{"run": run, "n": each} for each in numbers]}}
        await self._store.update_many(COLLECTION, those, {"$set": {what: True}})

    async def mark(self, run: str, what: Mapping[str, Any]) -> None:
        """Note something about a run."""
        await self._store.update_one(COLLECTION, _head(run), {"$set": dict(what)})

    async def runs(self) -> list[Run]:
        """Return the runs, the newest first."""
        found: list[Run] = []
        batches = self._store.find(COLLECTION, {"_id.n": 0}, sort=[("_id", -1)])
        while batch := await batches.next():
            found += map(read_run, batch)
        return found

    async def entries(self, run: str) -> AsyncIterator[list[Entry]]:
        """Yield the entries of a run that were neither refused nor undone, the last first, some at a time."""
        within = {
            "_id": {"$gt": {"run": run, "n": 0}, "$lt": {"run": run, "n": bson.MaxKey()}},
            "refused": {"$ne": True},
            "back": {"$ne": True},
        }
        batches = self._bytes.find(COLLECTION, within, sort=[("_id", -1)], batch_size=PAGE)
        try:
            while batch := await batches.next(PAGE):
                yield [read_entry(each) for each in batch]
        finally:
            await batches.close()


def _head(run: str) -> dict[str, Any]:
    return {"_id": {"run": run, "n": 0}}
