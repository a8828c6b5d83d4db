"""What a change of owners does to their copies: a plan, made in the owner's transaction before anything is written.

Copies that are all written alike are one command: `Many`. Where documents have to be looked at one by one (a copy of
the copy, a field derived from it, a revision to count, a validator of the whole document), they are read, changed
here and judged: `Single`. What would write more documents than fit one transaction is neither, but a `Rest`.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Copy, Entry, Reference
from integrity.rules.judge import Judge, dotted
from integrity.rules.ownership import unfit_copy
from integrity.rules.rule import At
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes import derived
from integrity.writes.change import Change
from integrity.writes.copies.fitting import as_copy, misfits, simple
from integrity.writes.copies.spots import spots
from integrity.writes.references.keys import Key, protected
from integrity.writes.references.plan import naming

#: The values by which one array filter, or one equality, finds a reference: neither a pattern nor an operator.
_STRUCTURED = (dict, list)


@dataclass(frozen=True)
class Moved:
    """An owner of which what is copied has changed.

    Args:
        via: The reference by which its copies name it.
        key: The value that names it now.
        id: Its ``_id``.
        values: The new value of each copied field that changed; `ABSENT` where it was taken away.
    """

    via: Reference
    key: Any
    id: Any
    values: tuple[tuple[Copy, Any], ...]

    @property
    def name(self) -> Key:
        """The key that its pins go by."""
        return Key(self.via.target.collection, self.via.field, self.key)


@dataclass(frozen=True)
class Many:
    """One ``update_many``.

    Args:
        collection: The collection's name.
        filter: What it updates.
        update: The update.
        array_filters: PyMongo's.
        text: Whether it goes by a string, which a collection's own collation may take for another one.
    """

    collection: str
    filter: Document
    update: Document
    array_filters: tuple[Document, ...] = ()
    text: bool = False

    def options(self, store: Store) -> dict[str, Any]:
        """Return PyMongo's options of it."""
        filters = {"array_filters": list(self.array_filters)} if self.array_filters else {}
        # By the collection's own collation it would overwrite the copies of another owner: "A" is "a" there.
        return {**filters, **(store.exact if self.text else {})}


@dataclass
class Single:
    """One document that is changed by itself.

    Args:
        entry: Its model.
        before: As it stands.
        after: As it will.
    """

    entry: Entry
    before: Document
    after: Document


@dataclass
class RefreshPlan:
    """What a change of owners does to their copies.

    Args:
        keys: What names the owners: their pins are changed, so that who copies one of them meanwhile begins again.
        many: The commands.
        singles: The documents that are changed by themselves, by collection and ``_id``.
        rests: What is left to batches.
        violations: Why the owners may not change like this.
        size: How many documents are written.
    """

    keys: list[Key] = field(default_factory=list)
    many: list[Many] = field(default_factory=list)
    singles: dict[tuple[str, Hashable], Single] = field(default_factory=dict)
    rests: list[tuple[Copy, Key]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    size: int = 0

    def __bool__(self) -> bool:
        return bool(self.keys or self.violations)

    def __str__(self) -> str:
        lines = [f"{self.size} documents with copies to refresh"]
        lines += [f"  {each.collection}: {each.filter} gets {each.update}" for each in self.many]
        lines += [f"  {collection}: 1 document by itself" for collection, _ in self.singles]
        lines += [f"  {copy.entry.collection}.{copy.path}: in batches" for copy, _ in self.rests]
        return "\n".join([*lines, *(f"  refused: {each}" for each in self.violations)])


def moved(entry: Entry, changes: Sequence[Change]) -> Iterator[Moved]:
    """Yield the owners whose copies no longer say what they say."""
    for via in dict.fromkeys(each.via for each in entry.copied):
        copies = [each for each in entry.copied if each.via is via]
        for change in changes:
            found = _moved(via, copies, change)
            if found is not None:
                yield found


def _moved(via: Reference, copies: Sequence[Copy], change: Change) -> Moved | None:
    name = _at(change.after, via.field)
    if name is ABSENT or name is None:
        return None
    before = change.before
    if before is None:
        # What an upsert inserts nobody refers to yet, but by a reference that may dangle.
        fresh = not protected(via)
    else:
        old = _at(before, via.field)
        fresh = old is ABSENT or key(old) != key(name)  # others may name it by its new key
    values = []
    for copy in copies:
        original = _at(change.after, copy.field)
        if fresh or (before is not None and not _alike(_at(before, copy.field), original)):
            values.append((copy, original))
    return Moved(via, name, change.after.get("_id"), tuple(values)) if values else None


async def plan(store: Store, entry: Entry, changes: Sequence[Change], limit: int, session: Any) -> RefreshPlan:
    """Return what a change of owners does to their copies, and to the copies of those.

    Args:
        store: The database.
        entry: The owners' model.
        changes: The owners, before and after.
        limit: How many documents one transaction may refresh; the others are left to batches.
        session: The session of the owners' transaction.
    """
    made = RefreshPlan()
    wave = list(moved(entry, changes))
    # A copy of a copy follows: circles were refused when the models were declared.
    while wave:
        made.keys += [each.name for each in wave]
        singles: list[Single] = []
        for each in wave:
            singles += await _follow(store, made, each, limit, session)
        wave = []
        for model in {each.entry.name: each.entry for each in singles}.values():
            if model.copied:
                wave += moved(model, [Change(each.before, each.after) for each in singles if each.entry is model])
    return made


async def _follow(store: Store, made: RefreshPlan, owner: Moved, limit: int, session: Any) -> list[Single]:
    collection = owner.via.entry.collection
    named = naming(owner.via, [owner.key])
    left = limit - made.size
    count = await store.count_documents(collection, named, limit=max(left, 0) + 1, session=session)
    if not count:
        return []
    values = [(copy, as_copy(copy, original)) for copy, original in owner.values]
    wrong = [each for copy, value in values for each in unfit(owner, copy, value)]
    if wrong:
        made.violations += wrong
    if wrong or count > left:
        # What cannot be held refuses the owner's change; where that has happened already, it is told of by the record.
        made.rests += [(copy, owner.name) for copy, _ in values]
        return []
    made.size += count
    command = many(owner.via, owner.key, values)
    if command is not None:
        made.many.append(command)
        return []
    documents: list[Document] = []
    batches = store.find(collection, named, session=session)
    while batch := await batches.next():
        documents += batch
    return [each for document in documents for each in single(made, owner.via, owner.key, values, document)]


def unfit(owner: Moved, copy: Copy, value: Any) -> Iterator[Violation]:
    """Yield why the owner's new value cannot be its copies'."""
    for each in misfits(copy, value):
        at = At(copy.via.target.collection, owner.id, copy.field, copy.field)
        shown = None if value is ABSENT else value
        where = f"{copy.entry.collection}.{copy.path}"
        yield unfit_copy.RULE.violation(at, unfit_copy.fault(shown, where, each.message))


def many(via: Reference, name: Any, values: Sequence[tuple[Copy, Any]]) -> Many | None:
    """Return the one command that refreshes these copies of an owner, or None where documents are looked at.

    Args:
        via: The reference.
        name: The key of the owner.
        values: What each copy is to hold.
    """
    entry = via.entry
    if entry.revision is not None or entry.derived or isinstance(name, _STRUCTURED):
        return None
    copied = {each.field for each in entry.copied}
    sets: Document = {}
    unsets: Document = {}
    filters: tuple[Document, ...] = ()
    for copy, value in values:
        if not simple(copy) or ".".join(copy.place.steps) in copied:
            return None
        found = _path(copy)
        if found is None:
            return None
        path, element = found
        if element is not None:
            filters = ({f"copied.{element}": name},)
        (unsets if value is ABSENT else sets)[path] = "" if value is ABSENT else value
    update = {operator: paths for operator, paths in (("$set", sets), ("$unset", unsets)) if paths}
    return Many(entry.collection, naming(via, [name]), update, filters, isinstance(name, str))


def _path(copy: Copy) -> tuple[str, str | None] | None:
    """Return how one command names a copy: its path, and its reference's within the same element, if in one.

    A place that the reference's value does not prove to be there (an embedded object beside it) has no such path: the
    command would create it.
    """
    steps, via = copy.place.steps, copy.via.place.steps
    arrays = [steps.count("[]"), via.count("[]")]
    if "*" in (*steps, *via):
        return None
    if arrays == [0, 0]:
        return (dotted(steps), None) if len(steps) == 1 or steps[:-1] == via[:-1] else None
    if arrays == [1, 1] and steps[:-1] == via[:-1]:
        at = steps.index("[]")
        return dotted((*steps[:at], "$[copied]", *steps[at + 1 :])), dotted(via[at + 1 :])
    return None


def single(
    made: RefreshPlan, via: Reference, name: Any, values: Sequence[tuple[Copy, Any]], document: Document
) -> list[Single]:
    """Change one document's copies of an owner; note in the plan what is wrong with the outcome.

    Returns:
        The document, if it changes.
    """
    entry = via.entry
    at = (entry.collection, key(document["_id"]))
    known = made.singles.get(at)
    after = copying.deepcopy(document) if known is None else known.after
    changed = False
    for copy, value in values:
        for spot in list(spots(copy, after)):
            if key(spot.via) != key(name) or _alike(spot.value, value):
                continue
            changed = True
            if value is ABSENT:
                spot.parent.pop(spot.name, None)
            else:
                spot.parent[spot.name] = value
    if not changed:
        return []
    failed = derived.recompute(entry, after) if entry.derived else []
    if failed:  # what could not be computed before is not the copies' fault
        before = {each.path for each in derived.recompute(entry, copying.deepcopy(document))}
        failed = [each for each in failed if each.path not in before]
    if known is None:
        if entry.revision is not None:
            counted = entry.revision.steps[-1]
            stands = after.get(counted, 0)
            if isinstance(stands, int | float):  # another type is nothing to count; the audit tells of it
                after[counted] = stands + 1
        known = made.singles[at] = Single(entry, document, after)
    made.violations += [*failed, *_new_faults(known)]
    return [known]


def _new_faults(single: Single) -> list[Violation]:
    """Return what the refreshed copies make wrong with a document; what was wrong before is not their fault."""
    judge = _judge(single.entry)
    found = judge.stored(single.after)
    if not found:
        return []
    before = {(each.code, each.path) for each in judge.stored(single.before)}
    return [each for each in found if (each.code, each.path) not in before]


def _judge(entry: Entry) -> Judge:
    found: Judge | None = entry.__dict__.get("_copies_judge")
    if found is None:
        found = entry.__dict__["_copies_judge"] = Judge(entry)
    return found


def _at(document: Document, field: str) -> Any:
    return value_at(document, tuple(field.split(".")))


def _alike(first: Any, second: Any) -> bool:
    return same(first, second) or (first in (None, ABSENT) and second in (None, ABSENT))
