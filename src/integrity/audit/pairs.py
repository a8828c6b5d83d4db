"""The values of a reference with those of a copy, each pair once, beside what the owners hold.

Most pairs are of plain types and equal to their owner's: those are passed over by Python's own equality, which for
two values of one such type is MongoDB's; the others are compared by the rules of BSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Any

from bson import ObjectId

from integrity.audit.listed import fitting, in_order
from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Copy
from integrity.store.lookup import look_up, queryable
from integrity.store.port import Batches, Document, Store

Pair = tuple[Any, Any]

#: Pairs listed at once.
PAIRS = 10_000
#: Pairs sorted at once, and the characters in them: some 50 MB with what they lie in.
_GATHERED, _CHARACTERS = 250_000, 8_000_000
#: Documents in one reply: fewer than a command's 16 MB of short values.
_REPLY = 10_000
_PLAIN = frozenset({int, str, ObjectId})


async def gathered(batches: Batches) -> AsyncIterator[list[Pair]]:
    """Yield the pairs that refer to something, as many as may be held at once, by the reference's value."""
    held: list[Pair] = []
    characters = 0
    while batch := await batches.next(PAIRS):
        some = [(via, pair.get("c")) for pair in [each["_id"] for each in batch] if (via := pair.get("v")) is not None]
        characters += sum(len(value) for pair in some for value in pair if type(value) is str)
        held += some
        if len(held) >= _GATHERED or characters >= _CHARACTERS:
            in_order(held, by=lambda pair: pair[0])
            yield held
            held, characters = [], 0
    if held:
        in_order(held, by=lambda pair: pair[0])
        yield held


class Owners:
    """Reads what the owners of a copy hold.

    Args:
        store: The database.
        copy: The copy.
        counted: Whether the documents that it refers to are told by their ids and can be counted: a collection's.
    """

    def __init__(self, store: Store, copy: Copy, *, counted: bool) -> None:
        self._store = store
        self._collection = copy.via.target.collection
        self._key = copy.via.field
        self._field = copy.field
        self._counted = counted
        self._documents: int | None = None

    async def stale(self, pairs: list[Pair]) -> AsyncIterator[list[Pair]]:
        """Yield the pairs that differ from what their owners hold, of pairs in order, some at a time."""
        dense = await self._dense(pairs)
        for start in range(0, len(pairs), PAIRS):
            some = pairs[start : start + PAIRS]
            owners = await (self._between(some) if dense else self._named(some))
            left = [
                pair
                for pair in some
                if not (
                    type(value := pair[1]) in _PLAIN
                    and type(pair[0]) in _PLAIN
                    and type(original := owners.get(pair[0])) is type(value)
                    and original == value
                )
            ]
            if found := [pair for pair in left if _differs(pair, owners)]:
                yield found

    async def _dense(self, pairs: list[Pair]) -> bool:
        """Whether to read the owners from the first to the last is less than to look each up: half of them are named.

        Only where the values are of one type, and of one that a comparison reaches all of.
        """
        values = [via for via, _ in pairs]
        if not self._counted or len(values) < PAIRS or len(kinds := set(map(type, values))) > 1 or not kinds <= _PLAIN:
            return False
        if self._documents is None:
            self._documents = await self._store.estimated_document_count(self._collection)
        return len(set(values)) >= self._documents // 2

    async def _between(self, pairs: list[Pair]) -> dict[Hashable, Any]:
        within = {"_id": {"$gte": pairs[0][0], "$lte": pairs[-1][0]}}
        found: dict[Hashable, Any] = {}
        steps = tuple(self._field.split("."))
        batches = self._store.find(self._collection, within, projection={self._field: 1}, batch_size=_REPLY)
        while batch := await batches.next(_REPLY):
            found.update(_read(batch, steps))
        return found

    async def _named(self, pairs: list[Pair]) -> dict[Hashable, Any]:
        values = list({key(via): via for via, _ in pairs if queryable(via)}.values())
        found: dict[Hashable, Any] = {}
        steps = tuple(self._field.split("."))
        for some in fitting(values):
            documents = await look_up(
                self._store, self._collection, self._key, some, [self._field], batch_size=len(some) + 1
            )
            found.update((at, null(value_at(each, steps))) for at, each in documents.items())
        return found


def null(value: Any) -> Any:
    """Return null for what is absent: a copy of it is null, or absent."""
    return None if value is ABSENT else value


def _read(batch: list[Document], steps: tuple[str, ...]) -> Iterator[tuple[Hashable, Any]]:
    if len(steps) == 1:
        name = steps[0]
        return ((key(each["_id"]), each.get(name)) for each in batch)
    return ((key(each["_id"]), null(value_at(each, steps))) for each in batch)


def _differs(pair: Pair, owners: dict[Hashable, Any]) -> bool:
    original = owners.get(key(pair[0]), ABSENT)
    return original is not ABSENT and not same(pair[1], original)
