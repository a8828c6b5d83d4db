"""Scalars within the limits that a declaration gives them, as strategies for Hypothesis."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from bson import ObjectId, Timestamp
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from integrity.declare.bson_type import INT_MAX, INT_MIN

Limits = dict[str, Any]

#: Digits of a Decimal128, and those that are drawn before the point where nothing is said of them.
_DIGITS, _BEFORE = 34, 12


def scalars(limits: Limits, aliases: AbstractSet[str]) -> Iterator[SearchStrategy[Any]]:
    """Yield the scalars of some types, each type by itself.

    Args:
        limits: pydantic's core schema of the value, such as ``{"type": "int", "gt": 0}``; empty where none is certain.
        aliases: The types, by MongoDB's aliases.
    """
    for alias in sorted(aliases):
        if alias in _LIMITED:
            yield _LIMITED[alias](limits)
        elif alias in _PLAIN:
            yield _PLAIN[alias]


def _text(limits: Limits) -> SearchStrategy[str]:
    pattern: str | None = limits.get("pattern")
    if pattern is not None:
        return st.from_regex(pattern).map(lambda each: each.removesuffix("\n"))  # Python's $ comes before one too
    visible = st.characters(codec="utf-8", exclude_categories=("C", "Z", "M"))
    return st.text(visible, min_size=limits.get("min_length") or 1, max_size=limits.get("max_length"))


def _integers(limits: Limits) -> SearchStrategy[int]:
    of = limits.get("multiple_of")
    step = of if isinstance(of, int) else 1
    low = max(limits.get("ge", INT_MIN), limits.get("gt", INT_MIN - 1) + 1)
    high = min(limits.get("le", INT_MAX), limits.get("lt", INT_MAX + 1) - 1)
    return st.integers(-(-int(low) // step), int(high) // step).map(lambda each: each * step)


def _floats(limits: Limits) -> SearchStrategy[float]:
    above, below = limits.get("gt"), limits.get("lt")
    return st.floats(
        limits.get("ge") if above is None else above,
        limits.get("le") if below is None else below,
        exclude_min=above is not None,
        exclude_max=below is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _decimals(limits: Limits) -> SearchStrategy[Decimal]:
    places = limits.get("decimal_places", 2)
    before = max(limits.get("max_digits", _DIGITS) - places, 0)
    most = 10 ** min(before, _BEFORE) - Decimal(1).scaleb(-places)
    low = limits.get("ge", limits.get("gt", -most))
    high = limits.get("le", limits.get("lt", most))
    return st.decimals(low, high, allow_nan=False, allow_infinity=False, places=places)


def _dates(limits: Limits) -> SearchStrategy[dt.datetime]:
    """As MongoDB keeps them: to the millisecond."""
    naive = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1))  # noqa: DTZ001 - as PyMongo reads dates
    if limits.get("type") == "date":
        return naive.map(lambda each: dt.datetime(each.year, each.month, each.day))  # noqa: DTZ001 - as above
    kept = naive.map(lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000))
    if limits.get("tz_constraint") == "aware":
        return kept.map(lambda each: each.replace(tzinfo=dt.UTC))
    return kept


_LIMITED = {"string": _text, "int": _integers, "double": _floats, "decimal": _decimals, "date": _dates}
_PLAIN: dict[str, SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "objectId": st.binary(min_size=12, max_size=12).map(ObjectId),
    "uuid": st.uuids(),
    "binData": st.binary(min_size=1),
    "timestamp": st.builds(Timestamp, st.integers(1, 2**31), st.integers(1, 1000)),
}
