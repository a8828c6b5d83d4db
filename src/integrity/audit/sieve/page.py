"""A batch of documents as the server stores them, and places in it: many of one kind are a column.

BSON says of each value how long it is, so that the same field of many documents is found at once, by arithmetic on
arrays of offsets; no document is decoded.

Source: https://bsonspec.org/spec.html (1.1: document, element, types).
"""

from __future__ import annotations

import struct
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from integrity.store.pages import Elements

Offsets = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

STRING, OBJECT, ARRAY, BINARY, NULL = 0x02, 0x03, 0x04, 0x05, 0x0A
DOUBLE, BOOLEAN, DATE, INT, LONG, DECIMAL = 0x01, 0x08, 0x09, 0x10, 0x12, 0x13
CODE, SYMBOL, SCOPED_CODE = 0x0D, 0x0E, 0x0F
#: The type of what ends a document.
END = 0x00

#: Bytes of a length.
LENGTH = 4
_INT = struct.Struct("<I")
_WORD = 8
#: Where a value ends cannot be said by its length alone: a regular expression, a DBPointer, no type at all.
_UNSAID = -1

_FIXED = {
    DOUBLE: 8, 0x06: 0, 0x07: 12, BOOLEAN: 1, DATE: 8, NULL: 0, INT: 4, 0x11: 8, LONG: 8, DECIMAL: 16, 0x7F: 0,
    0xFF: 0,
}  # fmt: skip
#: What stands before, or besides, the bytes that the length counts.
_COUNTED = {STRING: 4, OBJECT: 0, ARRAY: 0, BINARY: 5, CODE: 4, SYMBOL: 4, SCOPED_CODE: 0}
_SIZES = np.full(256, _UNSAID, np.int64)
_BESIDE = np.full(256, _UNSAID, np.int64)
for _type, _bytes in _FIXED.items():
    _SIZES[_type] = _bytes
for _type, _bytes in _COUNTED.items():
    _BESIDE[_type] = _bytes

#: Words of a string that are looked at one by one.
_SHORT = 8
_HIGH = np.uint64(0x8080808080808080)
#: The first so many bytes of a word.
MASKS = np.array([(1 << (8 * each)) - 1 for each in range(_WORD)] + [2**64 - 1], np.uint64)


class Page:
    """Documents one after the other.

    Args:
        raw: Their bytes; `Elements`, where each has its number in the reply before it.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        # Words are read at any place: the last ones reach beyond the end.
        padded = raw + bytes(2 * _WORD)
        self.bytes: Bytes = np.frombuffer(padded, np.uint8)
        many = len(padded) - _WORD
        self.last = many - 1
        self.words: NDArray[np.uint64] = np.ndarray((many,), "<u8", padded, strides=(1,))
        self._ints: NDArray[np.int32] = np.ndarray((many,), "<i4", padded, strides=(1,))

    @cached_property
    def starts(self) -> Offsets:
        """Where each document begins."""
        found: list[int] = []
        at, raw, end, length, begins = 0, self.raw, len(self.raw), _INT.unpack_from, found.append
        numbered = isinstance(raw, Elements)
        digits = 0
        while at < end:
            # Before an element are its type, its number and a zero; the number soon has a digit more.
            digits += numbered
            head = digits + 2 if numbered else 0
            for _ in range(10**digits - len(found) if numbered else len(raw)):
                at += head
                if at >= end:
                    break
                begins(at)
                at += length(raw, at)[0]
        return np.array(found, np.int64)

    @cached_property
    def _high(self) -> NDArray[np.int32]:
        """How many of the words before each are not of ASCII alone."""
        whole = self.bytes[: len(self.bytes) // _WORD * _WORD].view("<u8")
        found = np.zeros(len(whole) + 1, np.int32)
        np.cumsum(whole & _HIGH != 0, out=found[1:])
        return found

    def lengths(self, at: Offsets) -> Offsets:
        """Return the 32-bit integers at these places."""
        return self._ints[at].astype(np.int64)

    def ascii(self, at: Offsets, sizes: Offsets, first: NDArray[np.uint64]) -> Mask:
        """Return which pieces are ASCII.

        Args:
            at: Where they begin.
            sizes: How many bytes they have.
            first: Their first words.
        """
        found: Mask = first & MASKS[np.minimum(sizes, _WORD)] & _HIGH == 0
        if (long := np.flatnonzero(sizes > _WORD)).size:
            found[long] &= self._ascii_behind(at[long] + _WORD, at[long] + sizes[long])
        return found

    def _ascii_behind(self, place: Offsets, end: Offsets) -> Mask:
        """Return which pieces are ASCII, of which the first word is not looked at."""
        last = end - _WORD
        found: Mask = self.words[last] & _HIGH == 0
        left = np.flatnonzero(place < last)
        for _ in range(_SHORT):
            if not left.size:
                return found
            found[left] &= self.words[place[left]] & _HIGH == 0
            place[left] += _WORD
            left = left[place[left] < last[left]]
        # Of long ones, what lies between in words of the page.
        begin = -(-place[left] // _WORD)
        found[left] &= self.words[place[left]] & _HIGH == 0
        found[left] &= self._high[np.maximum(end[left] // _WORD, begin)] == self._high[begin]
        return found


class Column:
    """Values at one place of many documents.

    Args:
        page: What they stand in.
        types: Their types.
        at: Where each begins.
        kind: The type, where it is known to be the same of all; -1 where it is not.
    """

    def __init__(self, page: Page, types: Bytes, at: Offsets, kind: int | None = None) -> None:
        self.page, self.types, self.at = page, types, at
        if kind is None:
            kind = int(types[0]) if len(types) and bool((types == types[0]).all()) else -1
        self.kind = kind

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def lengths(self) -> Offsets:
        """The lengths that the values begin with: of those types that do."""
        return self.page.lengths(self.at)

    @cached_property
    def sizes(self) -> Offsets:
        """How many bytes each takes; negative where that cannot be said."""
        if self.kind >= 0:
            if (size := int(_SIZES[self.kind])) >= 0:
                return np.full(len(self), size, np.int64)
            if (beside := int(_BESIDE[self.kind])) >= 0:
                return self.lengths + beside
            return np.full(len(self), _UNSAID, np.int64)
        found: Offsets = _SIZES[self.types]
        beside_ = _BESIDE[self.types]
        counted = beside_ >= 0
        found[counted] = self.page.lengths(self.at[counted]) + beside_[counted]
        return found

    def part(self, index: Offsets, kind: int | None = None) -> Column:
        """Return some of them."""
        return Column(self.page, self.types[index], self.at[index], kind)
