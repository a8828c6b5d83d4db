"""Where the suspects of a collection are found: by the server, or here, wherever that is quicker.

The server's filter costs it about as much as a document has fields times what is asked of each; to fetch the document
costs what the network does. Neither is known before it is tried, so both are, with a few thousand documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo.errors import InvalidOperation

from integrity.audit.columns import trial
from integrity.audit.facts import Facts
from integrity.audit.listed import KEYS
from integrity.audit.options import Options, Where
from integrity.audit.pace import Pace
from integrity.audit.partition import Partition
from integrity.audit.plan import CopyLookup, Known, Plan
from integrity.audit.targets import Targets
from integrity.audit.undecided import Undecided
from integrity.store.port import Store

#: The first time, the server may read from its disk.
_TIMES = 2


async def nearer(store: Store, known: Known, plan: Plan, options: Options, pace: Pace) -> Known:
    """Return what a plan is made of, with where the suspects of each kind are found.

    Args:
        store: The database.
        known: What the plan was made of.
        plan: The collection's plan.
        options: What the audit was asked for.
        pace: How fast it may go.

    Raises:
        OutOfTime: It has taken as long as it may.
    """
    many = trial(plan.source)

    async def where(meant: Where, quicker: Callable[[], Coroutine[Any, Any, bool]]) -> Where:
        if meant != "auto":
            return meant
        if pace.rate is not None:
            return "server"  # whoever says how fast it may go at most is not to be tried how fast it can
        await pace.stand(store)
        try:
            return "client" if await quicker() else "server"
        except (NotImplementedError, InvalidOperation):  # there is no such cursor: of a client that encrypts, say
            return "server"

    suspects = await where(plan.suspects, lambda: _quicker(store, plan, options, many))
    copies = [await where(each.where, partial(_sooner, store, plan, each, many)) for each in plan.copies]
    compared = frozenset(at for at, each in enumerate(copies) if each == "client")
    return replace(known, suspects=suspects, compared=compared)


async def _quicker(store: Store, plan: Plan, options: Options, many: int) -> bool:
    """Whether so many documents are looked through sooner here."""
    from integrity.audit.sieve.sifter import Sifter  # noqa: PLC0415 - it needs numpy, which not everybody has

    sifter = Sifter(store, plan, options, Facts(store, plan.entry, references=(), copies=()))
    undecided = [] if plan.fields is None else [Undecided(slot) for slot in plan.fields.undecided]

    async def server() -> None:
        assert plan.fields is not None
        name, exact = plan.source.name, plan.source.exact
        if plan.fields.filter is not None:
            stages: list[dict[str, Any]] = [{"$limit": many}, {"$match": plan.fields.filter}, {"$project": {"_id": 1}}]
            batches = await store.aggregate(name, stages, **exact)
            while await batches.next():
                pass
        if undecided:
            projection = plan.fields.projection
            documents = await store.find(name, {}, projection=projection, limit=many, **exact).next(many)
            for each in undecided:
                each.clean(documents)

    async def client() -> None:
        async for _ in sifter.ids(Partition(), limit=many):
            pass

    own, others = [], []
    for _ in range(_TIMES):
        others.append(await _seconds(server()))
        own.append(await _seconds(client()))
    return min(own) < min(others)


async def _sooner(store: Store, plan: Plan, lookup: CopyLookup, many: int) -> bool:
    """Whether the pairs of so many documents are sooner fetched than grouped.

    Of a few thousand documents nearly each has a pair of its own, and of all of them there are about as many pairs as
    owners: so the way of the groups is counted for as many of them as that makes. The owners are read either way.
    """
    targets = Targets(store, lookup.copy.via, lookup.copy.field, counted=lookup.counted)
    if not await targets.few(2 * plan.source.documents):
        return False
    from integrity.audit.sieve.compared import Compared  # noqa: PLC0415 - it needs numpy, which not everybody has

    pairs = Compared(store, lookup.copy)
    replies: list[bytes] = []
    groups = 0

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
        nonlocal groups
        stages = [{"$limit": many}, *lookup.pipeline, *more]
        batches = await store.aggregate(plan.source.name, stages, batchSize=KEYS, **plan.source.exact)
        groups = 0
        while batch := await batches.next(KEYS):
            groups += len(batch)

    fetched, looked, counted, listed = [], [], [], []
    for _ in range(_TIMES):
        counted.append(await _seconds(group({"$count": "groups"})))
        fetched.append(await _seconds(fetch()))
        looked.append(await _seconds(look()))
        listed.append(await _seconds(group()))
    # What is fetched is looked through while more is on its way, where the store can do both.
    together = max if store.overlaps else sum
    owners = await store.estimated_document_count(lookup.copy.via.target.collection)
    expected = many * min(1.0, owners / plan.source.documents)
    way = max(0.0, min(listed) - min(counted)) * min(1.0, expected / max(1, groups))
    return _less(together((min(fetched), min(looked))), min(counted) + way)


def _less(ours: float, theirs: float) -> bool:
    """Whether the client needs fewer seconds than the server."""
    return ours < theirs


async def _seconds(work: Coroutine[Any, Any, None]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun
