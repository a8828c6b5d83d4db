"""An excerpt of a document: the field that a violation names, and a few fields beside it.

Short whatever the document is: of sixteen megabytes a dozen lines are kept.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import DatetimeMS, Decimal128, ObjectId

from integrity.violation import extended_json

#: Fields that are shown before and after the one that is marked, in each object on the way to it.
_BEFORE, _AFTER = 3, 3
#: Characters of a value, of the marked one, and of a key.
_SHORT, _LONG, _KEY = 80, 240, 60
_DEPTH = 12
_SAFE_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an excerpt.

    Args:
        depth: How deep it stands.
        key: The field's name, or the element's number; empty for what only closes or leaves out.
        value: The value, shortened.
        marked: Whether it is what the violation names.
    """

    depth: int
    key: str
    value: str
    marked: bool = False


def excerpt(document: dict[str, Any], path: str) -> tuple[Line, ...]:
    """Return the lines that show what stands at a path of a document.

    Args:
        document: The document.
        path: A violation's path, such as ``"items.2.qty"``; empty for the document as a whole.
    """
    return tuple(_inside(document, path, 0))


def literal(value: Any, limit: int = _SHORT) -> str:
    """Return a value as mongosh writes it, on one line, shortened.

    Args:
        value: A BSON value.
        limit: The most characters of it.
    """
    if isinstance(value, dict):
        return f"{{ … {len(value):,} fields }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[ … {len(value):,} elements ]" if value else "[]"
    if isinstance(value, str):
        # What is cut off is not encoded first: it may be megabytes.
        text = json.dumps(value[:limit], ensure_ascii=False)
        return text if len(value) <= limit else f'{text[:-1]}…" ({len(value):,} characters)'
    text = _scalar(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(int(value)) if abs(value) < _SAFE_INTEGER else f'NumberLong("{int(value)}")'
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), repr(value))
    if isinstance(value, ObjectId):
        return f'ObjectId("{value}")'
    if isinstance(value, Decimal128):
        return f'NumberDecimal("{value}")'
    if isinstance(value, dt.datetime):
        return f'ISODate("{value.isoformat(timespec="milliseconds")}Z")'
    if isinstance(value, DatetimeMS):
        return f"new Date({int(value)})"
    if isinstance(value, bytes):
        return f"binary, {len(value):,} bytes"
    return json.dumps(extended_json(value), ensure_ascii=False, default=str)


def _inside(value: Any, path: str, depth: int) -> Iterator[Line]:
    """Yield the lines of what an object or array holds, around what stands at `path`."""
    keys = [*value] if isinstance(value, dict) else [str(index) for index in range(len(value))]
    on = next((each for each in sorted(keys, key=len, reverse=True) if _leads(each, path)), None) if path else None
    missing = path and on is None
    center = keys.index(on) if on is not None else 0
    # The document's own `_id` stands above the excerpt.
    shown = [
        index
        for index, each in enumerate(keys)
        if (each == on or not (depth == 0 and each == "_id")) and center - _BEFORE <= index <= center + _AFTER
    ]
    if shown and (before := shown[0] - (depth == 0 and keys[0] == "_id")) > 0:
        yield Line(depth, "", f"… {before:,} more before")
    for index in shown:
        key = keys[index]
        under = value[key] if isinstance(value, dict) else value[index]
        yield from _field(key, under, path, depth, on=key == on)
    if missing:
        yield Line(depth, path[:_KEY], "(not there)", marked=True)
    if shown and (after := len(keys) - 1 - shown[-1]):
        yield Line(depth, "", f"… {after:,} more")


def _field(key: str, value: Any, path: str, depth: int, *, on: bool) -> Iterator[Line]:
    name = key if len(key) <= _KEY else f"{key[:_KEY]}…"
    rest = path[len(key) + 1 :]
    if not on:
        yield Line(depth, name, literal(value))
    elif rest and isinstance(value, dict | list) and depth < _DEPTH:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        yield Line(depth, name, opening)
        yield from _inside(value, rest, depth + 1)
        yield Line(depth, "", closing)
    else:
        yield Line(depth, name, literal(value, _LONG), marked=True)


def _leads(key: str, path: str) -> bool:
    return path == key or path.startswith(f"{key}.")
