"""The delete plan: what a delete would take with it, set to null, or be refused for. A value; nothing is done here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from integrity.declare.equality import key
from integrity.declare.extract import ABSENT, Path, value_at, values_at
from integrity.declare.registry import Entry, Reference
from integrity.store.lookup import measured, pieces
from integrity.store.port import Document, Filter, Store
from integrity.violation import IDENTITY, quote
from integrity.writes.references.keys import Key, fields, held, protected

#: Keys in one query for children.
CHUNK = 500
#: ``_id``s in one query for what was asked to be deleted.
TOGETHER = 1000
#: Bytes of ``_id``s in one transaction.
_BYTES = 4_000_000
#: How many levels of a cascade an explanation shows.
DEEPEST = 12
_BESIDE = "│   "
_SEVERAL = {"loses its reference": "lose their references", "refuses": "refuse"}
#: How many ``_id``s an explanation names.
EXAMPLES = 5


@dataclass(frozen=True)
class Child:
    """A document that refers to what would be deleted.

    Args:
        reference: The reference.
        id: The document's ``_id``.
        spots: Where the reference stands in it, each with the key that it names.
        back: Whether it gets back what it had before a write that was refused: its revision, too.
    """

    reference: Reference
    id: Any
    spots: tuple[tuple[Path, Any], ...]
    back: bool = False


@dataclass
class Doomed:
    """A document that would be deleted.

    Args:
        entry: Its model.
        id: Its ``_id``.
        document: Its ``_id`` and the fields that it is referred to by.
        by: The reference by which the delete reaches it; None for what was asked to be deleted.
        value: The key that it refers to by that.
    """

    entry: Entry
    id: Any
    document: Document
    by: Reference | None = None
    value: Any = None


@dataclass
class DeletePlan:
    """What a delete would do.

    Args:
        entry: The model of what was asked to be deleted.
        doomed: What would be deleted, in the order in which the cascade reaches it: parents first.
        nulled: The references that would be set to null, or taken out of their array.
        restricted: The references that refuse the delete.
        left: The references that would be left dangling, as they declare.
    """

    entry: Entry
    doomed: list[Doomed] = field(default_factory=list)
    nulled: list[Child] = field(default_factory=list)
    restricted: list[Child] = field(default_factory=list)
    left: list[Child] = field(default_factory=list)

    @property
    def allowed(self) -> bool:
        """Whether nothing refuses it."""
        return not self.restricted

    @property
    def size(self) -> int:
        """How many documents would be written."""
        return len(self.doomed) + len(self.nulled)

    def fits(self, limit: int) -> bool:
        """Whether one transaction holds it: so many documents at most, and not too much of long ``_id``s.

        What a transaction writes stays in the server's cache until it is committed, and the condemnation's records with
        it, in which they stand again.
        """
        ids = [*(each.id for each in self.doomed), *(each.id for each in self.nulled)]
        return self.size <= limit and sum(map(measured, ids)) <= _BYTES

    @property
    def deletes(self) -> dict[str, int]:
        """How many documents would be deleted, by collection."""
        return _counts(each.entry.collection for each in self.doomed)

    @property
    def nulls(self) -> dict[str, int]:
        """How many documents would lose a reference, by reference."""
        return _counts(str(each.reference) for each in self.nulled)

    @property
    def refusals(self) -> dict[str, int]:
        """How many documents refuse it, by reference."""
        return _counts(str(each.reference) for each in self.restricted)

    @property
    def roots(self) -> list[Doomed]:
        """What was asked to be deleted."""
        return [each for each in self.doomed if each.by is None]

    def condemned(self) -> tuple[dict[str, dict[Hashable, Any]], list[Key]]:
        """Return what others can refer to of what would be deleted: the ``_id``s by collection, and the keys."""
        documents: dict[str, dict[Hashable, Any]] = {}
        keys: dict[Hashable, Key] = {}
        for each in self.doomed:
            if fields(each.entry):
                # Also where its key is null, and nobody can name it: it is deleted as long as it bears the flag.
                documents.setdefault(each.entry.collection, {})[key(each.id)] = each.id
                keys.update(held(each.entry, [each.document]))
        return documents, list(keys.values())

    def to_json(self) -> dict[str, Any]:
        """Return the plan's counts as a JSON-ready dict."""
        return {
            "model": self.entry.name,
            "collection": self.entry.collection,
            "asked": len(self.roots),
            "allowed": self.allowed,
            "deletes": self.deletes,
            "nulls": self.nulls,
            "refusals": self.refusals,
            "left": _counts(str(each.reference) for each in self.left),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        verdict = "" if self.allowed else ", refused"
        yield f"{self.entry.collection}: {documents(len(self.roots))} to delete{verdict}"
        yield from self._below(self.roots, "")

    def _below(self, parents: Sequence[Doomed], indent: str) -> Iterator[str]:
        if len(indent) > DEEPEST * len(_BESIDE):
            yield f"{indent}└── …"
            return
        branches = []
        for reference in parents[0].entry.referrers if parents else ():
            keys = {key(_value(each.document, reference.field)) for each in parents}
            for word, children, further in self._children(reference, keys):
                if children:
                    branches.append((reference, word, children, further))
        for number, (reference, word, children, further) in enumerate(branches, 1):
            last = number == len(branches)
            names = ", ".join(quote(each, IDENTITY) for each in children[:EXAMPLES])
            more = ", …" if len(children) > EXAMPLES else ""
            where = f"{reference.entry.collection}.{reference.path}"
            done = word if len(children) == 1 else _SEVERAL.get(word, word)
            yield f"{indent}{'└── ' if last else '├── '}{where}: {documents(len(children))} {done} ({names}{more})"
            yield from self._below(further, indent + ("    " if last else _BESIDE))

    def _children(self, reference: Reference, keys: set[Hashable]) -> Iterator[tuple[str, list[Any], list[Doomed]]]:
        """Yield what becomes of those that refer to some of the keys: each document stands under its own parent."""
        deleted = [each for each in self.doomed if each.by is reference and key(each.value) in keys]
        yield "deleted", [each.id for each in deleted], deleted
        for word, found in (
            ("loses its reference", self.nulled),
            ("refuses", self.restricted),
            ("left dangling", self.left),
        ):
            of = [each for each in found if each.reference is reference]
            yield word, [each.id for each in of if any(key(value) in keys for _, value in each.spots)], []


def documents(count: int) -> str:
    """Return a count of documents in words."""
    return "1 document" if count == 1 else f"{count} documents"


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in names:
        counts[each] = counts.get(each, 0) + 1
    return counts


async def collect(store: Store, entry: Entry, filter: Filter, **options: Any) -> DeletePlan:
    """Return the plan of deleting what matches a filter.

    Args:
        store: The database.
        entry: The model.
        filter: What is to be deleted.
        options: PyMongo's options of ``find``: ``session``, ``collation``, ``sort``, ``limit``, ``hint``, ``let``.
    """
    session = {name: value for name, value in options.items() if name == "session"}
    roots: list[Doomed] = []
    batches = store.find(entry.collection, filter, projection=_projection(entry), **options)
    while batch := await batches.next():
        roots += [Doomed(entry, each["_id"], each) for each in batch]
    return await follow(store, entry, roots, **session)


async def among(store: Store, entry: Entry, ids: Sequence[Any], filter: Filter, **options: Any) -> DeletePlan:
    """Return the plan of deleting those of some documents that match a filter.

    Args:
        store: The database.
        entry: The model.
        ids: The documents' ``_id``s, as many as may be.
        filter: What is to be true of them.
        options: PyMongo's options of ``find``: ``session``, ``collation``, ``let``, ``comment``.
    """
    session = {name: value for name, value in options.items() if name == "session"}
    wanted = {key(each): each for each in ids}
    roots: dict[Hashable, Doomed] = {}
    for piece in pieces(wanted.values(), TOGETHER):
        still = {"$and": [dict(filter), {"_id": {"$in": piece}}]}
        batches = store.find(entry.collection, still, projection=_projection(entry), **options)
        while batch := await batches.next():
            for each in batch:
                # A collation of the caller's is the `_id`s' as well, and calls "a" what was chosen as "A".
                if (at := key(each["_id"])) in wanted:
                    roots[at] = Doomed(entry, each["_id"], each)
    return await follow(store, entry, list(roots.values()), **session)


async def follow(store: Store, entry: Entry, roots: Sequence[Doomed], **session: Any) -> DeletePlan:
    """Return the plan of deleting documents, following every reference to them.

    Args:
        store: The database.
        entry: The model of what was asked to be deleted.
        roots: What is to be deleted.
        session: PyMongo's ``session``, when there is one.
    """
    plan = DeletePlan(entry)
    known: dict[tuple[str, Hashable], Doomed] = {}
    restricted: list[Child] = []
    nulled: list[Child] = []
    left: list[Child] = []
    wave = [known.setdefault((each.entry.collection, key(each.id)), each) for each in roots]
    plan.doomed += known.values()
    while wave:
        found: list[Doomed] = []
        for parent in {each.entry.name: each.entry for each in wave}.values():
            for reference in parent.referrers:
                values = [_value(each.document, reference.field) for each in wave if each.entry is parent]
                async for child, document in _children(store, reference, values, session):
                    action = reference.ref.on_delete
                    if action == "cascade":
                        at = (reference.entry.collection, key(child.id))
                        if at not in known:
                            known[at] = Doomed(reference.entry, child.id, document, reference, child.spots[0][1])
                            found.append(known[at])
                    else:
                        {"restrict": restricted, "set_null": nulled, "no_action": left}[action].append(child)
        plan.doomed += found
        wave = found
    # What is deleted itself refuses nothing and loses nothing.
    plan.restricted, plan.nulled, plan.left = (
        [each for each in children if (each.reference.entry.collection, key(each.id)) not in known]
        for children in (restricted, nulled, left)
    )
    return plan


async def children(store: Store, reference: Reference, values: Iterable[Any], **session: Any) -> list[Child]:
    """Return the documents whose reference names one of the keys."""
    return [child async for child, _ in _children(store, reference, list(values), session)]


async def _children(
    store: Store, reference: Reference, values: Sequence[Any], session: Mapping[str, Any]
) -> AsyncIterator[tuple[Child, Document]]:
    wanted = {key(each): each for each in values if each is not ABSENT and each is not None}
    projection = _projection(reference.entry, reference)
    for piece in pieces(wanted.values(), CHUNK):
        batches = store.find(reference.entry.collection, naming(reference, piece), projection=projection, **session)
        while batch := await batches.next():
            for document in batch:
                # The filter may find too much (an array that merely contains the key); this decides.
                spots = tuple(
                    (path, value)
                    for path, value in values_at(document, reference.place.steps)
                    if value is not None and key(value) in wanted
                )
                if spots:
                    yield Child(reference, document["_id"], spots), document


def naming(reference: Reference, values: Sequence[Any]) -> dict[str, Any]:
    """Return a filter that finds every document whose reference names one of the keys, and may find more."""
    steps = reference.place.steps
    if "*" in steps or ("[]", "[]") in pairwise(steps):
        # No path of MongoDB's goes through every key of a mapping, or through an array in an array.
        upto = next(i for i, step in enumerate(steps) if step == "*" or steps[i : i + 2] == ("[]", "[]"))
        top = ".".join(each for each in steps[:upto] if each != "[]")
        return {top: {"$exists": True}}
    path = ".".join(each for each in steps if each != "[]")
    return {path: values[0]} if len(values) == 1 and not isinstance(values[0], dict) else {path: {"$in": list(values)}}


def _value(document: Document, field: str) -> Any:
    return value_at(document, tuple(field.split(".")))


def _projection(entry: Entry, reference: Reference | None = None) -> dict[str, Any]:
    """Return a projection on ``_id``, what the document is referred to by, and one reference."""
    wanted = ["_id", *(each.field for each in entry.referrers)]
    if reference is not None:
        steps = reference.place.steps
        cut = steps.index("*") if "*" in steps else len(steps)
        wanted.append(".".join(each for each in steps[:cut] if each != "[]") or steps[0])
    kept = [each for each in dict.fromkeys(wanted) if not any(each.startswith(f"{other}.") for other in wanted)]
    return dict.fromkeys(kept, 1)


def protecting(entry: Entry) -> bool:
    """Whether anything protected refers to the model."""
    return any(protected(each) for each in entry.referrers)
