"""Lists of values that are looked up: in order, some at a time, in parts that fit a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions

from integrity.store.codecs import CODEC
from integrity.store.port import Batches, Document

#: Values listed at once, and so many in one ``$in``.
KEYS = 10_000
#: Values sorted at once; some 8 MB of numbers.
_GATHERED = 100_000
_SMALL = frozenset({int, float, ObjectId, type(None)})
#: Bytes of one ``$in``, of the 16 MB that a command may have.
_IN_BYTES = 8_000_000
_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)


async def values(batches: Batches) -> AsyncIterator[list[Any]]:
    """Yield the groups' values, but null: neighbours together, which an index finds in half the time."""
    held: list[Any] = []
    while batch := await batches.next(KEYS):
        held += [each["_id"] for each in batch if each.get("_id") is not None]
        # Numbers and ObjectIds are small; of what may be long there is no more than came together.
        if len(held) >= _GATHERED or not _SMALL.issuperset(map(type, batch[0].values())):
            for some in _in_order(held):
                yield some
            held = []
    for some in _in_order(held):
        yield some


def _in_order(values: list[Any]) -> Iterator[list[Any]]:
    with suppress(TypeError):  # of several types: any order will do
        values.sort()
    for start in range(0, len(values), KEYS):
        yield values[start : start + KEYS]


def fitting(values: list[Any]) -> Iterator[list[Any]]:
    """Yield the values in as many parts as fit a command each."""
    if len(values) > 1 and not fits(values):
        yield from fitting(values[: len(values) // 2])
        yield from fitting(values[len(values) // 2 :])
    elif values:
        yield values


def fits(values: list[Any]) -> bool:
    """Whether a command holds all of the values."""
    return len(bson.encode({"": values}, codec_options=_CODEC)) <= _IN_BYTES
