"""What a filter says of the documents that match it, as far as a plan needs it.

An upsert inserts the filter's equality conditions. A positional ``$`` is an index in the array that the filter
matched. A comparison says that a number has room for an ``$inc``.
Source: https://www.mongodb.com/docs/manual/reference/method/db.collection.update/#upsert-behavior
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import Regex

#: Operators that neither give a value to an upsert nor take one away from what is known.
_SILENT = frozenset({
    "$gt", "$gte", "$lt", "$lte", "$ne", "$nin", "$exists", "$type", "$mod", "$regex", "$options", "$size",
    "$elemMatch", "$bitsAllSet", "$bitsAnySet", "$bitsAllClear", "$bitsAnyClear", "$not",
})  # fmt: skip
_WITHOUT_VALUES = frozenset({"$nor", "$expr", "$where", "$jsonSchema", "$text"})
_PATTERNS = (re.Pattern, Regex)
_NUMBERS = (int, float)
_COMPARISONS = frozenset({"$gt", "$gte", "$lt", "$lte"})
_COMPARED = _COMPARISONS | {"$eq"}

#: Comparisons of one path with numbers, by their operators.
Ranges = Sequence[tuple[str, Any]]


@dataclass
class Conditions:
    """A filter, read.

    Args:
        equal: The values that the filter demands, by path.
        ranges: The comparisons that hold, by path.
        paths: Every path that a condition is about.
        unclear: Why it is not known exactly what an upsert would take from the filter.
        nested: Whether there are conditions whose paths are not known.
    """

    equal: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    unclear: list[str] = field(default_factory=list)
    nested: bool = False

    @property
    def id(self) -> Any:
        """The ``_id`` that the filter demands, or None."""
        return self.equal.get("_id")


def low(ranges: Ranges, *, whole: bool = False) -> Any:
    """Return the greatest number that a value is known to reach, or None.

    Args:
        ranges: The comparisons that hold for it.
        whole: Whether the value is an integer: above 4 is 5 at least.
    """
    found = None
    for name, value in ranges:
        if name in {"$gt", "$gte", "$eq"}:
            reached = value + 1 if whole and name == "$gt" and isinstance(value, int) else value
            found = reached if found is None or reached > found else found
    return found


def high(ranges: Ranges, *, whole: bool = False) -> Any:
    """Return the least number that a value is known not to exceed, or None; as `low`."""
    found = None
    for name, value in ranges:
        if name in {"$lt", "$lte", "$eq"}:
            reached = value - 1 if whole and name == "$lt" and isinstance(value, int) else value
            found = reached if found is None or reached < found else found
    return found


def compared(filter: Mapping[str, Any], path: str) -> Ranges:
    """Return the comparisons of one path that stand in a filter itself; what stands deeper only adds to them."""
    condition = filter.get(path)
    if type(condition) is dict:
        operators = condition.items() if _operators(condition) else ()
        return [each for each in operators if each[0] in _COMPARED and _number(each[1])]
    return [("$eq", condition)] if _number(condition) else ()


def read(filter: Mapping[str, Any] | None) -> Conditions:
    """Read a filter."""
    found = Conditions()
    if isinstance(filter, Mapping):
        _read(filter, found)
    return found


def _read(filter: Mapping[str, Any], found: Conditions) -> None:
    for name, condition in filter.items():
        if name == "$and" and isinstance(condition, Sequence):
            for each in condition:
                if isinstance(each, Mapping):
                    _read(each, found)
        elif name == "$comment":
            continue
        elif name.startswith("$"):
            found.nested = True
            if name not in _WITHOUT_VALUES:
                found.unclear.append(f"the filter has {name}")
        else:
            found.paths.add(name)
            _condition(name, condition, found)


def _condition(path: str, condition: Any, found: Conditions) -> None:
    if not ((type(condition) is dict or isinstance(condition, Mapping)) and _operators(condition)):
        if not isinstance(condition, _PATTERNS):
            _equal(path, condition, found)
        return
    for name, value in condition.items():
        if name == "$eq":
            _equal(path, value, found)
        elif name not in _SILENT:
            found.unclear.append(f"the filter has {name} at {path}")
        elif name in _COMPARISONS and _number(value):
            found.ranges.setdefault(path, []).append((name, value))


def _operators(condition: Mapping[str, Any]) -> bool:
    first = next(iter(condition), "")
    return isinstance(first, str) and first.startswith("$") and first not in {"$ref", "$id", "$db"}


def _equal(path: str, value: Any, found: Conditions) -> None:
    if found.equal and any(_overlap(path, each) for each in found.equal):
        found.unclear.append(f"the filter names {path} twice")
    found.equal[path] = value
    if _number(value):
        found.ranges.setdefault(path, []).append(("$eq", value))


def _overlap(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")


def _number(value: Any) -> bool:
    return type(value) is int or (
        isinstance(value, _NUMBERS) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - NaN
    )
