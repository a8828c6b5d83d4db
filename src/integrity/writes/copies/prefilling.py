"""Copies inside of what an update sets or pushes, filled before it is planned: an item may leave out its copies.

What is filled is read before the update's transaction, which judges it again: an owner that changes in between is
told as any copy that differs.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from integrity.declare import codec
from integrity.store.port import Document
from integrity.writes.copies.filling import fill, originals
from integrity.writes.copies.spots import spots
from integrity.writes.updates.target import targets

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_WHOLE = ("$set", "$setOnInsert")
_ELEMENTS = ("$push", "$addToSet")


async def prefilled(guard: Guard, update: Update, session: Any) -> Update:
    """Return an update with the copies filled that its values leave out.

    Args:
        guard: The model's guard.
        update: Operators; a pipeline is left as it is.
        session: The caller's session, or None.
    """
    if not isinstance(update, Mapping) or not any(each in update for each in (*_WHOLE, *_ELEMENTS)):
        return update
    if any(not isinstance(each, Mapping) for each in update.values()):
        return update  # refused when it is planned
    made = {operator: {path: _plain(value) for path, value in paths.items()} for operator, paths in update.items()}
    sketches = [
        each for each in _sketches(guard, made) if any(True for one in guard.entry.copies for _ in spots(one, each))
    ]
    if not sketches:
        return update
    known = await originals(guard, sketches, session)
    for each in sketches:
        fill(guard, each, known)
    return made


def _sketches(guard: Guard, update: Mapping[str, Mapping[str, Any]]) -> Iterator[Document]:
    """Yield a document around each value that holds objects; what is filled there is filled in the value."""
    for operator in (*_WHOLE, *_ELEMENTS):
        for path, value in update.get(operator, {}).items():
            steps = targets(guard.entry)[path].steps
            if operator in _WHOLE:
                yield from _around(steps, value)
            else:
                each = value.get("$each") if isinstance(value, dict) and "$each" in value else [value]
                yield from _around(steps, each)


def _around(steps: tuple[str, ...], value: Any) -> Iterator[Document]:
    if not isinstance(value, dict | list):
        return
    for step in reversed(steps):
        value = [value] if step == "[]" else {step: value}
    if isinstance(value, dict):
        yield value


def _plain(value: Any) -> Any:
    return copying.deepcopy(codec.plain(value))
