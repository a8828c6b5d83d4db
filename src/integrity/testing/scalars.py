"""Scalars within the limits that a declaration gives them, as strategies for Hypothesis."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
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
_URLS = frozenset({"url", "multi-host-url"})


def scalars(limits: Limits, aliases: AbstractSet[str]) -> Iterator[SearchStrategy[Any]]:
    """Yield the scalars of some types, each type by itself.

    Args:
        limits: pydantic's core schema of the value, such as ``{"type": "int", "gt": 0}``; empty where none is certain.
        aliases: The types, by MongoDB's aliases.
    """
    for alias in sorted(aliases):
        if alias in _LIMITED:
            if (limited := _LIMITED[alias](limits)) is not None:
                yield limited
        elif alias in _PLAIN:
            yield _PLAIN[alias]


def _text(limits: Limits) -> SearchStrategy[str] | None:
    pattern: str | None = limits.get("pattern")
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error:
            return None  # pydantic's own syntax, which is Rust's
        return st.from_regex(pattern).map(lambda each: each.removesuffix("\n"))  # Python's $ comes before one too
    if limits.get("type") in _URLS:
        schemes = st.sampled_from(limits.get("allowed_schemes") or ["https"])
        hosts = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
        return st.builds("{}://{}.example/".format, schemes, hosts)
    least, most = limits.get("min_length") or 1, limits.get("max_length")
    if most is not None and most < least:
        return None
    return st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=least, max_size=most)


def names(limits: Limits) -> SearchStrategy[str]:
    """Return the names of fields that a mapping may have.

    Args:
        limits: pydantic's core schema of its keys; empty where none is certain.
    """
    if limits.get("type") in {"literal", "enum"}:
        several = limits["expected"] if limits["type"] == "literal" else [each.value for each in limits["members"]]
        return st.sampled_from([each for each in several if isinstance(each, str)])
    limited = _text(limits) if {"pattern", "min_length", "max_length"} & limits.keys() else None
    if limited is not None:
        return limited
    return st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)


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
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    low, high = (
        Decimal(min(-most, 10 * (high or 0)) if low is None else low),
        Decimal(max(most, 10 * (low or 0)) if high is None else high),
    )
    if (of := limits.get("multiple_of")) is not None:
        step = Decimal(of)
        return st.integers(-int(-low // step), int(high // step)).map(lambda each: each * step)
    return st.decimals(low, high, allow_nan=False, allow_infinity=False, places=places)


def _dates(limits: Limits) -> SearchStrategy[dt.datetime]:
    """As MongoDB keeps them: to the millisecond."""
    low, high = (_moment(limits.get(each, limits.get(other))) for each, other in (("ge", "gt"), ("le", "lt")))
    usual = dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1)  # noqa: DTZ001 - as PyMongo reads dates
    if low is None:
        low = usual[0] if high is None or high > usual[0] else high.replace(year=max(1, high.year - 50), day=1)
    if high is None:
        high = usual[1] if low < usual[1] else low.replace(year=min(9999, low.year + 50), month=12, day=31)
    naive = st.datetimes(low, high)
    if limits.get("type") == "date":
        return naive.map(lambda each: dt.datetime(each.year, each.month, each.day))  # noqa: DTZ001 - as above
    kept = naive.map(lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000))
    if limits.get("tz_constraint") == "aware":
        return kept.map(lambda each: each.replace(tzinfo=dt.UTC))
    return kept


def _moment(limit: dt.date | None) -> dt.datetime | None:
    """Return a limit in UTC, without a zone."""
    if limit is None or (isinstance(limit, dt.datetime) and limit.tzinfo is None):
        return limit
    if isinstance(limit, dt.datetime):
        return limit.astimezone(dt.UTC).replace(tzinfo=None)
    return dt.datetime(limit.year, limit.month, limit.day)  # noqa: DTZ001 - as above


_LIMITED: dict[str, Callable[[Limits], SearchStrategy[Any] | None]] = {
    "string": _text,
    "int": _integers,
    "double": _floats,
    "decimal": _decimals,
    "date": _dates,
}
_PLAIN: dict[str, SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "objectId": st.binary(min_size=12, max_size=12).map(ObjectId),
    "uuid": st.uuids(),
    "binData": st.binary(min_size=1),
    "timestamp": st.builds(Timestamp, st.integers(1, 2**31), st.integers(1, 1000)),
}
