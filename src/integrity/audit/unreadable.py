"""Which document of a collection the driver cannot decode: its bytes are read as they are, until one is found."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from bson.errors import BSONError
from pymongo.errors import PyMongoError

from integrity.store.forgiving import decoded
from integrity.store.port import Store
from integrity.violation import quote

_SIZE_BYTES = 4
_END = b"\0"
#: The most that an index's entry had when it was limited, and an ``_id`` has always one.
_ID_BYTES = 1100


async def unreadable(store: Store, collection: str) -> str | None:
    """Return a clause that names a document that is no valid BSON; None where none is found.

    Args:
        store: The database.
        collection: The collection's name.
    """
    with suppress(PyMongoError, NotImplementedError):
        batches = store.for_bytes().find(collection, {})
        while batch := await batches.next():
            for each in batch:
                data = each.raw  # type: ignore[attr-defined]  # a RawBSONDocument
                try:
                    decoded(data)
                except BSONError:
                    await batches.close()
                    return f"the document with the _id {quote(_first(data))}"
    return None


def _first(data: bytes) -> Any:
    """Return the first value of a document that cannot be decoded as a whole: a server puts the ``_id`` first."""
    for end in range(_SIZE_BYTES + 1, min(len(data), _ID_BYTES)):
        size = (end + len(_END)).to_bytes(_SIZE_BYTES, "little")
        with suppress(BSONError):
            if found := decoded(size + data[_SIZE_BYTES:end] + _END):
                return found.get("_id")
    return None
