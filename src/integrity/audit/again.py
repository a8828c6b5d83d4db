"""Reading suspects again, by their ids: nothing is reported that was seen once.

What the driver makes of an ``_id`` need not be what is stored: of ``{a: 1, a: 2}`` it keeps one field, of undefined it
makes null. Asked for by that, a document does not come back, and would count as clean; so the ids of such types are
read as bytes where there is a suspect among them, and those that the driver would write otherwise are asked for so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from typing import Any

from integrity.audit.changed import READ, faithful, may_be_changed
from integrity.audit.partition import Partition
from integrity.audit.source import Source
from integrity.declare.equality import key
from integrity.store.forgiving import decoded
from integrity.store.lookup import queryable
from integrity.store.port import Document, Store

#: Documents read again at once.
AGAIN = 1000
#: Ids in one reply, and in one query where they are asked for one by one.
_IDS, _ONE_BY_ONE = 10_000, 100


class Again:
    """Reads documents of one collection again.

    Args:
        store: The database, as a finding is confirmed.
        source: The collection.
        partition: What of it the ids are of.
        once: Whether an id is asked for once, however often it is met; as it is in a view, where many may have it.
    """

    def __init__(self, store: Store, source: Source, partition: Partition | None = None, *, once: bool = False) -> None:
        self._store = store
        self._source = source
        self._partition = partition or Partition()
        self._stored: dict[Hashable, list[Document]] = {}
        self._looked = False
        self._told: set[Hashable] = set()
        self._once = once or not source.partitionable
        self._met: set[Hashable] = set()

    def can(self, document: Document) -> bool:
        """Whether a document can be asked for: of a view, only by an id that finds itself."""
        if "_id" not in document:
            return False
        id_ = document["_id"]
        return self._source.partitionable or (id_ is not None and queryable(id_) and not may_be_changed(id_))

    async def read(self, ids: list[Any]) -> AsyncIterator[list[Document]]:
        """Yield the documents that have these ids now, a batch at a time."""
        changed: list[Hashable] = []
        if self._once:
            ids = self._new(ids)
        if self._source.partitionable and any(map(may_be_changed, ids)):
            ids, changed = await self._apart(ids)
        for at in range(0, len(ids), AGAIN):
            some = ids[at : at + AGAIN]
            async for batch in self._found({"_id": {"$in": some}}):
                yield batch if self._source.partitionable else _with_own(some, batch)
        for at in range(0, len(changed), _ONE_BY_ONE):
            keys = changed[at : at + _ONE_BY_ONE]
            async for batch in self._found({"$or": [one for each in keys for one in self._stored[each]]}):
                yield batch
            # What is stored as it was read may be there too; beside the partition, it is another task's.
            same = {"_id": {"$in": [decoded(self._stored[each][0])["_id"] for each in keys]}}
            options = self._partition.options if self._partition.bounded else {}
            async for batch in self._found(self._partition.filter(same), **options):
                yield batch

    async def _found(self, filter_: Document, **options: Any) -> AsyncIterator[list[Document]]:
        batches = self._store.find(self._source.name, filter_, **options)
        while batch := await batches.next(self._source.batch):
            yield batch

    def _new(self, ids: list[Any]) -> list[Any]:
        new = {at: each for each in ids if (at := key(each)) not in self._met}
        self._met |= new.keys()
        return list(new.values())

    async def _apart(self, ids: list[Any]) -> tuple[list[Any], list[Hashable]]:
        """Return the ids that are asked for as they are, and the keys of those that are stored as something else."""
        if not self._looked:
            self._stored, self._looked = await self._as_stored(), True
        keys = list(map(key, ids))
        changed = [each for each in dict.fromkeys(keys) if each in self._stored and each not in self._told]
        self._told.update(changed)
        return [each for each, at in zip(ids, keys, strict=True) if at not in self._stored], changed

    async def _as_stored(self) -> dict[Hashable, list[Document]]:
        """Return queries for the ids that the driver would write otherwise than they are stored."""
        found: dict[Hashable, list[Document]] = {}
        options = self._partition.options if self._partition.bounded else {"hint": [("_id", 1)]}
        filter_ = self._partition.filter({"_id": {"$type": READ}})
        batches = self._store.for_bytes().find(
            self._source.name, filter_, projection={"_id": 1}, batch_size=_IDS, **options
        )
        while batch := await batches.next(_IDS):
            for each in batch:
                read = decoded(each)
                if not faithful(each, read):
                    found.setdefault(key(read["_id"]), []).append(each)  # its bytes are the query for it
        return found


def _with_own(ids: list[Any], documents: list[Document]) -> list[Document]:
    """Return the documents that have these very ids: a view's collation, or an array, lets others match too."""
    own = set(map(key, ids))
    return [each for each in documents if "_id" in each and key(each["_id"]) in own]
