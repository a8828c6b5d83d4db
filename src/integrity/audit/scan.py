"""Running a plan: the server's suspects, and Python's verdict over each of them, read again.

Each step reports the codes and paths that are its own and no others, so that nothing is reported twice: the
partitions report what a document alone decides, each reference, copy and constraint what it decides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError
from pymongo.read_preferences import ReadPreference

from integrity.audit import listed
from integrity.audit.again import AGAIN, Again
from integrity.audit.changed import changed, of_types
from integrity.audit.chosen import chosen
from integrity.audit.columns import columns
from integrity.audit.facts import Facts, copied
from integrity.audit.listed import KEYS, fitting
from integrity.audit.options import Options
from integrity.audit.partition import Partition
from integrity.audit.plan import FIELDS, CopyLookup, KeyLookup, Plan
from integrity.audit.pushdown import Pushdown
from integrity.audit.since import SinceLast
from integrity.audit.stale import Stale
from integrity.audit.targets import Pair, Targets, null
from integrity.audit.undecided import Undecided
from integrity.audit.unique import Duplicates
from integrity.declare.equality import key
from integrity.declare.extract import value_at, values_at
from integrity.declare.registry import Copy, Reference, UniqueKey
from integrity.store.lookup import queryable
from integrity.store.port import Batches, Document, Store
from integrity.violation import Violation

if TYPE_CHECKING:
    from integrity.audit.sieve.compared import Compared
    from integrity.audit.sieve.sifter import Sifter

#: Ids that travel in one reply: a suspect is an id.
_IDS = 10_000
#: One document in so many is looked at although it is no suspect, and so many of them are a reply.
_HEARTBEAT = 500
_BEATS = 100
#: Seconds after which is told what was found here till then.
_SECONDS = 0.5
#: Bytes of what was fetched that are decided at once.
_FETCHED = 4_000_000
_REFERENCE = ("REF001", "REF002")
#: Values at one place that are judged at once.
_TOGETHER = 100

Found = AsyncIterator[list[Violation]]


class Scan:
    """Runs the plan of one collection.

    Args:
        store: The database.
        plan: The plan.
        options: What the audit was asked for.
        watched: Whether somebody looks at how far it is: then the server now and then returns a document that is no
            suspect, which costs a twentieth of the time.
    """

    def __init__(self, store: Store, plan: Plan, options: Options, *, watched: bool = False) -> None:
        self._watched = watched
        told = isinstance(options.since, SinceLast)
        # What the primary has told of, a secondary may not have yet: it would be read as it was, and never again.
        self._store = store.with_options(read_preference=ReadPreference.PRIMARY) if told else store
        self._plan = plan
        self._options = options
        self._entry = plan.entry
        self._exact = plan.source.exact
        # A finding is confirmed where the writes are: two secondaries may be seconds apart, and a child's parent is
        # then not there yet on one of them.
        self._sure = self._store if told else store.with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)
        self._alone = Facts(self._sure, plan.entry, references=(), copies=())
        undecided = plan.fields.undecided if plan.fields is not None else ()
        self._undecided = [Undecided(slot) for slot in undecided]

    async def partition(self, partition: Partition, read: Callable[[int], None]) -> Found:
        """Yield the violations that the documents of a partition alone decide.

        Where the plan reads every document, they are those of all rules but uniqueness.

        Args:
            partition: The partition.
            read: Called with the number of documents of every batch that was read as a whole.
        """
        if self._plan.partial:
            found = chosen(self._store, self._sure, self._plan, self._options, read)
        elif self._plan.reads:
            found = self._everything(partition, read)
        elif self._plan.fields is None:
            return
        elif self._plan.suspects == "client" and columns():
            found = self._sifted(partition, read)
        else:
            found = self._returned(self._plan.fields, partition, read)
        async for violations in found:
            yield violations

    async def reference(self, lookup: KeyLookup) -> Found:
        """Yield the violations of one reference."""
        reference = lookup.reference
        facts = Facts(self._sure, self._entry, references=[reference], copies=())
        steps = reference.place.steps
        options = {"hint": lookup.index.name} if lookup.index else {}
        targets = Targets(self._store, reference, counted=lookup.counted)

        def named(keys: Mapping[Hashable, Any] | None = None) -> Callable[[Violation, Document], bool]:
            def ours(violation: Violation, document: Document) -> bool:
                if violation.code not in _REFERENCE or violation.field != reference.path:
                    return False
                return keys is None or key(value_at(document, _concrete(document, violation, steps))) in keys

            return ours

        if lookup.single and lookup.index is None and await targets.few(self._plan.source.documents):
            await targets.read()
            if (ids := targets.ids()) is not None:
                # One pass that finds the documents themselves. Of several values at a place this would ask for all.
                async for more in self._matching({lookup.field: {"$nin": [None, *ids]}}, facts, named()):
                    yield more
                return
        apart = await self._changed(reference)
        batches = await self._listed(targets, lookup.pipeline, **options)
        dangling: dict[Hashable, Any] = {}
        try:
            async for some in listed.values(batches):
                dangling |= await targets.absent(some)
                for at in apart.keys() & dangling.keys():
                    del dangling[at]
                # Many at once: without an index each time is a scan.
                if len(dangling) >= KEYS:
                    async for more in self._users(lookup.field, list(dangling.values()), facts, named(dangling)):
                        yield more
                    dangling = {}
        finally:
            await _closed(batches)
        async for more in self._users(lookup.field, list(dangling.values()), facts, named(dangling)):
            yield more
        if apart and (dangling := await targets.absent(list(apart.values()))):
            async for more in self._matching(of_types([reference.place]), facts, named(dangling)):
                yield more

    async def copy(self, lookup: CopyLookup) -> Found:
        """Yield the violations of one copy."""
        copy = lookup.copy
        facts = Facts(self._sure, self._entry, references=[copy.via], copies=[copy])
        apart = await self._changed(copy.via)
        targets = Targets(self._store, copy.via, copy.field, counted=lookup.counted)
        pairs = await self._fetchable(lookup, targets)
        if pairs is not None:
            stale = self._compared(copy, pairs, targets, facts, apart)
        else:
            stale = self._grouped(lookup, targets, facts, apart)
        async for found in stale:
            yield found
        if apart:

            def ours(violation: Violation, document: Document) -> bool:
                return (
                    violation.code == "OWN001"
                    and violation.field == copy.path
                    and any(
                        _dotted(path) == violation.path and key(via) in apart
                        for path, _, _, via in copied(copy, document)
                    )
                )

            async for found in self._matching(of_types([copy.via.place]), facts, ours):
                yield found

    async def _grouped(self, lookup: CopyLookup, targets: Targets, facts: Facts, apart: Collection[Hashable]) -> Found:
        """Yield the violations of one copy, but of the keys in `apart`: the server lists the pairs, each once."""
        copy = lookup.copy
        stale: list[Pair] = []
        batches = await self._listed(targets, lookup.pipeline)
        try:
            some = await batches.next(KEYS)
            while some:
                # The server makes the next part while this one is compared.
                some, more = await self._store.overlapped(batches.next(KEYS), targets.stale(some))
                stale += [pair for pair in more if key(pair[0]) not in apart] if apart else more
                if len(stale) >= KEYS:
                    async for found in self._copies(copy, stale, facts):
                        yield found
                    stale = []
        finally:
            await _closed(batches)
        async for found in self._copies(copy, stale, facts):
            yield found

    async def _fetchable(self, lookup: CopyLookup, targets: Targets) -> Compared | None:
        """Return what finds the pairs that may be stale here; None where the server is to list them."""
        if lookup.where != "client" or not columns():
            return None
        forced = self._options.suspects == "client"
        # To read an owner takes as long as to read a pair.
        if not await targets.few(sys.maxsize if forced else 2 * self._plan.source.documents):
            return None
        from integrity.audit.sieve.compared import Compared  # noqa: PLC0415 - it needs numpy, which not everybody has

        pairs = Compared(self._store, lookup.copy)
        return pairs if await pairs.read() and (forced or await pairs.tells()) else None

    async def _compared(
        self, copy: Copy, pairs: Compared, targets: Targets, facts: Facts, apart: Collection[Hashable]
    ) -> Found:
        """Yield the violations of one copy, but of the keys in `apart`: every pair is fetched and looked at here.

        Each document is met once, and it is known which it is: it is read again by its id.
        """

        def ours(violation: Violation, _: Document) -> bool:
            return violation.code == "OWN001" and violation.field == copy.path

        again, stale = self._reader(), Stale(copy, targets, apart)
        left: list[bytes] = []
        size, since = 0, time.monotonic()
        async for _, some in pairs.undecided():
            left += some
            size += sum(map(len, some))
            if len(left) < AGAIN and size < _FETCHED and time.monotonic() < since + _SECONDS:
                continue
            async for found in self._again(again, await stale.ids(left), facts, ours):
                yield found
            left, size, since = [], 0, time.monotonic()
        async for found in self._again(again, await stale.ids(left), facts, ours):
            yield found

    async def _changed(self, reference: Reference) -> dict[Hashable, Any]:
        """Return the reference's values that are not listed, or not read, as they are stored; by their keys."""

        def values(document: Document) -> Iterator[tuple[Any, ...]]:
            return ((value,) for _, value in values_at(document, reference.place.steps))

        found = await changed(self._store, self._entry.collection, [reference.place], values)
        return {at: value for (at,), (value,) in found.items()}

    async def _copies(self, copy: Copy, stale: list[Pair], facts: Facts) -> Found:
        """Yield the violations of the documents that have one of these pairs."""
        seen = {(key(via), key(value), type(value)) for via, value in stale}

        def ours(violation: Violation, document: Document) -> bool:
            # Another part has the reference's other pairs.
            return (
                violation.code == "OWN001"
                and violation.field == copy.path
                and any(
                    _dotted(path) == violation.path and (key(via), key(null(value)), type(null(value))) in seen
                    for path, value, _, via in copied(copy, document)
                )
            )

        field = ".".join(each for each in copy.via.place.steps if each != "[]")
        async for found in self._users(field, list({key(via): via for via, _ in stale}.values()), facts, ours):
            yield found

    async def unique(self, unique: UniqueKey) -> Found:
        """Yield the violations of one constraint."""
        facts = Facts(self._sure, self._entry) if self._plan.follows else self._alone
        async for found in Duplicates(self._store, self._sure, facts, unique, self._plan.source).find():
            yield found

    async def _everything(self, partition: Partition, read: Callable[[int], None]) -> Found:
        facts = Facts(self._store, self._entry) if self._plan.follows else self._alone
        sure = Facts(self._sure, self._entry) if self._plan.follows else self._alone
        options = partition.options if self._plan.source.partitionable else {}
        filter_ = partition.filter({})
        size, again = self._plan.source.batch, self._reader(partition)
        batches = self._store.find(self._entry.collection, filter_, batch_size=size, **options)
        try:
            while batch := await batches.next(size):
                judged = await facts.judge(batch)
                suspects = []
                for document, found in zip(batch, judged, strict=True):
                    if not again.can(document):
                        yield found
                    elif any(self._options.wants(each.code) for each in found):
                        suspects.append(document["_id"])
                async for found in self._again(again, suspects, sure):
                    yield found
                read(len(batch))
        finally:
            await _closed(batches)

    async def _returned(self, fields: Pushdown, partition: Partition, read: Callable[[int], None]) -> Found:
        """Yield what is wrong with the suspects that the server returns, and at the places that it does not decide."""
        told: set[Hashable] = set()
        if fields.filter is not None:
            filter_, size = fields.filter, _IDS
            beating = self._watched and not partition.bounded
            if beating:
                # Now and then a document that is no suspect: else a long clean scan would tell nothing.
                filter_, size = {"$or": [*filter_["$or"], {"$sampleRate": 1 / _HEARTBEAT}]}, _BEATS
            suspects = self._find(filter_, {"_id": 1}, partition, size)
            async for found in self._suspects(suspects, self._reader(partition), size):
                if beating:
                    read((size - len(found)) * _HEARTBEAT)
                yield found
                if fields.undecided:
                    told.update(key(each.id) for each in found)
        if fields.undecided:
            # What the server suspected too was told above, with all that is wrong with it.
            counts = fields.filter is None and not partition.bounded
            async for found in self._fetched(fields.projection, partition, told, read if counts else None):
                yield found

    @cached_property
    def _sifter(self) -> Sifter:
        """What finds the suspects here: once for all partitions, since it learns how documents are laid out."""
        from integrity.audit.sieve.sifter import Sifter  # noqa: PLC0415 - it needs numpy, which not everybody has

        return Sifter(self._store, self._plan, self._options, self._alone)

    async def _sifted(self, partition: Partition, read: Callable[[int], None]) -> Found:
        again = self._reader(partition)
        ids: list[Any] = []
        since = time.monotonic()
        async for many, found in self._sifter.ids(partition):
            if not partition.bounded:
                read(many)
            ids += found
            # A reply has few of them, if any: one by one, reading them again would take as long as all the rest.
            if len(ids) < AGAIN and time.monotonic() < since + _SECONDS:
                continue
            yield []  # how far it is, where nothing is wrong too
            async for violations in self._again(again, ids, self._alone, _by_itself):
                yield violations
            ids, since = [], time.monotonic()
        async for violations in self._again(again, ids, self._alone, _by_itself):
            yield violations

    async def _suspects(self, batches: Batches, again: Again, size: int = _IDS) -> Found:
        try:
            while batch := await batches.next(size):
                async for found in self._again(again, _ids(batch), self._alone, _by_itself):
                    yield found
        finally:
            await _closed(batches)

    async def _fetched(
        self,
        projection: dict[str, int],
        partition: Partition,
        told: set[Hashable],
        read: Callable[[int], None] | None,
    ) -> Found:
        """Yield the violations at the undecided places, but those of the documents in `told`."""
        batches, again = self._find({}, projection, partition, _IDS), self._reader(partition)
        try:
            while batch := await batches.next(_IDS):
                if read is not None:
                    read(len(batch))
                    yield []  # how far it is, where nothing is wrong too
                async for found in self._again(again, self._faulty(batch, told), self._alone, _by_itself):
                    yield found
        finally:
            await _closed(batches)

    def _faulty(self, batch: list[Document], told: set[Hashable]) -> list[Any]:
        """Return the ids of the documents with a fault at one of the undecided places, but those in `told`."""
        found: list[Any] = []
        for start in range(0, len(batch), _TOGETHER):
            some = batch[start : start + _TOGETHER]
            left = [each for each in self._undecided if not each.clean(some)]
            if left:
                found += [
                    document["_id"]
                    for document in some
                    if any(each.at_fault(document) for each in left) and key(document["_id"]) not in told
                ]
        return found

    def _reader(self, partition: Partition | None = None) -> Again:
        return Again(self._sure, self._plan.source, partition)

    async def _again(
        self, again: Again, ids: list[Any], facts: Facts, ours: Callable[[Violation, Document], bool] | None = None
    ) -> Found:
        """Read documents again, and yield what is wrong with them now.

        Nothing is reported that was seen once: a writer may have been at work between two look-ups.
        """
        async for batch in again.read(ids):
            for document, found in zip(batch, await facts.judge(batch, again=True), strict=True):
                yield [each for each in found if ours is None or ours(each, document)]

    async def _users(
        self, field: str, values: list[Any], facts: Facts, ours: Callable[[Violation, Document], bool]
    ) -> Found:
        """Yield the violations of the documents that have one of these values."""
        filters: list[Document] = [{field: {"$eq": each}} for each in values if not queryable(each)]
        plain = [each for each in values if queryable(each)]
        filters += [{field: {"$in": some}} for some in fitting(plain)]
        for filter_ in filters:
            async for found in self._matching(filter_, facts, ours):
                yield found

    async def _matching(self, filter_: Document, facts: Facts, ours: Callable[[Violation, Document], bool]) -> Found:
        """Yield the violations of the documents that match."""
        batches = self._store.find(self._entry.collection, filter_, projection={"_id": 1}, **self._exact)
        again = self._reader()
        try:
            while batch := await batches.next(_IDS):
                async for found in self._again(again, _ids(batch), facts, ours):
                    yield found
        finally:
            await _closed(batches)

    def _find(self, filter_: Document, projection: dict[str, int], partition: Partition, size: int) -> Batches:
        return self._store.find(
            self._entry.collection,
            partition.filter(filter_),
            projection=projection,
            batch_size=size,
            **partition.options,
            **self._exact,
        )

    async def _listed(self, targets: Targets, pipeline: tuple[Document, ...], **options: Any) -> Batches:
        """Return what a pipeline lists; its targets are read meanwhile, where they are few."""
        few = await targets.few(self._plan.source.documents)
        listing = self._store.aggregate(
            self._entry.collection, list(pipeline), allowDiskUse=True, batchSize=KEYS, **options, **self._exact
        )
        if not few:
            return await listing
        # The short one apart: Ctrl-C ends the long one at once, and waits for what goes on apart.
        _, batches = await self._store.overlapped(targets.read(), listing)
        return batches


def _ids(batch: list[Document]) -> list[Any]:
    return [each["_id"] for each in batch]


def _by_itself(violation: Violation, _: Document) -> bool:
    return violation.code.startswith(FIELDS)


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def _concrete(document: Document, violation: Violation, steps: tuple[str, ...]) -> tuple[str | int, ...]:
    """Return the steps of a violation's path: its numbers are indices where an array is declared."""
    return next((path for path, _ in values_at(document, steps) if _dotted(path) == violation.path), ())


async def _closed(batches: Batches) -> None:
    # The connection may be gone: its loss is told by what was raised, not by the cursor that is closed after it.
    with suppress(PyMongoError):
        await batches.close()
