"""Looking documents up by key: what references, copies and unique constraints are judged by."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import bson
from bson import ObjectId, Regex
from bson.codec_options import CodecOptions

from integrity.declare.equality import key
from integrity.declare.extract import ABSENT, value_at
from integrity.store.codecs import CODEC
from integrity.store.port import Document, Store

#: Keys in one ``$in``: as many as keep a reply in few batches.
CHUNK = 5000
#: Documents in the first batch of a reply.
#: Source: https://www.mongodb.com/docs/manual/reference/command/find/#std-label-find-cmd-batchSize
FIRST_BATCH = 101
#: Bytes of long keys in one ``$in``, or of documents in one command: half of what a command holds.
BYTES = 8_000_000
_CODEC: CodecOptions[Any] = CodecOptions(**CODEC)
_SESSION = {"session"}
_LONG = (str, bytes, dict, list)
#: Types of keys that are told apart as Python does.
PLAIN = frozenset({int, str, ObjectId})


async def look_up(
    store: Store, collection: str, field: str, keys: Iterable[Any], also: Iterable[str] = (), **options: Any
) -> dict[Hashable, Document]:
    """Return the documents of `collection` whose `field` equals one of `keys`, by `equality.key` of that value.

    An array that merely contains a key is not equal to it. Of several documents with one key, one is returned.

    Args:
        store: The database.
        collection: The collection's name.
        field: The dotted name of the field.
        keys: The values to look for; duplicates are asked for once.
        also: The dotted names of further fields to read.
        options: PyMongo's options of ``find``, such as ``session``.
    """
    keys = list(keys)
    projection = _projection((field, *also))
    if field == "_id" and len(keys) == 1 and type(keys[0]) in PLAIN and options.keys() <= _SESSION:
        # What an insert under one reference looks for: one document, by its name.
        (at,) = keys
        one = await store.one(collection, {field: at}, projection, options.get("session"))
        # By the collection's own collation "A" may be found for "a".
        return {at: one} if one is not None and (one["_id"] is at or key(one["_id"]) == at) else {}
    wanted = {key(each): each for each in keys}
    steps = tuple(field.split("."))
    found: dict[Hashable, Document] = {}
    for values in pieces(wanted.values()):
        # One reply where it fits: a server's first batch is 101 documents otherwise.
        sized = {"batch_size": len(values) + 1, **options} if len(values) > FIRST_BATCH else options
        batches = store.find(collection, having(field, values), projection=projection, **sized)
        while batch := await batches.next(CHUNK):
            for document in batch:
                value = value_at(document, steps)
                if value is not ABSENT and (at := key(value)) in wanted:
                    found.setdefault(at, document)
    return found


def width(values: Iterable[Any], most: int, size: int = BYTES) -> int:
    """Return how many of some values stand in one command, were all as long as the longest of them.

    Args:
        values: Keys, most of which are a few bytes long.
        most: The most, however short they are.
        size: Their bytes: a command is a document, of 16 MB at most.
    """
    longest = max(map(measured, values), default=1)
    return max(1, min(most, size // max(longest, 1)))


def measured(value: Any) -> int:
    """Return the bytes of a value that may be long; the others are few bytes, and are not measured."""
    return len(bson.encode({"": value}, codec_options=_CODEC)) if isinstance(value, _LONG) else 0


def pieces(values: Iterable[Any], most: int = CHUNK, size: int = BYTES) -> Iterator[list[Any]]:
    """Yield values, no more at a time than one command holds.

    Args:
        values: Keys, most of which are a few bytes long.
        most: The most in one piece, however short they are.
        size: Their bytes.
    """
    chunk: list[Any] = []
    held = 0
    for each in values:
        long = measured(each)
        if chunk and (len(chunk) == most or held + long > size):
            yield chunk
            chunk, held = [], 0
        chunk.append(each)
        held += long
    if chunk:
        yield chunk


def having(field: str, values: list[Any]) -> Document:
    """Return a filter for the documents whose `field` equals one of `values`, or has it in an array."""
    plain = [each for each in values if queryable(each)]
    if len(plain) == len(values):
        return {field: {"$in": plain}}
    exact = [{field: {"$eq": each}} for each in values if not queryable(each)]
    return {"$or": [{field: {"$in": plain}}, *exact]}


def queryable(value: Any) -> bool:
    """Whether ``$in`` takes a value for itself: a Regex is a pattern there, and ``{"$gt": 1}`` an error."""
    if isinstance(value, dict):
        return not str(next(iter(value), "")).startswith("$")
    return not isinstance(value, Regex | re.Pattern)


@lru_cache(maxsize=1024)
def _projection(fields: tuple[str, ...]) -> dict[str, Any]:
    """Return a projection without paths that contain one another, which MongoDB refuses."""
    kept = [each for each in dict.fromkeys(fields) if not any(each.startswith(f"{other}.") for other in fields)]
    projection: dict[str, Any] = dict.fromkeys(kept, 1)
    if not any(each == "_id" or each.startswith("_id.") for each in kept):
        projection["_id"] = 1
    return projection
