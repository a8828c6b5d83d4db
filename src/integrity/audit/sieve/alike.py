"""Values by their bytes: a number that is the same for values of the same bytes, and whether their bytes are the same.

Both are of values whose type says how long they are. Equal types and equal bytes are the same value; of other bytes
nothing is said, for 5 and 5.0 are equal to MongoDB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from integrity.audit.sieve.page import (
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL,
    DOUBLE,
    INT,
    LONG,
    MASKS,
    STRING,
    Column,
    Mask,
    Offsets,
)

#: The types of which one value is its bytes, and is read as what it is.
PLAIN = np.zeros(256, np.bool_)
PLAIN[[DOUBLE, STRING, BINARY, 0x07, BOOLEAN, DATE, INT, 0x11, LONG, DECIMAL]] = True
_WORD = 8
_ODD, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_BYTE, _SHIFT, _HALF = np.uint64(8), np.uint64(29), np.uint64(32)

Hashes = NDArray[np.uint64]


def hashed(column: Column) -> Hashes:
    """Return a number of each value's type and bytes."""
    sizes = column.sizes
    found: Hashes = (column.types.astype(np.uint64) + (sizes.astype(np.uint64) << _BYTE)) * _ODD
    found = _mixed(found, column.page.words[column.at] & MASKS[np.minimum(sizes, _WORD)])
    at = _WORD
    while (index := np.flatnonzero(sizes > at)).size:
        words = column.page.words[column.at[index] + at] & MASKS[np.minimum(sizes[index] - at, _WORD)]
        found[index] = _mixed(found[index], words)
        at += _WORD
    found *= _ODD
    return found ^ (found >> _HALF)


def _mixed(found: Hashes, words: Hashes) -> Hashes:
    mixed = (found ^ words) * _OTHER
    return mixed ^ (mixed >> _SHIFT)


def identical(first: Column, second: Column) -> Mask:
    """Return which values are the same in type and bytes.

    Args:
        first: Values.
        second: As many others.
    """
    sizes = first.sizes
    # Where the length may differ, it is among the bytes: they begin with it.
    found: Mask = first.types == second.types
    found &= _same(first.page.words[first.at], second.page.words[second.at], sizes)
    at = _WORD
    while (index := np.flatnonzero(found & (sizes > at))).size:
        ours, theirs = first.page.words[first.at[index] + at], second.page.words[second.at[index] + at]
        found[index] = _same(ours, theirs, sizes[index] - at)
        at += _WORD
    return found


def _same(first: Hashes, second: Hashes, left: Offsets) -> Mask:
    """Return which words are the same in as many bytes as are left."""
    same: Mask = (first ^ second) & MASKS[np.minimum(left, _WORD)] == 0
    return same
