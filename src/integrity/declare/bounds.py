"""Bounds that no value meets: what is declared so refuses every write."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

from integrity.declare.bson_type import INT_MAX, INT_MIN

_LOW, _HIGH = {"ge": 0, "gt": 1}, {"le": 0, "lt": 1}
_NAMES = frozenset({*_LOW, *_HIGH, "min_length"})


def unmeetable(schema: Any) -> str | None:
    """Return what a core schema declares that no value meets, as a clause; None where there is nothing of it."""
    if _NAMES.isdisjoint(schema):
        return None
    whole = schema["type"] == "int"
    low = [(name, _utc(schema[name])) for name in _LOW if schema.get(name) is not None]
    high = [(name, _utc(schema[name])) for name in _HIGH if schema.get(name) is not None]
    for (over, least), (under, most) in itertools.product(low, high):
        apart = _LOW[over] + _HIGH[under]
        if least > most or (apart and least == most) or (whole and least + apart > most):
            return f"no value meets both {over}={schema[over]!r} and {under}={schema[under]!r}; change one of the two"
    if whole:
        beyond = [name for name, bound in low if bound + _LOW[name] > INT_MAX]
        beyond += [name for name, bound in high if bound - _HIGH[name] < INT_MIN]
        for name in beyond:
            return f"{name}={schema[name]!r} leaves no integer of 64 bits, the longest of BSON; declare a Decimal"
    shortest, longest = schema.get("min_length") or 0, schema.get("max_length")
    if longest is not None and shortest > longest:
        return f"no value meets both min_length={shortest} and max_length={longest}; change one of the two"
    return None


def _utc(bound: Any) -> Any:
    """Return a bound as it is compared: naive is UTC."""
    return bound.replace(tzinfo=dt.UTC) if isinstance(bound, dt.datetime) and bound.tzinfo is None else bound
