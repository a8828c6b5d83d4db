"""Quarantine: a document that breaks rules is moved to ``COLLECTION.quarantine``, and can be released from there.

What is moved, byte for byte, stands in the field ``document`` of its record, with what was wrong with it beside it.
It can be mended there, by hand, and released: it is then judged like any other document that is inserted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from integrity.declare.registry import Entry
from integrity.errors import RepairError
from integrity.repair.record import collection_of
from integrity.store.port import Document, Store
from integrity.violation import extended_json

_PAGE = 100


@dataclass(frozen=True)
class Held:
    """A document in quarantine.

    Args:
        collection: Where it was.
        record: The ``_id`` of its record.
        id: Its own ``_id``.
        at: Since when, in UTC.
        codes: What was wrong with it.
        document: The document.
    """

    collection: str
    record: Any
    id: Any
    at: dt.datetime
    codes: tuple[str, ...]
    document: Document


async def held(store: Store, entry: Entry, id: Any = None, *, every: bool = True) -> AsyncIterator[Held]:
    """Yield the documents of a model in quarantine.

    Args:
        store: The database.
        entry: The model's entry.
        id: The ``_id`` of one of them.
        every: Whether all of them are meant, and not the one.

    Raises:
        RepairError: There is a record that no repair has made.
    """
    filter_ = {} if every else {"document._id": {"$eq": id}}
    batches = store.find(collection_of(entry.collection), filter_, sort=[("_id", 1)], batch_size=_PAGE)
    try:
        while batch := await batches.next(_PAGE):
            for each in batch:
                yield _held(entry, each)
    finally:
        await batches.close()


def _held(entry: Entry, record: Document) -> Held:
    at, document, violations = (record.get(name) for name in ("at", "document", "violations"))
    known = isinstance(violations, list) and all(isinstance(each, dict) for each in violations)
    if not (known and isinstance(document, dict) and isinstance(at, dt.datetime)):
        raise RepairError(
            f"{collection_of(entry.collection)} holds a record that no repair has made, with the _id "
            f"{extended_json(record['_id'])!r}: move it elsewhere first."
        )
    codes = tuple(str(each.get("code", "")) for each in violations or ())
    return Held(entry.collection, record["_id"], document.get("_id"), at, codes, document)
