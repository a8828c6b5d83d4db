"""Where the suspects of a collection are found: by the server, or here, wherever that is quicker.

The server's filter costs it about as much as a document has fields times what is asked of each; to fetch the document
costs what the network does. Neither is known before it is tried, so both are, with a few thousand documents.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

import pymongo.errors

from integrity.audit.columns import columns
from integrity.audit.facts import Facts
from integrity.audit.options import Options
from integrity.audit.partition import Partition
from integrity.audit.plan import Plan
from integrity.audit.undecided import Undecided
from integrity.store.port import Store

#: Of fewer documents, it does not matter.
LEAST = 20_000
#: Documents that are tried, and the most bytes of them; where there are fewer than so many in these, they are large,
#: and it is the server's to read them.
_TRIED, _BYTES, _FEWEST = 4000, 4_000_000, 200
#: The first time, the server may read from its disk.
_TIMES = 2


async def by_client(store: Store, plan: Plan, options: Options) -> bool:
    """Return whether the suspects are to be found in the client.

    Args:
        store: The database.
        plan: The collection's plan, by which the server finds them.
        options: What the audit was asked for.
    """
    if plan.fields is None or plan.partial:
        return False
    if options.suspects != "auto":
        return options.suspects == "client"
    source = plan.source
    if not columns() or source.documents < LEAST or not source.average:
        return False
    many = min(_TRIED, _BYTES // source.average)
    if many < _FEWEST:
        return False
    try:
        return await _quicker(store, plan, options, many)
    except (NotImplementedError, pymongo.errors.InvalidOperation):  # no such cursor: a client that encrypts, say
        return False


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

    theirs, ours = [], []
    for _ in range(_TIMES):
        theirs.append(await _seconds(server()))
        ours.append(await _seconds(client()))
    return min(ours) < min(theirs)


async def _seconds(work: Coroutine[Any, Any, None]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun
