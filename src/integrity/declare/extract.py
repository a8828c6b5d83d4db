"""Finding the values of a declared place in a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

#: Stands for a field that is not there, where null would mean that it is there and null.
ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "ABSENT", "__bool__": lambda _: False})()


def values_at(document: Any, steps: tuple[str, ...], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the concrete path and value of everything in `document` that stands at a declared path.

    What is not there, or is not of the structure that the steps expect, yields nothing.

    Args:
        document: A document, or a part of one.
        steps: Field names, ``"[]"`` for every element of an array, ``"*"`` for every value of a mapping.
        path: The path of `document` itself.
    """
    if not steps:
        yield path, document
        return
    step, rest = steps[0], steps[1:]
    if step == "[]":
        if isinstance(document, list):
            for index, each in enumerate(document):
                yield from values_at(each, rest, (*path, index))
    elif isinstance(document, dict):
        if step == "*":
            for name, each in document.items():
                yield from values_at(each, rest, (*path, name))
        elif step in document:
            yield from values_at(document[step], rest, (*path, step))


def value_at(document: Any, path: Path | tuple[str, ...]) -> Any:
    """Return the value at a concrete path, or `ABSENT`."""
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
            continue
        if not isinstance(document, list) or not isinstance(step, int) or not 0 <= step < len(document):
            return ABSENT
        document = document[step]
    return document
