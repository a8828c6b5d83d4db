"""Copies inside of what an update sets or pushes, filled before it is planned: an item may leave out its copies.

What is filled is read before the update's transaction, which judges it again: an owner that changes in between is
told as any copy that differs.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from integrity.declare import codec
from integrity.declare.extract import ABSENT
from integrity.rules.judge import dotted
from integrity.store.port import Document
from integrity.writes.copies.filling import fill, originals
from integrity.writes.copies.spots import spots
from integrity.writes.updates.plan import UpdatePlan
from integrity.writes.updates.target import targets
from integrity.writes.whole import nameable

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


async def inserting(guard: Guard, plan: UpdatePlan, session: Any) -> Any:
    """Return the update of an upsert that also sets the copies of what it would insert.

    The outcome is filled as well, when it is judged; but where `db.apply()` has made a validator, the server refuses
    the document before that.

    Args:
        guard: The model's guard.
        plan: The plan of an upsert whose document is known.
        session: The caller's session, or None.
    """
    document: Document = copying.deepcopy(dict(plan.upsert_document or {}))
    holes = [
        spot
        for one in guard.entry.copies
        for spot in spots(one, document)
        if spot.value in (None, ABSENT) and nameable(spot.path) and not any(isinstance(each, int) for each in spot.path)
    ]
    # A path is named by one operator.
    steps = [tuple(each.path.split(".")) for each in plan.touched]
    holes = [spot for spot in holes if not any(_within(each, spot.path) or _within(spot.path, each) for each in steps)]
    if not holes:
        return plan.update
    fill(guard, document, await originals(guard, [document], session))
    filled = {dotted(spot.path): spot.value for spot in holes if spot.value not in (None, ABSENT)}
    on_insert = {**plan.update.get("$setOnInsert", {}), **filled}
    return {**plan.update, "$setOnInsert": on_insert} if filled else plan.update


def _within(outer: Sequence[Any], inner: Sequence[Any]) -> bool:
    return tuple(inner[: len(outer)]) == tuple(outer)


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
