"""Replies of a cursor as they come: the documents in them are not taken apart.

PyMongo's cursors of raw batches make an object of every document, and then one stream of bytes of all: that takes as
long as to look through it. Here the reply's array is cut out of the reply. The driver has no public word for it; where
it unpacks replies in some other way, or a reply is not as it is expected, the driver's own way is taken.

Source: https://www.mongodb.com/docs/manual/reference/command/find/ (output: ``cursor.firstBatch``, ``nextBatch``).
"""

from __future__ import annotations

import struct
import weakref
from typing import Any

import bson

_INT = struct.Struct("<i")
_EMPTY = b"\x05\0\0\0\0"
#: What a reply begins with after its length, and what the cursor in it does: a type and a name.
_CURSOR = b"\x03cursor\0"
_BATCHES = {b"\x04firstBatch\0": "firstBatch", b"\x04nextBatch\0": "nextBatch"}


class Elements(bytes):
    """An array's elements, each a document with its type and its number before it."""

    __slots__ = ()


def uncut(cursor: Any) -> Any:
    """Let a cursor of raw batches return each reply's array as `Elements`, and return it."""
    own = getattr(cursor, "delegate", cursor)  # Motor's
    if hasattr(own, "_unpack_response"):
        usual = type(own)._unpack_response  # noqa: SLF001 - see above
        # Not the cursor itself: the driver closes on the server what nobody refers to.
        this = weakref.ref(own)

        def unpacked(response: Any, *args: Any, **options: Any) -> Any:
            found = _unpacked(response)
            return usual(this(), response, *args, **options) if found is None else found

        own._unpack_response = unpacked  # noqa: SLF001 - see above
    return cursor


def _unpacked(response: Any) -> list[Any] | None:
    """Return a reply with its array as one piece; None where it is another reply than that."""
    data = getattr(response, "payload_document", None)
    if not isinstance(data, bytes | memoryview):
        return None
    inside = _INT.size + len(_CURSOR)
    batch = inside + _INT.size
    if bytes(data[_INT.size : inside]) != _CURSOR:
        return None
    head = next((each for each in _BATCHES if bytes(data[batch : batch + len(each)]) == each), None)
    if head is None:
        return None
    at = batch + len(head)
    size, length = _INT.unpack_from(data, inside)[0], _INT.unpack_from(data, at)[0]
    rest = bytes(data[at + length : inside + size])
    cursor = _INT.pack(size - length + len(_EMPTY)) + head + _EMPTY + rest
    beyond = bytes(data[inside + size :])
    reply = bson.decode(_INT.pack(inside + len(cursor) + len(beyond)) + _CURSOR + cursor + beyond)
    elements = Elements(data[at + _INT.size : at + length - 1])
    reply["cursor"][_BATCHES[head]] = [elements] if elements else []
    return [reply]
