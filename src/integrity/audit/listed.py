"""Lists of values that are looked up: in order, and in parts that fit a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import bson
from bson.codec_options import CodecOptions

from integrity.store.port import CODEC, Document

#: Bytes of one ``$in``, of the 16 MB that a command may have.
_IN_BYTES = 8_000_000
_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)


def in_order(values: list[Any], by: Callable[[Any], Any] | None = None) -> None:
    """Sort values: neighbours are looked up together, which an index does in half the time."""
    with suppress(TypeError):  # of several types: any order will do
        values.sort(key=by)


def fitting(values: list[Any]) -> Iterator[list[Any]]:
    """Yield the values in as many parts as fit a command each."""
    if values and len(values) > 1 and len(bson.encode({"": values}, codec_options=_CODEC)) > _IN_BYTES:
        yield from fitting(values[: len(values) // 2])
        yield from fitting(values[len(values) // 2 :])
    elif values:
        yield values
