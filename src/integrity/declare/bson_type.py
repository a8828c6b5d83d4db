"""Python's types and BSON's: which one stores which, by the aliases that ``$type`` uses.

Source: https://www.mongodb.com/docs/manual/reference/bson-types/
"""

from __future__ import annotations

import datetime as dt
import enum
import re
import uuid
from decimal import Decimal
from typing import Any

from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

#: The aliases of MongoDB's types, by the Python type that PyMongo decodes each into.
ALIASES: dict[type, str] = {
    bool: "bool",
    int: "int",
    Int64: "long",
    float: "double",
    str: "string",
    dict: "object",
    list: "array",
    type(None): "null",
    dt.datetime: "date",
    DatetimeMS: "date",
    ObjectId: "objectId",
    Decimal128: "decimal",
    bytes: "binData",
    Binary: "binData",
    uuid.UUID: "uuid",
    Regex: "regex",
    re.Pattern: "regex",
    Timestamp: "timestamp",
    Code: "javascript",
    DBRef: "object",
    MinKey: "minKey",
    MaxKey: "maxKey",
}

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

INTEGERS = frozenset({"int", "long"})
NUMBERS = frozenset({"int", "long", "double"})

#: The classes that a field may be declared as besides those that pydantic has schemas for, and what stores them.
BSON_CLASSES: dict[type, frozenset[str]] = {
    ObjectId: frozenset({"objectId"}),
    Decimal128: frozenset({"decimal"}),
    Int64: INTEGERS,
    Binary: frozenset({"binData", "uuid"}),
    Regex: frozenset({"regex"}),
    Timestamp: frozenset({"timestamp"}),
    Code: frozenset({"javascript"}),
    MinKey: frozenset({"minKey"}),
    MaxKey: frozenset({"maxKey"}),
    DatetimeMS: frozenset({"date"}),
}

#: The aliases as a sentence names them.
NAMES = {
    "bool": "a boolean",
    "int": "an integer",
    "long": "an integer",
    "double": "a double",
    "string": "a string",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "date": "a date",
    "objectId": "an ObjectId",
    "decimal": "a Decimal128",
    "binData": "binary data",
    "uuid": "a UUID (binary subtype 4)",
    "regex": "a regular expression",
    "timestamp": "a timestamp",
    "javascript": "JavaScript code",
    "minKey": "MinKey",
    "maxKey": "MaxKey",
}


def alias(value: Any) -> str:
    """Return the BSON type of a decoded or offered `value`, as ``$type`` calls it.

    ``"uuid"`` is said for binary subtype 4; ``"unknown"`` for what BSON has no type for.
    """
    cls = type(value)
    found = ALIASES.get(cls)
    if found is not None:
        return _binary(value) if cls is Binary else found
    if isinstance(value, enum.Enum):
        return alias(value.value)
    if isinstance(value, Decimal):
        return "decimal"
    for base in cls.__mro__[1:]:
        if base in ALIASES:
            return ALIASES[base]
    return "unknown"


def _binary(value: Binary) -> str:
    return "uuid" if value.subtype == 4 and len(value) == 16 else "binData"  # noqa: PLR2004 - the subtype, the size


def name(types: frozenset[str]) -> str:
    """Return how a sentence names a set of aliases: ``"an integer or a string"``."""
    names = sorted({NAMES[each] for each in types})
    return " or ".join(names) if names else "nothing"
