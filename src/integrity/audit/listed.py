"""Lists of values that are looked up: in order, some at a time, in parts that fit a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions

from integrity.rules.walk import encodable
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
    """Yield the groups' values that can be asked for: neighbours together, which an index finds in half the time."""
    held: list[Any] = []
    while batch := await batches.next(KEYS):
        held += [value for each in batch if sought(value := each.get("_id"))]
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


def sought(value: Any) -> bool:
    """Whether a value is looked up: null is not, nor what is no UTF-8, which is at fault itself and in no command."""
    return value is not None and (not isinstance(value, str) or encodable(value))


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
