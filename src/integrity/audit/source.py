"""What is known of a collection before it is read: what kind it is, how large, how it compares strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure

from integrity.store.indexes import built
from integrity.store.port import Document, Store

_BATCH_BYTES = 8_000_000
_BATCH_MOST = 1000
_BATCH_UNKNOWN = 200

SIMPLE = {"locale": "simple"}


@dataclass(frozen=True)
class Index:
    """A complete index with simple comparison.

    Args:
        name: Its name.
        fields: Its fields in order.
        unique: Whether it is unique.
    """

    name: str
    fields: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True)
class Source:
    """A collection as the server describes it.

    Args:
        name: Its name.
        kind: ``"collection"``, ``"view"`` or ``"timeseries"``.
        collation: Its default collation, where it has one.
        average: The average size of a document in bytes; None where the server does not say.
        documents: How many there are, as far as it is known.
        indexes: Its indexes that hold every document.
    """

    name: str
    kind: str = "collection"
    collation: Document | None = None
    average: int | None = None
    documents: int = 0
    indexes: tuple[Index, ...] = ()

    @property
    def exact(self) -> dict[str, Any]:
        """The options by which a query compares strings exactly, whatever the collection's default is."""
        return {"collation": SIMPLE} if self.collation is not None else {}

    @property
    def batch(self) -> int:
        """As many documents as fill a batch's bytes; few where the server does not say how large they are."""
        if not self.average:
            return _BATCH_UNKNOWN
        return max(1, min(_BATCH_MOST, _BATCH_BYTES // self.average))

    @property
    def partitionable(self) -> bool:
        """Whether it has an index on ``_id`` by which a part of it can be read."""
        return self.kind == "collection"


def identity(listed: Document) -> str:
    """Return what tells a collection from one that takes its place; the same of all that have no more than a name.

    Args:
        listed: The collection's entry of ``listCollections``.
    """
    return str((listed.get("info") or {}).get("uuid") or "")


async def describe(store: Store, listed: Document) -> Source:
    """Return what is known of a collection.

    Args:
        store: The database.
        listed: The collection's entry of ``listCollections``.
    """
    name, kind = listed["name"], listed.get("type") or "collection"
    options = listed.get("options") or {}
    try:
        stats = await store.command("collStats", name)
    except OperationFailure:  # a view, or no right to ask
        stats = {}
    return Source(
        name=name,
        kind=kind,
        collation=options.get("collation"),
        average=int(stats.get("avgObjSize") or 0) or None,
        documents=int(stats.get("count") or 0),
        indexes=() if kind != "collection" else await _indexes(store, name),
    )


async def _indexes(store: Store, name: str) -> tuple[Index, ...]:
    try:
        found = await built(store, name)
    except OperationFailure:  # no right to ask
        return ()
    return tuple(
        Index(index, tuple(key for key, _ in each["key"]), bool(each.get("unique")))
        for index, each in found.items()
        # A partial or sparse index lacks documents; a hidden one is not used; a collated one compares otherwise.
        if not {"partialFilterExpression", "sparse", "hidden", "collation"} & set(each)
        and all(direction in {1, -1} for _, direction in each["key"])
    )
