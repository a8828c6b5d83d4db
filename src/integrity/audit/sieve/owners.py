"""The owners of copies, by their keys: held as they are stored, and found by columns.

An owner that is stored in an odd way, of a key that is not plain or long, or with another of the same number, is not
held: of what refers to it nothing is said here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from integrity.audit.sieve.alike import PLAIN, Hashes, hashed, identical
from integrity.audit.sieve.fields import ABSENT, Fields, Steps
from integrity.audit.sieve.page import NULL, Bytes, Column, Mask, Offsets, Page

#: Bytes of what is held, and of one value: longer ones are compared by Python.
_BYTES, _LONG = 24_000_000, 2048
#: Hashes of the same first bits that are looked at: of a random number, hardly ever there are as many.
_ALIKE = 5
_NOTHING = np.zeros(0, np.int64)


class Owners:
    """The owners of copies.

    Args:
        field: The steps to the field that is copied.
    """

    def __init__(self, field: Steps) -> None:
        self._paths = list(dict.fromkeys([("_id",), field]))
        self._fields = Fields(self._paths)
        self._raw = bytearray()
        self._parts: list[tuple[Hashes, Bytes, Offsets, Bytes, Offsets]] = []
        self._page = Page(b"")
        self._hashes: Hashes = np.zeros(0, np.uint64)
        #: Where the hashes with the same first bits begin: of these there is one at most, mostly.
        self._begins: NDArray[np.int32] = np.zeros(0, np.int32)
        self._shift = np.uint64(0)
        self._keys = self._values = Column(self._page, np.zeros(0, np.uint8), _NOTHING)

    def add(self, raw: bytes) -> bool:
        """Take up a reply of owners; return whether there is room for more."""
        page = Page(raw)
        columns, odd = self._fields.of(page, page.starts)
        key, value = columns[0], columns[-1]
        kept = np.flatnonzero(~odd & _short(key))
        key, value = key.part(kept), value.part(kept)
        base = len(self._raw)
        self._raw += raw
        self._parts.append((hashed(key), key.types, key.at + base, value.types, value.at + base))
        return len(self._raw) <= _BYTES

    def close(self) -> None:
        """Put the owners in order: there are no more."""
        if not self._parts:
            return
        hashes, types, at, value_types, values = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        order = np.argsort(hashes)
        hashes = hashes[order]
        # Two keys of one number: the same key twice, or not; neither is found.
        twice = np.zeros(len(hashes), np.bool_)
        again = hashes[1:] == hashes[:-1]
        twice[1:] |= again
        twice[:-1] |= again
        order, self._hashes = order[~twice], hashes[~twice]
        bits = max(1, (2 * len(order)).bit_length())
        self._shift = np.uint64(64 - bits)
        begins = np.arange(1 << bits, dtype=np.uint64) << self._shift
        self._begins = np.searchsorted(self._hashes, begins).astype(np.int32)
        self._page = Page(bytes(self._raw))
        self._keys = Column(self._page, types[order], at[order])
        self._values = Column(self._page, value_types[order], values[order])
        self._parts, self._raw = [], bytearray()

    def __len__(self) -> int:
        return len(self._hashes)

    def faithful(self, via: Column, copy: Column) -> Mask:
        """Return which copies are surely what their owners have.

        Args:
            via: The keys of the owners.
            copy: What was copied.
        """
        found = np.zeros(len(via), np.bool_)
        rows = np.flatnonzero(_short(via))
        if not rows.size or not len(self):
            return found
        via = via.part(rows)
        wanted = hashed(via)
        place = self._places(wanted)
        hit = identical(via, self._keys.part(place))
        rows, place = rows[hit], place[hit]
        value, original = copy.part(rows), self._values.part(place)
        # A copy of what is not there, or null, is either too.
        found[rows] = _nothing(value) & _nothing(original)
        plain = np.flatnonzero(_short(value) & (value.types == original.types))
        found[rows[plain]] = identical(value.part(plain), original.part(plain))
        return found

    def _places(self, wanted: Hashes) -> Offsets:
        """Return where the owners with these hashes are held; of what is not held, where some other one is."""
        last = len(self) - 1
        place: Offsets = np.minimum(self._begins[wanted >> self._shift], last)
        left = np.flatnonzero(self._hashes[place] != wanted)
        for _ in range(_ALIKE):
            if not left.size:
                break
            place[left] = np.minimum(place[left] + 1, last)
            left = left[self._hashes[place[left]] != wanted[left]]
        return place


def _nothing(column: Column) -> Mask:
    found: NDArray[np.bool_] = (column.types == NULL) | (column.types == ABSENT)
    return found


def _short(column: Column) -> Mask:
    """Return which values are plain, and short enough to be looked through."""
    return PLAIN[column.types] & (column.sizes <= _LONG)
