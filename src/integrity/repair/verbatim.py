"""Documents byte for byte: whether one can be written back as it is, and whether it is as it was."""

from __future__ import annotations

from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from integrity.declare.reserved import CONDEMNED
from integrity.store.codecs import CODEC, raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Document

_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)

NO_WAY_BACK = "it holds BSON that Python cannot write back byte for byte"


def encoded(document: Document) -> bytes:
    """Return a document as the core writes it."""
    return bson.encode(document, codec_options=_CODEC)


def writes_back(document: Document, data: bytes) -> bool:
    """Whether a document, as it was decoded, is written back as the bytes that it was read from.

    A name that is there twice is not, nor are types that Python has no word for.
    """
    try:
        return encoded(document) == data
    except (BSONError, UnicodeEncodeError, OverflowError, ValueError):
        return False


def decoded_id(document: Any) -> Any:
    """Return the ``_id`` of a document of bytes, as the core reads it."""
    return decoded(document.raw)["_id"]


def as_it_is(data: bytes) -> Document:
    """Return the condition that a document has these bytes.

    MongoDB calls 5 and 5.0 equal; the size tells most of such changes too.
    """
    # In arrays: MongoDB 4.4 takes a bare $$ROOT for a field's path, and fails to make a query of it.
    same = {"$eq": [["$$ROOT"], [{"$literal": raw_document(data)}]]}
    return {"$expr": {"$and": [{"$eq": [{"$bsonSize": "$$ROOT"}, len(data)]}, same]}}


def but_condemned(data: bytes) -> Document:
    """Return the condition that a document has these bytes, which also holds while its delete is under way."""
    fields = {"$filter": {"input": {"$objectToArray": "$$ROOT"}, "cond": {"$ne": ["$$this.k", CONDEMNED]}}}
    same = {"$objectToArray": {"$literal": raw_document(data)}}
    sizes = [{"$bsonSize": {"fields": each}} for each in (fields, same)]
    return {"$expr": {"$and": [{"$eq": sizes}, {"$eq": [fields, same]}]}}
