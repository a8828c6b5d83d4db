"""What a copy holds when its owner holds this, and whether it can."""

from __future__ import annotations

from typing import Any

from integrity.declare.extract import ABSENT
from integrity.declare.registry import Copy
from integrity.declare.slot import VALUE
from integrity.rules.rule import At
from integrity.rules.schema import missing_field
from integrity.violation import Violation
from integrity.writes.updates.target import Target, targets


def as_copy(copy: Copy, original: Any) -> Any:
    """Return what a copy holds: its owner's value, or `ABSENT`.

    Where the owner has null or nothing, so has the copy, whichever of the two it may have.
    """
    if original is not ABSENT and original is not None:
        return original
    place = _target(copy).slot
    if original is None:
        return None if place.node.nullable or place.required else ABSENT
    return None if place.required and place.node.nullable else ABSENT


def misfits(copy: Copy, value: Any) -> tuple[Violation, ...]:
    """Return why a copy cannot hold a value: its declaration is narrower than its owner's; nothing where it can.

    Args:
        copy: The copy.
        value: From `as_copy`.
    """
    target = _target(copy)
    if value is ABSENT:
        if not target.slot.required:
            return ()
        at = At(copy.entry.collection, None, copy.path, copy.path)
        return (missing_field.RULE.violation(at, missing_field.FAULT),)
    return target.judge.stored({VALUE: value}) if target.known else ()


def simple(copy: Copy) -> bool:
    """Whether a value that the copy can hold cannot make the document that holds it invalid in another way."""
    target = _target(copy)
    return target.known and not target.reasons


def _target(copy: Copy) -> Target:
    path = ".".join({"[]": "$[]", "*": "key"}.get(step, step) for step in copy.place.steps)
    return targets(copy.entry)[path]
