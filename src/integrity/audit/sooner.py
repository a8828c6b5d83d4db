"""Where a copy's pairs are compared with their owners: listed by the server, or fetched, wherever that is quicker.

Here, the server needs 1.0 µs a document to group them and 2 µs more a group until it is here and compared; to fetch
and to compare takes 0.7 µs a document, as the client works while the server reads. Over a slow network it is the other
way round where there are few owners. So both are tried, with a few thousand documents.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from integrity.audit.listed import KEYS
from integrity.audit.plan import CopyLookup, Plan
from integrity.audit.targets import Targets
from integrity.store.port import Store

#: The first time, the server may read from its disk.
TIMES = 2


async def compared(store: Store, plan: Plan, lookup: CopyLookup, many: int) -> bool:
    """Return whether the pairs of a copy are to be fetched and compared in the client.

    Args:
        store: The database.
        plan: The collection's plan.
        lookup: The copy.
        many: With how many documents it is tried.
    """
    targets = Targets(store, lookup.copy.via, lookup.copy.field, counted=lookup.counted)
    return await targets.few(2 * plan.source.documents) and await _sooner(store, plan, lookup, many)


async def _sooner(store: Store, plan: Plan, lookup: CopyLookup, many: int) -> bool:
    """Whether the pairs of so many documents are sooner fetched than grouped.

    Of a few thousand documents nearly each has a pair of its own, and of all of them there are about as many pairs as
    owners: so the way of the groups is counted for as many of them as that makes. The owners are read either way.
    """
    from integrity.audit.sieve.compared import Compared  # noqa: PLC0415 - it needs numpy, which not everybody has

    pairs = Compared(store, lookup.copy)
    replies: list[bytes] = []
    grouped = 0

    async def fetch() -> None:
        replies.clear()
        pages = pairs.pages(limit=many)
        while raw := await pages.next():
            replies.append(raw)

    async def look() -> None:
        # Without owners all of them are set aside, which takes about as long as to find the owners.
        for raw in replies:
            await pairs.looked_through(raw)

    async def group(*more: dict[str, Any]) -> None:
        nonlocal grouped
        stages = [{"$limit": many}, *lookup.pipeline, *more]
        batches = await store.aggregate(plan.source.name, stages, batchSize=KEYS, **plan.source.exact)
        grouped = 0
        while batch := await batches.next(KEYS):
            grouped += len(batch)

    fetched, looked, counted, listed = [], [], [], []
    for _ in range(TIMES):
        counted.append(await seconds(group({"$count": "groups"})))
        fetched.append(await seconds(fetch()))
        looked.append(await seconds(look()))
        listed.append(await seconds(group()))
    # What is fetched is looked through while more is on its way, where the store can do both.
    together = max if store.overlaps else sum
    ours = together((min(fetched), min(looked)))
    owners = await store.estimated_document_count(lookup.copy.via.target.collection)
    expected = many * min(1.0, owners / plan.source.documents)
    way = max(0.0, min(listed) - min(counted)) * min(1.0, expected / max(1, grouped))
    return sooner(ours, min(counted) + way)


def sooner(ours: float, theirs: float) -> bool:
    """Whether the client is done first, by its seconds and the server's."""
    return ours < theirs


async def seconds(work: Coroutine[Any, Any, None]) -> float:
    """Return how long something takes."""
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun
