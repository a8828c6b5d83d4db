"""Where the suspects of a collection are found: by the server, or here, wherever that is quicker.

The server's filter costs it about as much as a document has fields times what is asked of each; to fetch the document
costs what the network does. Neither is known before it is tried, so both are, with a few thousand documents.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo.errors import InvalidOperation

from integrity.audit.columns import trial
from integrity.audit.facts import Facts
from integrity.audit.options import Options, Where
from integrity.audit.pace import Pace
from integrity.audit.partition import Partition
from integrity.audit.plan import Known, Plan
from integrity.audit.sooner import TIMES, compared, seconds
from integrity.audit.undecided import Undecided
from integrity.store.port import Store


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
    copies = [await where(each.where, partial(compared, store, plan, each, many)) for each in plan.copies]
    here = frozenset(at for at, each in enumerate(copies) if each == "client")
    return replace(known, suspects=suspects, compared=here)


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
    for _ in range(TIMES):
        theirs.append(await seconds(server()))
        ours.append(await seconds(client()))
    return min(ours) < min(theirs)
