"""What finds a fault in a column of values: by their type, and then by what is expected of that type.

Each test may call a value faulty that is not, and never the other way round.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from integrity.audit import expected
from integrity.audit.sieve.page import (
    ARRAY,
    BINARY,
    BOOLEAN,
    CODE,
    DATE,
    DECIMAL,
    DOUBLE,
    INT,
    LENGTH,
    LONG,
    NULL,
    OBJECT,
    SCOPED_CODE,
    STRING,
    SYMBOL,
    Column,
    Mask,
)

#: Says of a column of one type which values are at fault; None: none of them is.
Test = Callable[[Column], Mask] | None

TYPES: Mapping[str, int] = {
    "double": DOUBLE, "string": STRING, "object": OBJECT, "array": ARRAY, "binData": BINARY, "objectId": 0x07,
    "bool": BOOLEAN, "date": DATE, "null": NULL, "regex": 0x0B, "dbPointer": 0x0C, "javascript": CODE, "symbol": SYMBOL,
    "javascriptWithScope": SCOPED_CODE, "int": INT, "timestamp": 0x11, "long": LONG, "decimal": DECIMAL, "minKey": 0xFF,
    "maxKey": 0x7F,
}  # fmt: skip

_UUID_SUBTYPE, _UUID_BYTES = 4, 16
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - as the bounds are
_WORD = 8
#: Of a decimal's upper half, the bits that are all set where it is no finite number.
_INFINITE = np.uint64(0x7800000000000000)
_EMPTY_BYTES = 5


class Value:
    """A place.

    Args:
        tests: What is valid there: by type, what finds a fault; a type that is not named is at fault.
    """

    def __init__(self, tests: Mapping[int, Test]) -> None:
        self._tests = dict(tests)
        self._known = np.zeros(256, np.bool_)
        self._known[list(tests)] = True

    def faults(self, column: Column) -> Mask:
        """Return which values are at fault."""
        if column.kind >= 0:
            if not self._known[column.kind]:
                return np.ones(len(column), np.bool_)
            test = self._tests[column.kind]
            return np.zeros(len(column), np.bool_) if test is None else test(column)
        found: Mask = ~self._known[column.types]
        for kind, test in self._tests.items():
            if test is not None and (index := np.flatnonzero(column.types == kind)).size:
                found[index] = test(column.part(index, kind))
        return found


def scalars(wanted: expected.Scalar, text: Callable[[expected.Text], Test], judged: Test) -> dict[int, Test]:
    """Return the tests of a kind of scalar.

    Args:
        wanted: What is expected.
        text: Makes the test of strings.
        judged: Asks the place's own validator: for the rare kind that no column tells.
    """
    match wanted:
        case expected.Typed():
            found: dict[int, Test] = {TYPES[each]: None for each in wanted.types if each != "uuid"}
            if CODE in found:
                found[CODE] = foreign
            return found if BINARY in found or "uuid" not in wanted.types else {**found, BINARY: _no_uuid}
        case expected.Between(type="date"):
            return {DATE: _outside(_milliseconds(wanted.low), _milliseconds(wanted.high))}
        case expected.Between():
            return {BINARY: _no_uuid}
        case expected.Number(kind="decimal"):
            finite = set(map(str, wanted.bounds.values())) == {"Infinity", "-Infinity"}
            return {DECIMAL: (infinite_decimal if finite else judged) if wanted.bounds else None}
        case expected.Number():
            return {TYPES[each]: _number(TYPES[each], wanted) for each in wanted.types}
        case expected.Text():
            return {STRING: text(wanted)}
        case expected.Literals():
            return among(wanted.values)


def _milliseconds(date: dt.datetime) -> int:
    return (date - _EPOCH) // dt.timedelta(milliseconds=1)


def longs(column: Column) -> NDArray[np.int64]:
    """Return the values of a column of 64-bit integers, or of dates."""
    return column.page.words[column.at].view(np.int64)


def doubles(column: Column) -> NDArray[np.float64]:
    """Return the values of a column of doubles."""
    return column.page.words[column.at].view(np.float64)


def _numbers(column: Column) -> NDArray[np.int64] | NDArray[np.float64]:
    if column.kind == INT:
        return column.lengths
    return doubles(column) if column.kind == DOUBLE else longs(column)


def _outside(low: int, high: int) -> Test:
    def test(column: Column) -> Mask:
        values = longs(column)
        found: Mask = (values < low) | (values > high)
        return found

    return test


def _no_uuid(column: Column) -> Mask:
    found: Mask = (column.lengths != _UUID_BYTES) | (column.page.bytes[column.at + LENGTH] != _UUID_SUBTYPE)
    return found


def foreign(column: Column) -> Mask:
    """Find the texts with more than ASCII in them, which may be no UTF-8."""
    begin = column.at + LENGTH
    return ~column.page.ascii(begin, column.lengths - 1, column.page.words[begin])


def infinite(column: Column) -> Mask:
    """Find the doubles that are no finite number."""
    return ~np.isfinite(doubles(column))


def infinite_decimal(column: Column) -> Mask:
    """Find the decimals that are no finite number."""
    found: Mask = column.page.words[column.at + _WORD] & _INFINITE == _INFINITE
    return found


def empty(column: Column) -> Mask:
    """Find the arrays, or objects, without anything in them."""
    return column.lengths <= _EMPTY_BYTES


def _number(kind: int, wanted: expected.Number) -> Test:
    """Return the test of one type of number.

    NaN is on no side of a bound: what is no match of the bound is at fault.
    """
    bounds = [(name, bound) for name, bound in wanted.bounds.items() if kind == DOUBLE or math.isfinite(bound)]
    if kind != DOUBLE:
        # An integer is compared with integers: as a double, it would be another one where it is large.
        bounds = [(name, math.floor(each) if name in {"$gt", "$lte"} else math.ceil(each)) for name, each in bounds]
    step = wanted.step
    if not bounds and step is None:
        return None

    def test(column: Column) -> Mask:
        values = _numbers(column)
        fine = np.ones(len(column), np.bool_)
        for name, bound in bounds:
            fine &= _COMPARED[name](values, bound)
        if step is not None:
            fine &= values % step == 0
        return ~fine

    return test


_COMPARED: Mapping[str, Callable[..., Mask]] = {
    "$gt": np.greater,
    "$gte": np.greater_equal,
    "$lt": np.less,
    "$lte": np.less_equal,
}


def among(values: Iterable[object]) -> dict[int, Test]:
    """Return the tests of places where one of these strings, integers and booleans stands."""
    values = list(values)
    found: dict[int, Test] = {}
    if strings := [each.encode() for each in values if isinstance(each, str)]:
        found[STRING] = lambda column: ~equal(column, strings)
    if numbers := [each for each in values if type(each) is int]:
        found |= dict.fromkeys((INT, LONG), lambda column: ~np.isin(_numbers(column), numbers))
    if truths := [each for each in values if isinstance(each, bool)]:
        found[BOOLEAN] = lambda column: ~np.isin(column.page.bytes[column.at], truths)
    return found


def barring(tests: Mapping[int, Test], values: Iterable[object]) -> dict[int, Test]:
    """Return the tests with these values at fault besides: strings, integers and booleans, and no other type's."""
    own = among(values)
    return {kind: _either(test, own[kind]) if kind in own else test for kind, test in tests.items()}


def _either(test: Test, others: Test) -> Test:
    """Return a test for what either finds at fault: a test, or what is not among `others`."""
    assert others is not None

    def both(column: Column) -> Mask:
        found = ~others(column)
        return found if test is None else found | test(column)

    return both


def equal(column: Column, strings: Iterable[bytes]) -> Mask:
    """Return which strings of a column are one of these."""
    found = np.zeros(len(column), np.bool_)
    begin, sizes = column.at + LENGTH, column.lengths - 1
    for each in strings:
        hit = sizes == len(each)
        for at in range(0, len(each), _WORD):
            index = np.flatnonzero(hit)
            if not index.size:
                break
            piece = each[at : at + _WORD]
            mask = np.uint64((1 << (8 * len(piece))) - 1)
            hit[index] = column.page.words[begin[index] + at] & mask == int.from_bytes(piece, "little")
        found |= hit
    return found
