"""Copies filled from their owner, and refused when they are written by hand and differ."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from integrity.declare import codec
from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, value_at, values_at
from integrity.declare.registry import Copy
from integrity.rules.judge import Verdict, dotted
from integrity.rules.ownership import stale_copy
from integrity.rules.rule import At
from integrity.store.lookup import look_up
from integrity.store.port import Document
from integrity.violation import Violation
from integrity.writes import derived
from integrity.writes.copies.spots import Spot, spots

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: The originals: each copy's owners' documents, by the key that the reference names; None where there is no owner.
Originals = dict[Copy, dict[Hashable, Document | None]]

#: What stands at a spot and whom it follows there, to tell a spot that a write has left alone.
Pair = tuple[Hashable, Hashable, type]


async def originals(guard: Guard, documents: Sequence[Document], session: Any = None) -> Originals:
    """Return what the copies of these documents are copies of: one look-up for each reference."""
    options = {} if session is None else {"session": session}
    found: Originals = {}
    for via in dict.fromkeys(copy.via for copy in guard.entry.copies):
        copies = [copy for copy in guard.entry.copies if copy.via is via]
        wanted = [spot.via for copy in copies for each in documents for spot in spots(copy, each)]
        fields = list(dict.fromkeys(copy.field for copy in copies))
        owners = await look_up(guard.store, via.target.collection, via.field, wanted, fields, **options)
        asked: dict[Hashable, Document | None] = {**dict.fromkeys(map(key, wanted)), **owners}
        found.update((copy, asked) for copy in copies)
    return found


def late(document: Document, known: Originals) -> bool:
    """Whether a copy follows an owner that was not looked up: a validator, or a default, has made its reference."""
    return any(key(spot.via) not in owners for copy, owners in known.items() for spot in spots(copy, document))


def lead(guard: Guard, document: Document) -> None:
    """Put the default of a reference where it is left out, in place: what follows it is filled before it is judged."""
    for via in dict.fromkeys(copy.via for copy in guard.entry.copies):
        *above, name = via.place.steps
        node = guard.entry.node(tuple(above)) if above else None
        objects = (guard.entry.document,) if node is None else node.objects
        default = objects[0].fields[name].default if len(objects) == 1 and name in objects[0].fields else None
        if default is None or default.get("default_factory_takes_data"):
            continue
        for _, holder in values_at(document, tuple(above)):
            if isinstance(holder, dict) and name not in holder:
                value = default["default"] if "default" in default else default["default_factory"]()
                holder[name] = codec.plain(value)


def fill(
    guard: Guard,
    document: Document,
    known: Originals,
    *,
    always: bool = False,
    moved: Collection[Copy] = (),
    alone: Collection[tuple[Copy, Pair]] = (),
) -> None:
    """Put the originals where copies are absent or null; everywhere, where the policy says so.

    Args:
        guard: The model's guard.
        document: Changed in place.
        known: From `originals`.
        always: Replace what stands there.
        moved: The copies of which what stands there is replaced.
        alone: What is left as it stands, from `pairs`.
    """
    always = always or guard.entry.policy.copies == "fill"
    for copy, owners in known.items():
        for spot in spots(copy, document):
            owner = owners.get(key(spot.via))
            replaced = always or copy in moved
            if owner is None or not (replaced or spot.value in (None, ABSENT)) or (copy, pair(spot)) in alone:
                continue
            original = value_at(owner, tuple(copy.field.split(".")))
            if original is ABSENT:
                if replaced:
                    spot.parent.pop(spot.name, None)
            else:
                spot.parent[spot.name] = original


def faults(
    guard: Guard, document: Document, known: Originals, alone: Collection[tuple[Copy, Pair]] = ()
) -> Iterator[Violation]:
    """Yield the copies that differ from their owner; one whose owner is not there is a fault of its reference.

    Args:
        guard: The model's guard.
        document: The document.
        known: From `originals`.
        alone: What stood there before, from `pairs`: what a write leaves as it was is not its fault.
    """
    for copy, owners in known.items():
        for spot in spots(copy, document):
            owner = owners.get(key(spot.via))
            if owner is None or (copy, pair(spot)) in alone:
                continue
            original = value_at(owner, tuple(copy.field.split(".")))
            value = spot.value
            if same(value, original) or (value in (None, ABSENT) and original in (None, ABSENT)):
                continue
            at = At(guard.collection, document.get("_id"), dotted(spot.path), copy.path)
            target = f"{copy.via.target.collection}.{copy.field}"
            yield stale_copy.RULE.violation(at, stale_copy.fault(_null(value), _null(original), target))


async def current(guard: Guard, verdicts: Sequence[Verdict], session: Any) -> list[Verdict]:
    """Return the verdicts over documents with the copies that their owners hold in a transaction.

    They were filled before it began, and an owner may have changed since. Nothing can change after this look: the
    transaction pins what the documents refer to, and who changes an owner changes all of its pins.

    Args:
        guard: The model's guard.
        verdicts: The verdicts; their documents are changed in place, so that what knows them goes on knowing them.
        session: The session of the transaction; None without one, where no owner's copied field can change.
    """
    if session is None or not guard.entry.copies or not verdicts:
        return list(verdicts)
    known = await originals(guard, [each.document for each in verdicts], session)
    return [_filled(guard, each, known) for each in verdicts]


def _filled(guard: Guard, verdict: Verdict, known: Originals) -> Verdict:
    document = verdict.document
    if any(each.code == stale_copy.RULE.code for each in verdict.violations):
        return verdict  # written by hand
    if next(faults(guard, document, known), None) is None:
        return verdict
    fill(guard, document, known, always=True)
    computed = derived.recompute(guard.entry, document)
    left = [each for each in verdict.violations if each.code[:3] in {"OWN", "UNQ"}]
    return Verdict(document, (*computed, *guard.judge.stored(document), *left))


def pairs(guard: Guard, document: Document) -> frozenset[tuple[Copy, Pair]]:
    """Return what stands at each copy of a document, and whom it follows."""
    return frozenset((copy, pair(spot)) for copy in guard.entry.copies for spot in spots(copy, document))


def pair(spot: Spot) -> Pair:
    """Return what stands at a spot, and whom it follows there."""
    value = _null(spot.value)
    return key(spot.via), key(value), type(value)


def _null(value: Any) -> Any:
    return None if value is ABSENT else value
