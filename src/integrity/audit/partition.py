"""Partitions: half-open ranges of ``_id`` that together are the collection, whatever types its ids have.

``{_id: {$gte: a, $lt: b}}`` compares within one type, and loses every id of another. ``min`` and ``max`` are
bounds of the index itself, over all types in BSON's order.

Sources: https://www.mongodb.com/docs/manual/reference/method/cursor.min/ (inclusive),
https://www.mongodb.com/docs/manual/reference/method/cursor.max/ (exclusive).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from integrity.audit.source import Source
from integrity.declare.equality import key
from integrity.store.port import Document, Store

#: Ids sampled for each bound: the sizes of the partitions then differ by a fifth or so.
_OVERSAMPLED = 20
#: A random cursor is used for samples of less than a twentieth of the documents.
_SAMPLED_MOST = 25


@dataclass(frozen=True)
class Partition:
    """A part of a collection.

    Args:
        lower: The first id, inclusive, in a tuple of one; empty where the partition has no lower bound.
        upper: The last id, exclusive, likewise.
        share: About which part of the documents it is.
    """

    lower: tuple[Any, ...] = ()
    upper: tuple[Any, ...] = ()
    share: float = 1.0

    @property
    def bounded(self) -> bool:
        """Whether it is less than the whole collection."""
        return bool(self.lower or self.upper)

    @property
    def options(self) -> dict[str, Any]:
        """PyMongo's options of ``find`` that, with `filter`, read this partition and nothing else."""
        if not self.bounded:
            # Without a hint, a predicate's index might be taken, and one that looks into arrays reads too much.
            return {"hint": [("$natural", 1)]}
        found: dict[str, Any] = {"hint": [("_id", 1)]}
        if self.lower and not self._last:
            found["min"] = {"_id": self.lower[0]}
        if self.upper:
            found["max"] = {"_id": self.upper[0]}
        return found

    def filter(self, filter_: Document) -> Document:
        """Return the filter by which `options` read what matches in this partition."""
        if not self._last:
            return filter_
        # An index is read from `min` up to MaxKey, and not with it; an expression compares over all types too.
        return {"$and": [filter_, {"$expr": {"$gte": ["$_id", {"$literal": self.lower[0]}]}}]}

    @property
    def _last(self) -> bool:
        return bool(self.lower) and not self.upper


async def partitions(store: Store, source: Source, size: int | None) -> list[Partition]:
    """Return the partitions of a collection, in the order of their ids.

    Args:
        store: The database.
        source: The collection.
        size: About how many documents each has; None for one partition, which is read in the order in which the
            documents lie, by a quarter faster than by their ids.
    """
    many = source.documents // size if size else 1
    # Bounds are compared by the index's own collation, and a filter's strings exactly: not both in one query.
    if many < 2 or not source.partitionable or source.collation is not None:  # noqa: PLR2004 - one is no partition
        return [Partition()]
    wanted = min(many * _OVERSAMPLED, source.documents // _SAMPLED_MOST)
    pipeline = [{"$sample": {"size": max(wanted, 1)}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}]
    batches = await store.aggregate(source.name, pipeline)
    ids = []
    while batch := await batches.next():
        ids += [each["_id"] for each in batch]
    # A random cursor may meet a document twice.
    distinct = list({key(each): each for each in ids}.values())
    step = max(1, len(distinct) // many)
    return list(between(distinct[step::step]))


def between(bounds: list[Any]) -> Iterator[Partition]:
    """Yield the partitions between ascending bounds, with one before the first and one after the last."""
    share = 1 / (len(bounds) + 1)
    lower: tuple[Any, ...] = ()
    for bound in bounds:
        yield Partition(lower, (bound,), share)
        lower = (bound,)
    yield Partition(lower, (), share)
