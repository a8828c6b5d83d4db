"""The record of a document in quarantine: written before the document goes, and taken back where it stays.

On a server without transactions these are two commands, and a process that is killed between them leaves the document
in both places. Who sets it aside next finds that record by the document's bytes, and takes it over: its own is written
in the place of the one that was left, if that is still as it was. So there is one record of one document, and whoever
finds another one's in the place of its own has nothing to take back: of two repairs that set a document aside at the
same time, neither removes the record that the other relies on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument

from integrity.repair.verbatim import as_it_is, encoded
from integrity.store.codecs import raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes.references.durable import durable

#: By which the records of a document are found.
INDEXED = "document._id"


def collection_of(name: str) -> str:
    """Return where a collection's documents are moved to."""
    return f"{name}.quarantine"


@dataclass(frozen=True)
class Record:
    """A record that is to be written.

    Args:
        collection: Where.
        id: Its ``_id``.
        data: Its bytes.
        left: The bytes of the record that stands there, of a repair that did not come to its end; None where none does.
    """

    collection: str
    id: Any
    data: bytes
    left: bytes | None = None

    async def write(self, store: Store, options: Mapping[str, Any]) -> bool:
        """Write it; return whether what was left there was still as it was.

        Args:
            store: The database.
            options: PyMongo's ``session``, when there is one.
        """
        whole: Any = raw_document(self.data)
        if self.left is None:
            await store.insert_one(self.collection, whole, **options)
            return True
        return await self._exchanged(store, self.left, whole, options)

    async def withdraw(self, store: Store, options: Mapping[str, Any]) -> None:
        """Take it back, as the document stays; what was left there is there again."""
        if self.left is None:
            await self.remove(store, options)
        else:
            # Its maker may be at work still, and have taken the document away: not to be removed.
            await self._exchanged(store, self.data, raw_document(self.left), options)

    async def remove(self, store: Store, options: Mapping[str, Any]) -> None:
        """Remove it, as the document is where it was; if nobody has mended it, or taken it over."""
        await store.delete_one(self.collection, {"_id": self.id, **as_it_is(self.data)}, **options)

    async def _exchanged(self, store: Store, old: bytes, new: Any, options: Mapping[str, Any]) -> bool:
        done = await store.replace_one(self.collection, {"_id": self.id, **as_it_is(old)}, new, **options)
        return bool(done.matched_count)


class Records:
    """Makes the records of one collection's documents.

    Args:
        store: The database.
        name: The collection's name.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._bytes = store.for_bytes()
        self._collection = collection_of(name)
        self._indexed = False

    async def of(self, run: str, document: bytes, violations: Sequence[Violation]) -> Record:
        """Return the record of a document that is to be set aside.

        Args:
            run: The name of the repair's run.
            document: The document.
            violations: What is wrong with it.
        """
        own = decoded(document).get("_id")
        left = await self._left(own, document)
        name = {"run": run, "id": own} if left is None else decoded(left)["_id"]
        found: Document = {
            "_id": name,
            "at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
            "violations": [
                {
                    "code": each.code,
                    "path": _escaped(each.path),
                    "message": _escaped(each.message),
                    "hint": _escaped(each.hint),
                }
                for each in violations
            ],
            # What tells it from the one in whose place it stands.
            **({} if left is None else {"by": run}),
            "document": raw_document(document),
        }
        return Record(self._collection, name, encoded(found), left)

    async def _left(self, id: Any, document: bytes) -> bytes | None:
        """Return the record of a document that was set aside before, in the same bytes; None where there is none."""
        if not self._indexed:
            await durable(self._store).call(self._collection, "create_index", INDEXED)
            self._indexed = True
        batches = self._bytes.find(self._collection, {INDEXED: {"$eq": id}}, sort=[("_id", 1)])
        try:
            while batch := await batches.next():
                for each in batch:
                    found: Any = raw_document(each.raw)  # type: ignore[attr-defined]  # a RawBSONDocument
                    kept = found.get("document")
                    if isinstance(kept, RawBSONDocument) and kept.raw == document:
                        return bytes(found.raw)
        finally:
            await batches.close()
        return None


def _escaped(text: str) -> str:
    """Return text as it can be stored: a name of the document may be no valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
