"""Whether what documents refer to exists, and whether it is to be deleted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from integrity.declare.equality import key
from integrity.declare.extract import ABSENT, Path, value_at, values_at
from integrity.declare.registry import Reference
from integrity.declare.reserved import CONDEMNED
from integrity.rules.judge import dotted
from integrity.rules.reference import dangling, wrong_key_type
from integrity.rules.rule import At
from integrity.store.lookup import look_up
from integrity.store.port import Document
from integrity.violation import Violation
from integrity.writes.references import condemned
from integrity.writes.references.keys import Key, distinct, protected

if TYPE_CHECKING:
    from integrity.writes.guard import Guard


#: Whether a document bears the flag; no function of Python's, as it is asked at every insert.
_FLAGGED = methodcaller("__contains__", CONDEMNED)


@dataclass
class Sight:
    """What a look at documents' references showed.

    Args:
        faults: What is wrong with each document's references.
        condemned: The documents that refer to something condemned, by index: the deletion's token and its lease.
    """

    faults: list[tuple[Violation, ...]]
    condemned: dict[int, Document] = field(default_factory=dict)


async def verify(
    guard: Guard, documents: Sequence[Document], session: Any = None, *, ordered: bool = True
) -> list[tuple[Violation, ...]]:
    """Return what is wrong with the references of each document.

    A document may refer to itself, and in an ordered batch to one that stands before it and resolves.

    Args:
        guard: The model's guard.
        documents: What would be stored.
        session: The session to read in; None for none.
        ordered: Whether the documents are stored in this order.
    """
    return (await look(guard, documents, session, ordered=ordered)).faults


async def look(
    guard: Guard,
    documents: Sequence[Document],
    session: Any = None,
    *,
    ordered: bool = True,
    beside: frozenset[str] = frozenset(),
    seen: dict[str, set[Hashable]] | None = None,
) -> Sight:
    """Look at what documents refer to.

    Args:
        guard: The model's guard.
        documents: What would be stored, or is.
        session: The session to read in; None for none.
        ordered: Whether the documents are stored in this order.
        beside: The collections whose condemnations do not stand on their documents.
        seen: What was seen before in the same snapshot, and well, by each reference; what is seen now is added.
    """
    sight = Sight([()] * len(documents))
    options = {} if session is None else {"session": session}
    for reference in guard.entry.references:
        collection, guarded = reference.target.collection, protected(reference)
        wanted = distinct(reference, documents)
        known = set[Hashable]() if seen is None else seen.setdefault(reference.path, set())
        if known:
            wanted = {at: each for at, each in wanted.items() if at not in known}
        if not wanted:
            continue
        records: dict[str, Document] = {}
        if guarded and collection in beside:
            # Before the look at existence: a deletion that ends between the two is then seen as an absence. The
            # other way round, the document is seen while it exists, and the condemnation when it is no more.
            names = [Key(collection, reference.field, each).name for each in wanted.values()]
            records = await condemned.beside(guard.store, names, session)
        # One read for both: what the document is condemned by stands on it.
        also = [CONDEMNED] if guarded else []
        existing = await look_up(guard.store, collection, reference.field, wanted.values(), also, **options)
        if len(existing) == len(wanted) and not records and not any(map(_FLAGGED, existing.values())):
            known.update(wanted)
            continue
        missing = []
        for index, path, value in _all_uses(reference, documents):
            there = existing.get(key(value))
            if there is None:
                if key(value) not in known:
                    missing.append((index, path, value))
            elif CONDEMNED in there:
                sight.condemned[index] = there[CONDEMNED]
            elif records and (record := records.get(Key(collection, reference.field, value).name)):
                sight.condemned[index] = {"by": record["op"], "until": record["until"]}
        await _faults(guard, reference, documents, missing, sight, options, ordered=ordered)
    return sight


def glimpsable(guard: Guard, keys: Iterable[Key]) -> Reference | None:
    """Return the reference that `glimpse` is asked about, where a document names one thing, and by its ``_id``.

    Strings are told apart by the collation of either collection, and are left to `look`.
    """
    if len(guard.entry.references) != 1:
        return None
    (reference,) = guard.entry.references
    plain = reference.field == "_id" and len(reference.place.steps) == 1 and protected(reference)
    return reference if plain and all(type(each.value) in {int, ObjectId} for each in keys) else None


async def glimpse(guard: Guard, reference: Reference, document: Document) -> bool:
    """Whether a document is stored, and what it refers to is there and not condemned, seen in this order.

    For a document that is being stored meanwhile, and whose ``_id`` was made for that: of another one it would tell
    nothing.

    Args:
        guard: The model's guard.
        reference: Its one reference.
        document: The document.
    """
    # In this order: the server looks for what the document refers to when it has found the document.
    pipeline = [
        {"$match": {"_id": document["_id"]}},
        {"$lookup": {"from": reference.target.collection, "localField": reference.place.steps[0],
                     "foreignField": "_id", "as": "there"}},
        {"$project": {"there._id": 1, f"there.{CONDEMNED}": 1}},
    ]  # fmt: skip
    found = await (await guard.store.aggregate(guard.collection, pipeline)).next()
    there = found[0]["there"] if found else []
    return len(there) == 1 and CONDEMNED not in there[0]


def _all_uses(reference: Reference, documents: Sequence[Document]) -> Iterator[tuple[int, Path, Any]]:
    for index, document in enumerate(documents):
        for path, value in values_at(document, reference.place.steps):
            if value is not None:
                yield index, path, value


async def _faults(
    guard: Guard,
    reference: Reference,
    documents: Sequence[Document],
    missing: list[tuple[int, Path, Any]],
    sight: Sight,
    options: dict[str, Any],
    *,
    ordered: bool,
) -> None:
    missing = list(_not_among_them(reference, documents, missing, ordered=ordered))
    if not missing:
        return
    others = [other for _, _, value in missing for other in wrong_key_type.alternatives(value)]
    found = (
        await look_up(guard.store, reference.target.collection, reference.field, others, **options) if others else {}
    )
    for index, path, value in missing:
        sight.faults[index] = (*sight.faults[index], _violation(reference, documents[index], path, value, found))


def _not_among_them(
    reference: Reference, documents: Sequence[Document], missing: list[tuple[int, Path, Any]], *, ordered: bool
) -> Iterator[tuple[int, Path, Any]]:
    """Leave out what refers to the document itself, or to one that is stored before it."""
    if reference.target is not reference.entry:
        yield from missing
        return
    steps = tuple(reference.field.split("."))
    keys: dict[Hashable, int] = {}
    for index, each in enumerate(documents):
        value = value_at(each, steps)
        if value is not ABSENT:
            keys.setdefault(key(value), index)
    dangles: set[int] = set()
    for index, path, value in missing:
        at = keys.get(key(value))
        if at == index or (ordered and at is not None and at < index and at not in dangles):
            continue
        dangles.add(index)
        yield index, path, value


def _violation(
    reference: Reference, document: Document, path: Path, value: Any, alike: dict[Hashable, Document]
) -> Violation:
    at = At(reference.entry.collection, document.get("_id"), dotted(path), reference.path)
    target = f"{reference.target.collection}.{reference.field}"
    for other in wrong_key_type.alternatives(value):
        if key(other) in alike:
            return wrong_key_type.RULE.violation(at, wrong_key_type.fault(value, target, other))
    return dangling.RULE.violation(at, dangling.fault(value, target))
