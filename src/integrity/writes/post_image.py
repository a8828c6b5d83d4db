"""Post-images: what an update has left in a transaction, judged before anything is committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from integrity.declare import codec
from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, values_at
from integrity.declare.registry import Copy
from integrity.declare.reserved import CONDEMNED
from integrity.declare.shape import Place
from integrity.rules.judge import Verdict, dotted
from integrity.rules.ownership import changed_immutable, stale_revision
from integrity.rules.rule import At
from integrity.rules.schema import unknown_field
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes import derived
from integrity.writes.candidate import once, settled
from integrity.writes.change import Change
from integrity.writes.change_rights import differences, trespassed
from integrity.writes.copies import Originals, Pair, faults, fill, originals, pairs
from integrity.writes.references import Faults
from integrity.writes.unique import repeated
from integrity.writes.whole import Edit, nameable, placed, put, updating

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

__all__ = ["Change", "judged", "kept"]


async def judged(guard: Guard, changes: Sequence[Change], session: Any, *, look: bool = False) -> list[Violation]:
    """Return everything that is wrong with what a write has left.

    Copies whose reference changed are filled from their new owner, in the same transaction.

    Args:
        guard: The model's guard.
        changes: The documents.
        session: The session of the transaction.
        look: Leave what refers to a key that changed as it is, and only look whether it lets it change.
    """
    found: list[Violation] = []
    referring = await guard.references.rekeyed(guard, changes, session, look=look)
    dangling = await _references(guard, changes, session)
    copies = bool(guard.entry.copies)
    known = await originals(guard, [each.after for each in changes], session) if copies else {}
    for change, references, rekeyed in zip(changes, dangling, referring, strict=True):
        alone = pairs(guard, change.before) if copies and change.before is not None else frozenset()
        by_hand = await _kept_up(guard, change, known, alone, session)
        own = [*kept(guard, change), *guard.judge.stored(change.after), *by_hand]
        if guard.repeated:
            own += repeated(guard.entry, change.after)
        if copies:
            own += faults(guard, change.after, known, alone)
        verdict = settled(guard, Verdict(change.after, tuple(once(own))), references)
        found += [*verdict.violations, *rekeyed]
    return found


def kept(guard: Guard, change: Change) -> Iterator[Violation]:
    """Yield what a write changes and may not: immutable fields, fields of another owner."""
    if change.before is not None:
        yield from _counted(guard, change.before, change.after)
    for place in guard.immutable if change.before is not None else ():
        for path, before, after in differences(place, change):
            if before:
                at = At(guard.collection, change.after.get("_id"), dotted(path), place.path)
                yield changed_immutable.RULE.violation(at, changed_immutable.fault(_shown(before), _shown(after)))
    yield from trespassed(guard, change)
    # A document may have the library's own field, while a delete is under way; a stage may not write it.
    own = change.after.get(CONDEMNED, ABSENT)
    if own is not ABSENT and (change.before is None or own != change.before.get(CONDEMNED, ABSENT)):
        at = At(guard.collection, change.after.get("_id"), CONDEMNED, CONDEMNED)
        yield unknown_field.RULE.violation(at, unknown_field.RESERVED)


def _counted(guard: Guard, before: Document, after: Document) -> Iterator[Violation]:
    """Yield what is wrong where a write has not counted the revision up by one: a stage can set it unnamed."""
    place = guard.entry.revision
    if place is None:
        return
    name = place.steps[-1]
    old = before.get(name, 0)
    if isinstance(old, int) and after.get(name) != old + 1:
        at = At(guard.collection, after.get("_id"), name, place.path)
        yield stale_revision.RULE.violation(at, stale_revision.kept())


def _differs(place: Place, change: Change) -> bool:
    return next(differences(place, change), None) is not None


def _shown(values: list[Any]) -> Any:
    return values[0] if values else None


async def _references(guard: Guard, changes: Sequence[Change], session: Any) -> Faults:
    """Return what is wrong with references that the write has set; those that it left alone are not its fault."""
    if not guard.entry.references:
        return [()] * len(changes)

    async def act(faults: Faults, _: Any, __: Store | None = None, /) -> Faults:
        return faults

    found = await guard.references.store(guard, [each.after for each in changes], act, session)
    return [tuple(_new(guard, change, each)) for change, each in zip(changes, found, strict=True)]


def _new(guard: Guard, change: Change, violations: Sequence[Violation]) -> Iterator[Violation]:
    for each in violations:
        place = next((one.place for one in guard.entry.references if one.path == each.field), None)
        if change.before is None or place is None:
            yield each
            continue
        old = {key(value) for _, value in values_at(change.before, place.steps)}
        # It is the document that says where a name ends: a key may have a dot in it, or be a number.
        now = [value for path, value in values_at(change.after, place.steps) if dotted(path) == each.path]
        if not now or any(key(value) not in old for value in now):
            yield each


async def _kept_up(
    guard: Guard, change: Change, known: Originals, alone: frozenset[tuple[Copy, Pair]], session: Any
) -> list[Violation]:
    """Make of what was set what an insert makes of it.

    Copies whose reference changed get their new owner's value, derived fields what they are computed to be, and what
    a validator judges beside the other fields what that makes of it.

    Returns:
        What is wrong with values of derived fields that the write has set.
    """
    entry = guard.entry
    places = [*guard.beside, *(each.place for each in entry.copies), *entry.derived]
    if not places:
        return []
    before = [dict(values_at(change.after, place.steps)) for place in places]
    if guard.beside:
        _as_inserted(guard, change)
    if known:
        moved = {
            copy
            for copy in known
            if change.before is not None and _differs(copy.via.place, change) and not _differs(copy.place, change)
        }
        fill(guard, change.after, known, moved=moved, alone=alone)
    by_hand = derived.settle(entry, change.after, change.before) if entry.derived else []
    edits: list[Edit] = []
    for place, old in zip(places, before, strict=True):
        new = dict(values_at(change.after, place.steps))
        edits += [(path, each) for path, each in new.items() if path not in old or not same(old[path], each)]
        edits += [(path, ABSENT) for path in old.keys() - new.keys()]
    if not edits:
        return by_hand
    this = change.after["_id"]
    if all(nameable(path) for path, _ in edits):
        await guard.store.update_one(entry.collection, {"_id": this}, updating(edits), session=session)
    else:
        await put(guard.store, entry.collection, this, edits, session)
    return by_hand


def _as_inserted(guard: Guard, change: Change) -> None:
    """Give what a write has set, and could not be validated by itself, the value that an insert would store."""
    read = {name: codec.objects(value) for name, value in change.after.items() if name != CONDEMNED}
    try:
        # As it is stored, and not as it could be offered: a date has lost its zone.
        document = codec.encode(guard.entry.reader.validate_python(read))
    except ValueError:  # which is reported
        return
    for place in guard.beside:
        old = {key(value) for _, value in values_at(change.before, place.steps)} if change.before is not None else set()
        made = dict(values_at(document, place.steps))
        for path, value in list(values_at(change.after, place.steps)):
            if path in made and key(value) not in old and not same(value, made[path]):
                placed(change.after, path, made[path])
