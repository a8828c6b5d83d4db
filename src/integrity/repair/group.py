"""Of several documents with an equal value, which one stays: the preference that was chosen, and the same at any time.

A document that something else is wrong with never stays in the place of one that nothing is wrong with. One in whose
favour another went stays for the rest of the run, whatever other values it shares.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Any

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import DuplicateKeyError

from integrity.audit.facts import Facts
from integrity.audit.source import Source
from integrity.audit.unique import Duplicates
from integrity.declare.equality import equal, key
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Entry, UniqueKey
from integrity.repair.choice import Choice
from integrity.rules.remedy import KEEP_NEWEST
from integrity.store.codecs import CODEC
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes.references.durable import durable
from integrity.writes.references.notices import COLLECTION as PROTOCOL

_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)

STAYS = "of the documents with this value it is the one that stays"
PREFERRED = "another document was taken away in its favour"
ALONE = "no other document has the value"

_FAVOURS = {"_id": "favours"}

#: Values of which is remembered which document stays.
_REMEMBERED = 10_000


class Group:
    """The documents that have a value of one constraint.

    Args:
        store: The database.
        entry: The model's entry.
        source: Its collection.
    """

    def __init__(self, store: Store, entry: Entry, source: Source) -> None:
        self._store = store
        self._entry = entry
        self._source = source
        self._facts = Facts(store, entry)
        self._staying: dict[Hashable, Any] = {}
        self._preferred: set[Hashable] = set()
        self._gone: set[Hashable] = set()
        self._prepared = False

    async def prepare(self) -> None:
        """Create what transactions change that take a document away in favour of another; outside of any."""
        if not self._prepared:
            with suppress(DuplicateKeyError):  # another repair's, at the same time
                await durable(self._store).update_one(PROTOCOL, _FAVOURS, {"$setOnInsert": {"n": 0}}, upsert=True)
            self._prepared = True

    async def stays(self, document: Document, violation: Violation, choice: Choice, session: Any = None) -> str:
        """Return why a document stays, or an empty text when it is to go.

        Args:
            document: The document.
            violation: What the audit found in it.
            choice: Which of the documents stays.
            session: The session of the transaction that would delete it; None for none.
        """
        if session is not None:
            # One after the other: two repairs that prefer different documents would each take away the other's.
            await self._store.update_one(PROTOCOL, _FAVOURS, {"$inc": {"n": 1}}, session=session)
        unique = self.constraint(violation)
        if unique is None:
            return ALONE
        found = Duplicates(self._store, self._store, self._facts, unique, self._source)
        values = found.value(document, violation.path)
        if values is None:
            return ALONE
        at = _at(unique, choice, values)
        known = self._staying.get(at)
        if known is None or not await self._is_still(found, known, values, session):
            if session is not None:
                return ALONE  # the one that was to stay has gone meanwhile
            known = await self._first(found, values, choice)
            if len(self._staying) >= _REMEMBERED:
                self._staying.clear()
            self._staying[at] = known
        if known is None:
            return ALONE
        if equal(known, document["_id"]):
            return STAYS
        return PREFERRED if self.preferred(document["_id"]) else ""

    async def stands(self, document: Document, violation: Violation, choice: Choice) -> bool:
        """Whether the document is still there, with the value, in whose favour another has gone."""
        at, found, values = self._place(document, violation, choice)
        return await self._is_still(found, self._staying[at], values, None)

    def preferred(self, id: Any) -> bool:
        """Whether another document went, or would go, in favour of one."""
        return key(id) in self._preferred

    def went(self, document: Document, violation: Violation, choice: Choice) -> None:
        """Note that a document that was not to stay is gone, or would be: of a plan it is there still."""
        at, _, _ = self._place(document, violation, choice)
        self._preferred.add(key(self._staying[at]))
        self._gone.add(key(document["_id"]))

    def _place(
        self, document: Document, violation: Violation, choice: Choice
    ) -> tuple[Hashable, Duplicates, tuple[Any, ...]]:
        unique = self.constraint(violation)
        assert unique is not None  # it was told by `stays`
        found = Duplicates(self._store, self._store, self._facts, unique, self._source)
        values = found.value(document, violation.path)
        assert values is not None
        return _at(unique, choice, values), found, values

    async def _is_still(self, found: Duplicates, id: Any, values: tuple[Any, ...], session: Any) -> bool:
        if key(id) in self._gone:
            return False
        options = {} if session is None else {"session": session}
        stored = await self._store.find_one(self._entry.collection, {"_id": id}, **options)
        return stored is not None and await found.has(stored, values)

    async def _first(self, found: Duplicates, values: tuple[Any, ...], choice: Choice) -> Any:
        """Return the ``_id`` of the document that stays; None where there is but one."""
        best: tuple[Any, ...] | None = None
        many, staying = 0, None
        async for batch in found.sharing(values):
            for each, wrong in zip(batch, await self._facts.judge(batch), strict=True):
                if key(each["_id"]) in self._gone:
                    continue
                rank = (bool(wrong), *_rank(each, choice))
                many += 1
                if best is None or rank < best:
                    best, staying = rank, each["_id"]
        return staying if many > 1 else None

    def constraint(self, violation: Violation) -> UniqueKey | None:
        """Return the constraint that a violation is of."""
        return next((each for each in self._entry.uniques if each.path == violation.field), None)


def _at(unique: UniqueKey, choice: Choice, values: tuple[Any, ...]) -> Hashable:
    return unique.path, str(choice), tuple(map(key, values))


def _rank(document: Document, choice: Choice) -> tuple[Any, ...]:
    """Return what documents are ordered by: the first stays; two are never equal."""
    value = value_at(document, tuple(choice.by.split("."))) if choice.by else document["_id"]
    last = bson.encode({"": document["_id"]}, codec_options=_CODEC)
    if value is ABSENT or value is None:
        return (1, 0, last)  # of those that do not say when they were made, none is preferred
    ordered = _Ordered(key(value))
    return (0, _Backwards(ordered) if choice.remedy is KEEP_NEWEST else ordered, last)


class _Ordered:
    """A value that can be compared with every other: within its type by value, else by the type's name."""

    def __init__(self, value: Hashable) -> None:
        self._key = (type(value).__name__ if not isinstance(value, int | float) else "number", value)

    def __lt__(self, other: _Ordered) -> bool:
        return self._key < other._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ordered) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


class _Backwards:
    """A value in the opposite order."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: _Backwards) -> bool:
        return bool(other._value < self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(self._value)
