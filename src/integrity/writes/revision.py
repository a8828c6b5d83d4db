"""The revision that a filter names: which one the caller has read, and writes over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrity.declare.registry import Entry
from integrity.store.port import Filter


def named(entry: Entry, filter: Filter) -> int | None:
    """Return the revision that a filter demands, also behind ``$eq`` and inside ``$and``; None where it names none.

    Args:
        entry: The model's entry.
        filter: PyMongo's filter.
    """
    if entry.revision is None or not isinstance(filter, Mapping):
        return None
    found = filter.get(entry.revision.steps[-1])
    if isinstance(found, Mapping):
        found = found["$eq"] if list(found) == ["$eq"] else None
    if isinstance(found, int):
        return found
    parts = filter.get("$and")
    inside = [named(entry, each) for each in parts] if isinstance(parts, list | tuple) else []
    return next((each for each in inside if each is not None), None)


def without(entry: Entry, filter: Filter) -> Filter:
    """Return a filter without the revision that it names, so that an older one is told from a deleted document.

    Args:
        entry: The model's entry.
        filter: PyMongo's filter.
    """
    if named(entry, filter) is None:
        return filter
    assert entry.revision is not None
    name = entry.revision.steps[-1]
    left: dict[str, Any] = {path: value for path, value in filter.items() if path != name}
    if isinstance(left.get("$and"), list | tuple):
        left["$and"] = [without(entry, each) for each in left["$and"]]
    return left
