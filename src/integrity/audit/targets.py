"""What references lead to: read while the server lists the keys, where that is little; else looked up key by key.

The server lists keys with one core, and needs a second or two for a million documents. Meanwhile the targets can be
read, over another connection; what is left to do then is to compare in memory. Values of plain types are compared by
Python's own equality, which for two values of one such type is MongoDB's, and the others by the rules of BSON.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from bson import ObjectId

from integrity.audit.listed import fits, fitting, sought
from integrity.audit.source import SIMPLE
from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Reference
from integrity.store.lookup import look_up, queryable
from integrity.store.port import Document, Store

Pair = tuple[Any, Any]

#: The most documents, and characters in what is copied of them, that are held: some 60 MB.
_FEW, _CHARACTERS = 300_000, 10_000_000
#: Documents in one reply.
_REPLY = 10_000
#: Types whose values are their own keys.
_PLAIN = frozenset({int, str, ObjectId})
#: Types whose values ``$in`` takes for themselves.
_SOUGHT = _PLAIN | {bool, float}


class Targets:
    """The documents that a reference leads to.

    Args:
        store: The database.
        reference: The reference.
        field: The field of theirs that is copied; None where it is enough that they are there.
        counted: Whether they are told by their ids, each there once: a collection's.
    """

    def __init__(self, store: Store, reference: Reference, field: str | None = None, *, counted: bool) -> None:
        self._store = store
        self._collection = reference.target.collection
        self._key = reference.field
        self._field = field
        self._steps = tuple(field.split(".")) if field is not None else ()
        self._counted = counted
        self._held: dict[Hashable, Any] | None = None

    async def few(self, many: int) -> bool:
        """Whether it is little to read all of them.

        Args:
            many: The documents that are to be read anyway.
        """
        if not self._counted:
            return False
        return await self._store.estimated_document_count(self._collection) <= min(_FEW, many // 2)

    async def read(self) -> None:
        """Read all of them, and keep them unless they are more, or longer, than may be kept."""
        held: dict[Hashable, Any] = {}
        characters = 0
        projection = {self._field or "_id": 1}
        batches = self._store.find(self._collection, {}, projection=projection, batch_size=_REPLY)
        try:
            while batch := await batches.next(_REPLY):
                ids = [each["_id"] for each in batch]
                if not _PLAIN.issuperset(map(type, ids)):
                    ids = list(map(key, ids))
                values = self._values(batch)
                characters += sum(len(each) for each in (*ids, *values) if type(each) is str)
                held.update(zip(ids, values, strict=True))
                if len(held) > _FEW or characters > _CHARACTERS:
                    return
        finally:
            await batches.close()
        self._held = held

    def ids(self) -> list[Any] | None:
        """Return all of their ids, where they were read and fit a query; else None."""
        if self._held is None or not _PLAIN.issuperset(map(type, self._held)):
            return None
        found = list(self._held)
        return found if fits(found) else None

    async def absent(self, values: list[Any]) -> dict[Hashable, Any]:
        """Return the values that lead nowhere, by their keys."""
        if (held := self._held) is not None:
            return {at: each for each in values if (at := each if type(each) in _PLAIN else key(each)) not in held}
        # Told by their types, ten thousand at once: most keys are numbers, strings or ObjectIds.
        plain = values if _SOUGHT.issuperset(map(type, values)) else [each for each in values if queryable(each)]
        absent = {} if plain is values else {key(each): each for each in values if not queryable(each)}
        for some in fitting(plain):
            # Ids and values are there once each: as many ids as values means that every value is one.
            if self._counted and await self._count(some) == len(some):
                continue
            found = await look_up(self._store, self._collection, self._key, some)
            absent.update((at, each) for each in some if (at := key(each)) not in found)
        return absent

    async def stale(self, listed: list[Document]) -> list[Pair]:
        """Return the pairs of a key and a copy where the target is there and holds something else.

        Args:
            listed: The pairs as groups: the key is ``_id.v``, the copy ``_id.c``.
        """
        pairs = [each["_id"] for each in listed]
        held = self._held if self._held is not None else await self._named(pairs)
        left = [
            pair
            for pair in pairs
            if not (
                type(value := pair.get("c")) in _PLAIN
                and type(via := pair.get("v")) in _PLAIN
                and type(original := held.get(via)) is type(value)
                and original == value
            )
        ]
        return [
            (via, pair.get("c"))
            for pair in left
            if (via := pair.get("v")) is not None
            and (original := held.get(key(via), ABSENT)) is not ABSENT
            and not same(pair.get("c"), original)
        ]

    def _values(self, batch: list[Document]) -> list[Any]:
        if len(self._steps) == 1:
            name = self._steps[0]
            return [each.get(name) for each in batch]
        return [null(value_at(each, self._steps)) for each in batch] if self._steps else [None] * len(batch)

    async def _count(self, values: list[Any]) -> int:
        return await self._store.count_documents(self._collection, {self._key: {"$in": values}}, collation=SIMPLE)

    async def _named(self, pairs: list[Document]) -> dict[Hashable, Any]:
        """Return what the targets of some pairs hold, by key."""
        vias = [via for pair in pairs if sought(via := pair.get("v")) and queryable(via)]
        values = list({key(via): via for via in vias}.values())
        found: dict[Hashable, Any] = {}
        for some in fitting(values):
            also = [self._field] if self._field is not None else []
            documents = await look_up(self._store, self._collection, self._key, some, also)
            found.update(zip(documents, self._values(list(documents.values())), strict=True))
        return found


def null(value: Any) -> Any:
    """Return null for what is absent: a copy of it is null, or absent."""
    return None if value is ABSENT else value
