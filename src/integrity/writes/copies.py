"""Copies on the write path: filled from their owner, refused when they are written by hand and differ."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from integrity.declare import bson_type
from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, Path, value_at, values_at
from integrity.declare.registry import Copy
from integrity.rules.judge import dotted
from integrity.rules.ownership import stale_copy
from integrity.rules.reference.wrong_key_type import alternatives
from integrity.rules.rule import At
from integrity.store.lookup import look_up
from integrity.store.port import Document
from integrity.violation import Violation

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: The originals: each copy's owners' documents, by the key that the reference names.
Originals = dict[Copy, dict[Hashable, Document]]


@dataclass(frozen=True)
class Spot:
    """One copy in one document.

    Args:
        path: Where the copy stands.
        parent: The object that holds it.
        name: Its name there.
        via: The value of its reference.
    """

    path: Path
    parent: Document
    name: str
    via: Any


async def originals(guard: Guard, documents: Sequence[Document], session: Any = None) -> Originals:
    """Return what the copies of these documents are copies of."""
    options = {} if session is None else {"session": session}
    found: Originals = {}
    for copy in guard.entry.copies:
        wanted = [spot.via for each in documents for spot in _spots(copy, each)]
        target = copy.via.target.collection
        found[copy] = await look_up(guard.store, target, copy.via.field, wanted, [copy.field], **options)
    return found


def fill(guard: Guard, document: Document, known: Originals, *, always: bool = False) -> None:
    """Put the originals where copies are absent or null; everywhere, where the policy says so.

    Args:
        guard: The model's guard.
        document: Changed in place.
        known: From `originals`.
        always: Replace what stands there.
    """
    always = always or guard.entry.policy.copies == "fill"
    for copy, owners in known.items():
        for spot in _spots(copy, document):
            owner = owners.get(key(spot.via))
            if owner is None or not (always or spot.parent.get(spot.name) is None):
                continue
            original = value_at(owner, tuple(copy.field.split(".")))
            if original is ABSENT:
                if always:
                    spot.parent.pop(spot.name, None)
            else:
                spot.parent[spot.name] = original


def faults(guard: Guard, document: Document, known: Originals) -> Iterator[Violation]:
    """Yield the copies that differ from their owner; one whose owner is not there is a fault of its reference."""
    for copy, owners in known.items():
        for spot in _spots(copy, document):
            owner = owners.get(key(spot.via))
            if owner is None:
                continue
            original = value_at(owner, tuple(copy.field.split(".")))
            value = spot.parent.get(spot.name, ABSENT)
            if same(value, original) or (value in (None, ABSENT) and original in (None, ABSENT)):
                continue
            at = At(guard.collection, document.get("_id"), dotted(spot.path), copy.path)
            target = f"{copy.via.target.collection}.{copy.field}"
            yield stale_copy.RULE.violation(at, stale_copy.fault(_null(value), _null(original), target))


def _null(value: Any) -> Any:
    return None if value is ABSENT else value


def _spots(copy: Copy, document: Document) -> Iterator[Spot]:
    """Yield where the copy may stand, each with the reference that is nearest to it."""
    parent, via = copy.place.steps[:-1], copy.via.place.steps
    shared = 0
    while shared < min(len(parent), len(via)) and parent[shared] == via[shared]:
        shared += 1
    for path, common in values_at(document, copy.place.steps[:shared]):
        keys = [value for _, value in values_at(common, via[shared:]) if value is not None]
        if len(keys) != 1:
            continue
        value = _coerced(copy, keys[0])
        for inner, holder in values_at(common, parent[shared:], path):
            if isinstance(holder, dict):
                yield Spot((*inner, copy.place.steps[-1]), holder, copy.place.steps[-1], value)


def _coerced(copy: Copy, value: Any) -> Any:
    """Return the key as the write will store it: an ObjectId that was offered as text, say."""
    types = copy.via.place.node.scalars
    if bson_type.alias(value) in types:
        return value
    return next((each for each in alternatives(value) if bson_type.alias(each) in types), value)
