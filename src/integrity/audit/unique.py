"""Duplicates: grouped by the server, judged here."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Any

from bson import Regex

from integrity.audit.changed import changed, may_be_changed, of_types
from integrity.audit.facts import Facts, faults, touched
from integrity.audit.folding import COLLATION, Folding, is_text
from integrity.audit.listed import fitting
from integrity.audit.source import Source
from integrity.declare import equality
from integrity.declare.extract import Path, values_at
from integrity.declare.registry import UniqueKey
from integrity.declare.shape import Place
from integrity.rules.judge import dotted, policy_fault
from integrity.rules.rule import At
from integrity.rules.unique import duplicate_value
from integrity.rules.walk import encodable
from integrity.store.lookup import having
from integrity.store.port import Batches, Document, Store
from integrity.violation import Violation

#: Values asked for at once: few scans of a field without an index, and a command far below 16 MB.
CHUNK = 2000
CHUNK_COMPOUND = 200
#: Documents held at once.
BATCH = 200

_Values = tuple[Any, ...]


class Duplicates:
    """Finds the members of groups of equal values of one constraint.

    Args:
        store: The database, to group the values.
        sure: The same, to read the documents again.
        facts: What judges the documents by the rules that come first.
        unique: The constraint.
        source: The collection.
    """

    def __init__(self, store: Store, sure: Store, facts: Facts, unique: UniqueKey, source: Source) -> None:
        self._store = store
        self._sure = sure
        self._facts = facts
        self._entry = facts.entry
        self._unique = unique
        folds = unique.unique.case_insensitive
        names = {_dotted(each) for each in unique.places}
        #: Whether documents are found by values of the constraint without reading all of them.
        self.indexed = not folds and any(each.fields[0] in names for each in source.indexes)
        self._together = CHUNK if len(unique.places) == 1 else CHUNK_COMPOUND
        self._options: dict[str, Any] = {"collation": COLLATION} if folds else source.exact
        self._folding = Folding(store, self._entry.collection) if folds else None

    async def find(self) -> AsyncIterator[list[Violation]]:
        """Yield the violations, a batch at a time; each has been read twice."""
        pipeline = groups(self._unique)
        batches = await self._store.aggregate(self._entry.collection, pipeline, allowDiskUse=True, **self._options)
        apart = await changed(self._store, self._entry.collection, self._unique.places, self._counted)
        try:
            while batch := await batches.next(self._together):
                listed = [self._values(one["_id"]) for one in batch]
                plain = [each for each in listed if self._counts(each) and tuple(map(equality.key, each)) not in apart]
                for some in fitting(plain):
                    async for found in self._members(some):
                        yield found
        finally:
            await batches.close()
        values = list(apart.values())
        for start in range(0, len(values), self._together):
            for some in fitting(values[start : start + self._together]):
                async for found in self._members(some, otherwise=True):
                    yield found

    def value(self, document: Document, path: str) -> tuple[Any, ...] | None:
        """Return the values of a document at a path, as a violation names it; None where nothing is compared."""
        return next(
            (
                values
                for paths, values in self._instances(document)
                if ", ".join(map(dotted, paths)) == path and self._counts(values)
            ),
            None,
        )

    async def sharing(self, values: tuple[Any, ...]) -> AsyncIterator[list[Document]]:
        """Yield the documents that have values of the constraint, a batch at a time."""
        batches = self._read([values], any(map(may_be_changed, values)))
        while batch := await batches.next(BATCH):
            yield [each for each in batch if await self.has(each, values)]

    async def has(self, document: Document, values: tuple[Any, ...]) -> bool:
        """Whether a document has values of the constraint."""
        if self._folding is not None:
            await self._folding.begin(each for each in values if is_text(each))
            await self._learn([document])
        sought = self._key(values)
        return any(self._key(each) == sought for _, each in self._instances(document))

    async def among(self, documents: list[Document], judged: list[list[Violation]]) -> list[list[Violation]]:
        """Return the violations of each of some documents: those of its values that another document has too.

        Args:
            documents: Documents of the collection.
            judged: What each of them breaks of the rules that come first.
        """
        instances = (values for each in documents for values in self._counted(each))
        distinct = list({tuple(map(equality.key, values)): values for values in instances}.values())
        found: list[list[Violation]] = [[] for _ in documents]
        apart = any(may_be_changed(one) for values in distinct for one in values)
        parts = (distinct[start : start + self._together] for start in range(0, len(distinct), self._together))
        for some in (one for each in parts for one in fitting(each)):
            if self._folding is not None:
                await self._folding.begin(one for each in some for one in each if is_text(one))
                await self._learn(documents)
            sought, counted = {self._key(each) for each in some}, await self._count(some, otherwise=apart)
            for own, document, earlier in zip(found, documents, judged, strict=True):
                # Spelled otherwise, a value may stand in two parts.
                more = self._verdicts(document, faults(earlier), sought, counted)
                own.extend(each for each in more if each not in own)
        return found

    async def _count(self, values: list[_Values], *, otherwise: bool = False) -> Counter[Hashable]:
        """Return how often each of these values is there."""
        counted: Counter[Hashable] = Counter()
        batches = self._read(values, otherwise, {place.steps[0]: 1 for place in self._unique.places})
        while batch := await batches.next(BATCH):
            await self._learn(batch)
            for document in batch:
                counted.update(self._key(each) for _, each in self._instances(document))
        return counted

    async def _members(self, values: list[_Values], *, otherwise: bool = False) -> AsyncIterator[list[Violation]]:
        """Yield the violations of every document that has one of these values, where another has it too."""
        if self._folding is not None:
            await self._folding.begin(one for each in values for one in each if is_text(one))
        sought = {self._key(each) for each in values}
        # The groups are a moment old: what is reported is counted again.
        counted = await self._count(values, otherwise=otherwise)
        batches = self._read(values, otherwise)
        while batch := await batches.next(BATCH):
            await self._learn(batch)
            judged = await self._facts.judge(batch, again=True)
            yield [
                violation
                for document, earlier in zip(batch, judged, strict=True)
                for violation in self._verdicts(document, faults(earlier), sought, counted)
            ]

    async def _learn(self, documents: list[Document]) -> None:
        if self._folding is not None:
            texts = (
                one
                for document in documents
                for _, values in self._instances(document)
                for one in values
                if is_text(one)
            )
            await self._folding.learn(texts)

    def _read(self, values: list[_Values], otherwise: bool, projection: dict[str, Any] | None = None) -> Batches:  # noqa: FBT001 - of this class
        """Return the documents that have these values, and where they may be stored otherwise, all of such types."""
        names = [_dotted(place) for place in self._unique.places]
        if len(names) == 1:
            filter_ = having(names[0], [each[0] for each in values])
        else:
            filter_ = {"$or": [{name: {"$eq": one} for name, one in zip(names, each, strict=True)} for each in values]}
        if otherwise:
            filter_ = {"$or": [filter_, of_types(self._unique.places)]}
        return self._sure.find(self._entry.collection, filter_, projection=projection, **self._options)

    def _verdicts(
        self, document: Document, faulty: set[str], sought: set[Hashable], counted: Counter[Hashable]
    ) -> Iterator[Violation]:
        for paths, values in self._instances(document):
            at_key = self._key(values)
            if at_key not in sought or counted[at_key] < 2:  # noqa: PLR2004 - alone, it is no duplicate
                continue
            if not self._counts(values) or any(touched(path, faulty) for path in paths):
                continue
            at = At(self._entry.collection, document.get("_id"), ", ".join(map(dotted, paths)), self._unique.path)
            shown = values[0] if len(values) == 1 else dict(zip(map(_dotted, self._unique.places), values, strict=True))
            yield duplicate_value.RULE.violation(at, duplicate_value.fault(shown, counted[at_key] - 1))

    def _instances(self, document: Document) -> Iterator[tuple[tuple[Path, ...], _Values]]:
        """Yield the paths and values of the constraint in a document: one, or one an element of its arrays."""
        together = _shared([place.steps for place in self._unique.places])
        for path, container in values_at(document, together):
            found = [
                list(values_at(container, steps, path)) or ([(place.steps, None)] if _without(container, steps) else [])
                for place in self._unique.places
                for steps in [place.steps[len(together) :]]
            ]
            for each in itertools.product(*found):
                yield tuple(one[0] for one in each), tuple(one[1] for one in each)

    def _counted(self, document: Document) -> Iterator[_Values]:
        """Yield the values in a document that are compared."""
        return (values for _, values in self._instances(document) if self._counts(values))

    def _counts(self, values: _Values) -> bool:
        """Whether values are compared at all: null, empty, placeholders and what is no UTF-8 are not."""
        for place, value in zip(self._unique.places, values, strict=True):
            if value is None:
                if self._unique.unique.nulls == "distinct":
                    return False
            elif isinstance(value, Regex) or self._at_fault(value, place):
                return False
        return True

    def _at_fault(self, value: Any, place: Place) -> bool:
        # What is no UTF-8 is so too, and could not be asked for.
        unsound = isinstance(value, str) and not encodable(value)
        return unsound or policy_fault(value, place.node, self._entry.policy) is not None

    def _values(self, group: Any) -> _Values:
        if len(self._unique.places) == 1:
            return (group,)
        return tuple(group.get(f"v{index}") for index in range(len(self._unique.places)))

    def _key(self, values: _Values) -> Hashable:
        if (folding := self._folding) is not None:
            values = tuple(folding.of(each) if is_text(each) else each for each in values)
        return tuple(map(equality.key, values))


def groups(unique: UniqueKey) -> list[dict[str, Any]]:
    """Return the pipeline that groups a constraint's values and keeps those that are there more than once.

    It over-reports (null, placeholders) and never under-reports: an array that is declared is unwound, and what
    is not there groups with null.
    """
    pipeline: list[dict[str, Any]] = []
    unwound: set[str] = set()
    names = []
    for place in unique.places:
        name = ""
        for step in place.steps:
            if step == "[]":
                if name not in unwound:
                    unwound.add(name)
                    pipeline.append({"$unwind": {"path": f"${name}", "preserveNullAndEmptyArrays": True}})
            else:
                name = f"{name}.{step}" if name else step
        names.append(name)
    key: Any = f"${names[0]}" if len(names) == 1 else {f"v{i}": f"${name}" for i, name in enumerate(names)}
    pipeline.append({"$group": {"_id": key, "count": {"$sum": 1}}})
    pipeline.append({"$match": {"count": {"$gt": 1}}})
    return pipeline


def _without(value: Any, steps: tuple[str, ...]) -> bool:
    """Whether a document has nothing at a place, as an index has null for it; of a wrong array it has no null."""
    for step in steps:
        if value is None:
            return True
        if step == "[]" or isinstance(value, list):
            return False
        value = value.get(step) if isinstance(value, dict) else None
    return True


def _dotted(place: Place) -> str:
    return ".".join(each for each in place.steps if each != "[]")


def _shared(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the steps down to the last array that all paths pass through together."""
    shared = 0
    for index, steps in enumerate(zip(*paths, strict=False), start=1):
        if len(set(steps)) > 1 or index == min(map(len, paths)):
            break
        if steps[0] == "[]":
            shared = index
    return paths[0][:shared]
