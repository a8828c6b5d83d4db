"""What a core schema demands of one value, as keywords of ``$jsonSchema``. Weaker where it must be, never stricter.

Source: https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128
from bson.binary import UUID_SUBTYPE
from pydantic_core import PydanticCustomError

from integrity.declare import codec, convert
from integrity.declare.bson_type import INT_MAX, INT_MIN
from integrity.declare.equality import key
from integrity.server.pattern import Dialect, Translated, translate

Schema = dict[str, Any]

#: NaN and the infinities; a double equals the Decimal128 of the same name.
NOT_FINITE = (math.nan, math.inf, -math.inf)

#: Bounds of binary data are written out in full; longer ones are left to the guard.
_LONGEST = 1024


def of_string(schema: Any, config: Mapping[str, Any]) -> Schema:
    """Return the limits of a ``str`` schema.

    What pydantic strips or folds before it looks is stored as it is, so that only some limits hold for it.
    """

    def setting(name: str) -> Any:
        return schema.get(name, config.get(f"str_{name}"))

    if setting("to_lower") or setting("to_upper"):
        return {}  # a text may grow and shrink with its case
    found: Schema = {}
    if setting("min_length"):
        found["minLength"] = setting("min_length")
    if setting("strip_whitespace"):
        return found
    if setting("max_length") is not None:
        found["maxLength"] = setting("max_length")
    translated = _pattern(schema, config)
    if translated is None:
        return found
    if translated.trusted is None or found.get("maxLength", math.inf) <= translated.trusted:
        return {**found, "pattern": translated.pattern}
    long = {"minLength": translated.trusted + 1}
    return {**found, "anyOf": [{"pattern": translated.pattern}, long]}


def _pattern(schema: Any, config: Mapping[str, Any]) -> Translated | None:
    pattern = schema.get("pattern")
    if pattern is None:
        return None
    engine = schema.get("regex_engine") or config.get("regex_engine") or "rust-regex"
    dialect: Dialect = "rust" if engine == "rust-regex" else "python"
    if isinstance(pattern, re.Pattern):
        if pattern.flags & ~re.UNICODE:
            return None
        pattern, dialect = pattern.pattern, "python"
    return translate(pattern, dialect) if isinstance(pattern, str) else None


def of_number(schema: Any, config: Mapping[str, Any]) -> Schema:
    """Return the limits of an ``int``, ``float`` or ``decimal`` schema.

    ``multiple_of`` only for integers: pydantic allows floats a rounding error, and computes decimals with less
    than Decimal128's precision.
    """
    found: list[Schema] = []
    for name, keyword, exclusive in (
        ("ge", "minimum", False),
        ("gt", "minimum", True),
        ("le", "maximum", False),
        ("lt", "maximum", True),
    ):
        bound = _bound(schema.get(name), schema["type"])
        if bound is not None:
            limit: Schema = {keyword: bound}
            if exclusive:
                limit["exclusiveMinimum" if keyword == "minimum" else "exclusiveMaximum"] = True
            found.append(limit)
    multiple = schema.get("multiple_of")
    if schema["type"] == "int" and type(multiple) is int and 0 < multiple <= INT_MAX:
        found.append({"multipleOf": multiple})
    infinite = schema.get("allow_inf_nan", config.get("allow_inf_nan", schema["type"] == "float"))
    if schema["type"] != "int" and not infinite:
        found.append({"not": {"enum": list(NOT_FINITE)}})
    return merged(found)


def _bound(value: Any, kind: str) -> Any:
    """Return a bound as BSON holds it exactly, or None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float) and kind == "decimal":
        value = Decimal(str(value))  # as pydantic reads it: 0.1, and not the double that is a little more
    if isinstance(value, int):
        return value if INT_MIN <= value <= INT_MAX else None
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Decimal):
        try:
            return convert.to_decimal128(value) if value.is_finite() else None
        except PydanticCustomError:
            return None
    return value if isinstance(value, Decimal128) else None


def of_array(schema: Any) -> Schema:
    """Return how many elements a ``list`` schema, or a set's, demands; a stored set may repeat its elements."""
    found: Schema = {}
    if schema.get("min_length"):
        found["minItems"] = schema["min_length"]
    if schema["type"] == "list" and schema.get("max_length") is not None:
        found["maxItems"] = schema["max_length"]
    return found


def of_mapping(schema: Any) -> Schema:
    """Return how many fields a ``dict`` schema demands."""
    found: Schema = {}
    if schema.get("min_length"):
        found["minProperties"] = schema["min_length"]
    if schema.get("max_length") is not None:
        found["maxProperties"] = schema["max_length"]
    return found


def faults(schema: Any) -> list[Schema]:
    """Return what a stored value must not match, as conditions of a query: ``$jsonSchema`` bounds only numbers.

    A comparison in a query is of one type: what it is not of is not found.
    """
    kind = schema["type"]
    if kind in {"date", "datetime"}:
        return _dates(schema)
    if kind == "uuid":
        return [{"$lt": Binary(bytes(16), UUID_SUBTYPE)}, {"$gt": Binary(b"\xff" * 16, UUID_SUBTYPE)}]
    if kind == "bytes":
        return _bytes(schema)
    return []


def _bytes(schema: Any) -> list[Schema]:
    """Return bounds of length: MongoDB orders binary data by length, then by subtype, then by the bytes."""
    found: list[Schema] = []
    least, most = schema.get("min_length") or 0, schema.get("max_length")
    if 0 < least <= _LONGEST:
        found.append({"$lt": Binary(bytes(least), 0)})
    if most is not None and most <= _LONGEST:
        found.append({"$gte": Binary(bytes(most + 1), 0)})
    return found


def _dates(schema: Any) -> list[Schema]:
    """Return bounds of a date. BSON cuts it to the millisecond after the guard's verdict: they give way by that."""
    found: list[Schema] = [
        {"$lt": _date(schema[name])} for name in ("ge", "gt") if isinstance(schema.get(name), dt.date)
    ]
    if isinstance(schema.get("le"), dt.date):
        found.append({"$gt": _date(schema["le"])})
    if isinstance(schema.get("lt"), dt.date):
        bound = _date(schema["lt"])
        up = dt.timedelta(milliseconds=1) if bound.microsecond % 1000 else dt.timedelta()
        found.append({"$gte": bound + up})
    return found


def _date(value: dt.date) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - PyMongo reads naive as UTC


def choices(values: Any) -> list[Any]:
    """Return values for ``enum``, which refuses two that MongoDB calls equal; in the order given."""
    found: dict[Hashable, Any] = {}
    for each in values:
        try:
            encoded = codec.encode(each)
        except PydanticCustomError:
            continue
        found.setdefault(key(encoded), encoded)
    return list(found.values())


def merged(schemas: list[Schema]) -> Schema:
    """Return one schema that demands what all of these do."""
    whole: Schema = {}
    more: list[Schema] = []
    for each in schemas:
        each = {name: value for name, value in each.items() if name not in whole or whole[name] != value}  # noqa: PLW2901 - said once
        if whole.keys() & each.keys():
            more.append(each)
        else:
            whole |= each
    if more:
        whole["allOf"] = [*whole.pop("allOf", []), *more]
    return whole
