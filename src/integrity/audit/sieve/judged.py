"""Values of a column as Python has them, and what their place's validator says of them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from bson.errors import BSONError

from integrity.audit.sieve.page import LENGTH, STRING, Column, Mask
from integrity.audit.undecided import Asked
from integrity.declare.slot import VALUE, Slot
from integrity.store.forgiving import decoded

#: Values that are judged at once.
_TOGETHER = 100
_INT = struct.Struct("<i")
_NAME = VALUE.encode() + b"\0"
#: A document's length, the type of its one field, and what ends it.
_AROUND = LENGTH + 1 + len(_NAME) + 1
_UNREAD = object()


class Judged:
    """A place whose validator is asked.

    Args:
        slot: The place.
    """

    def __init__(self, slot: Slot) -> None:
        self._asked = Asked(slot)

    def faults(self, column: Column) -> Mask:
        """Return which values of a column are at fault."""
        found = np.zeros(len(column), np.bool_)
        read = _strings(column) if column.kind == STRING else _values(column)
        for start in range(0, len(read), _TOGETHER):
            some = read[start : start + _TOGETHER]
            if _UNREAD in some or not self._asked.clean(some):
                found[start : start + _TOGETHER] = [each is _UNREAD or self._asked.at_fault(each) for each in some]
        return found


def _strings(column: Column) -> list[Any]:
    raw = column.page.raw
    begin = column.at + LENGTH
    places = list(zip(begin.tolist(), (begin + column.lengths - 1).tolist(), strict=True))
    try:
        return [raw[start:end].decode() for start, end in places]
    except UnicodeDecodeError:
        return [_string(raw[start:end]) for start, end in places]


def _string(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _UNREAD


def _values(column: Column) -> list[Any]:
    raw = column.page.raw
    ends = column.at + column.sizes
    places = zip(column.types.tolist(), column.at.tolist(), ends.tolist(), strict=True)
    return [_value(kind, raw[start:end]) if end >= start else _UNREAD for kind, start, end in places]


def _value(kind: int, data: bytes) -> Any:
    try:
        return decoded(b"".join((_INT.pack(_AROUND + len(data)), bytes((kind,)), _NAME, data, b"\0")))[VALUE]
    except BSONError:
        return _UNREAD
