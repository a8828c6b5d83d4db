"""Reading less than everything: a sample, or what is new, each document judged by every rule.

A duplicate is looked for by the values of the chosen documents, among all documents of the collection. Where no index
finds these values, every look-up passes the whole collection by: there is one for the first documents, and for all the
others together the server groups the values of the collection once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import suppress

from pymongo.errors import PyMongoError

from integrity.audit.again import Again
from integrity.audit.changed import may_be_changed
from integrity.audit.facts import Facts
from integrity.audit.options import Options
from integrity.audit.plan import Plan
from integrity.audit.source import Source
from integrity.audit.unique import Duplicates
from integrity.declare.equality import key
from integrity.store.port import Batches, Document, Store
from integrity.violation import Violation

#: Of less than a twentieth of the documents, ``$sample`` walks at random; of more, it sorts everything.
#: https://www.mongodb.com/docs/manual/reference/operator/aggregation/sample/#behavior
_WALK = 0.05


async def chosen(
    store: Store, sure: Store, plan: Plan, options: Options, read: Callable[[int], None]
) -> AsyncIterator[list[Violation]]:
    """Yield the violations of the documents that were asked for, a document's together.

    Args:
        store: The database.
        sure: The same, to read the suspects again.
        plan: The plan.
        options: What was asked for.
        read: Called with the number of documents of every batch.
    """
    entry, none = plan.entry, {} if plan.follows else {"references": (), "copies": ()}
    facts, again = Facts(store, entry, **none), Facts(sure, entry, **none)
    wanted = plan.entry.uniques if plan.follows and options.wants("UNQ001") else ()
    uniques = [Duplicates(store, sure, again, each, plan.source) for each in wanted]
    sought = [each for each in uniques if each.indexed]
    reader = Again(sure, plan.source, once=True)
    met: set[Hashable] = set()
    late: set[Hashable] = set()
    async for batches in _read(store, plan, options):
        try:
            while batch := await batches.next(plan.source.batch):
                # A random walk, and two filters, may meet a document twice.
                new = [each for each in batch if not _named(each, plan.source) or key(each["_id"]) not in met]
                ids = {key(each["_id"]) for each in new if "_id" in each}
                at_once = uniques if not met or len(ids) < len(new) else sought
                if at_once is not uniques:
                    late |= ids
                met |= ids
                found = [one async for one in _judged(new, facts, again, reader, at_once, options)]
                read(len(new))
                yield []
                for one in found:
                    yield one
        finally:
            # The connection may be gone: its loss is told by what was raised.
            with suppress(PyMongoError):
                await batches.close()
    if late:
        for unique in uniques:
            if not unique.indexed:
                async for some in unique.find():
                    yield [each for each in some if key(each.id) in late]


def _named(document: Document, source: Source) -> bool:
    """Whether a document's ``_id`` is its own: of a view, or as the driver reads it, another may have the same."""
    return source.partitionable and not may_be_changed(document["_id"])


async def _read(store: Store, plan: Plan, options: Options) -> AsyncIterator[Batches]:
    source = plan.source
    if options.since is not None:
        for each in options.since.filters(plan.entry):
            yield store.find(source.name, each, batch_size=source.batch, **source.exact)
    else:
        yield await store.aggregate(
            source.name, _sampling(source, options.sample or 1.0), batchSize=source.batch, allowDiskUse=True
        )


def _sampling(source: Source, share: float) -> list[Document]:
    if share < _WALK and source.kind == "collection" and source.documents:
        return [{"$sample": {"size": max(1, round(share * source.documents))}}]
    return [{"$match": {"$sampleRate": share}}]


async def _judged(
    documents: list[Document], facts: Facts, again: Facts, reader: Again, uniques: list[Duplicates], options: Options
) -> AsyncIterator[list[Violation]]:
    suspects = []
    for document, found in zip(documents, await _verdicts(documents, facts, uniques), strict=True):
        if not reader.can(document):
            yield found
        elif any(options.wants(each.code) for each in found):
            suspects.append(document["_id"])
    async for batch in reader.read(suspects):
        for found in await _verdicts(batch, again, uniques):
            yield found


async def _verdicts(documents: list[Document], facts: Facts, uniques: list[Duplicates]) -> list[list[Violation]]:
    judged = await facts.judge(documents, again=True)
    for unique in uniques:
        for found, more in zip(judged, await unique.among(documents, judged), strict=True):
            found.extend(more)
    return judged
