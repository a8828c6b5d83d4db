"""MongoDB's equality, in Python.

MongoDB compares numbers across their types and everything else within its type; an object equals another with the
same fields in the same order. Python calls True equal to 1 and knows nothing of Decimal128.

Source: https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import re
import uuid
from collections.abc import Hashable, Mapping
from typing import Any

from bson import Binary, Code, DBRef, Decimal128, ObjectId, Regex
from bson.datetime_ms import DatetimeMS

from integrity.declare import bson_type

_PLAIN = frozenset({str, ObjectId, int})


def key(value: Any) -> Hashable:  # noqa: C901, PLR0911, PLR0912 - one branch a type
    """Return a hashable that is equal for two values exactly when MongoDB calls the values equal."""
    cls = type(value)
    if cls in _PLAIN:
        return value  # type: ignore[no-any-return]  # one of three hashable classes
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return ("nan",) if math.isnan(value) else value
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return ("nan",) if number.is_nan() else number
    if isinstance(value, Mapping):
        return ("object", tuple((name, key(each)) for name, each in value.items()))
    if isinstance(value, list | tuple):
        return ("array", tuple(map(key, value)))
    if isinstance(value, dt.datetime):
        try:
            return ("date", DatetimeMS(value)._value)  # noqa: SLF001 - the milliseconds that BSON stores
        except OverflowError:  # offered, in the first or last hours of all years: it cannot be stored
            return ("date", value)
    if isinstance(value, DatetimeMS):
        return ("date", int(value))
    if isinstance(value, uuid.UUID):
        return ("binary", 4, value.bytes)
    if isinstance(value, Binary):
        return ("binary", value.subtype, bytes(value))
    if isinstance(value, bytes):
        return ("binary", 0, value)
    if isinstance(value, Regex):
        return ("regex", value.pattern, value.flags)
    if isinstance(value, DBRef):
        return key(value.as_doc())
    if isinstance(value, Code):
        return ("code", str(value), None if value.scope is None else key(value.scope))
    if isinstance(value, re.Pattern):
        return key(Regex.from_native(value))
    return value if isinstance(value, Hashable) else (type(value), repr(value))


def equal(first: Any, second: Any) -> bool:
    """Whether MongoDB calls two values equal."""
    return key(first) == key(second)


def token(value: Any) -> Hashable:
    """Return a hashable that is equal for two values that are equal and of one type, where int and long are one."""
    if isinstance(value, enum.Enum):
        value = value.value
    found = bson_type.alias(value)
    return ("int" if found == "long" else found, key(value))


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal and of the same BSON types throughout: what a faithful copy is."""
    if type(first) is not type(second) and not (_integers(first, second)):
        return False
    if isinstance(first, Mapping):
        return list(first) == list(second) and all(same(first[name], second[name]) for name in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return equal(first, second)


def _integers(first: Any, second: Any) -> bool:
    return all(isinstance(each, int) and not isinstance(each, bool) for each in (first, second))
