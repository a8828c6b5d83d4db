"""Fetching documents as they are stored, and finding the suspects among them by columns."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from pymongo.errors import PyMongoError

from integrity.audit.facts import Facts
from integrity.audit.options import Options
from integrity.audit.partition import Partition
from integrity.audit.plan import FIELDS, Plan
from integrity.audit.sieve.compile import compiled
from integrity.audit.sieve.page import Page
from integrity.rules.schema import unknown_field
from integrity.store.forgiving import decoded
from integrity.store.port import Store

#: Bytes of a reply, which then stay in a processor's cache, and the most documents of one.
_BYTES, _MOST = 1_200_000, 4000
#: Where a reply takes so many times as long as to look through one, it is under way meanwhile. Where it does not, a
#: thread that takes turns with this one takes longer than it saves.
_SLOW = 2


class Sifter:
    """Finds the suspects of one collection.

    Args:
        store: The database.
        plan: The collection's plan.
        options: What the audit was asked for.
        facts: Judges documents by what one alone decides.
    """

    def __init__(self, store: Store, plan: Plan, options: Options, facts: Facts) -> None:
        sieve = compiled(plan.entry, names=options.wants(unknown_field.RULE.code))
        assert sieve is not None  # a plan with something to judge as a whole reads everything
        self._sieve = sieve
        self._store, self._source, self._options, self._facts = store, plan.source, options, facts

    async def ids(self, partition: Partition, **options: Any) -> AsyncIterator[tuple[int, list[Any]]]:
        """Yield, reply by reply, how many documents were looked through, and the ids of those with a fault.

        Args:
            partition: What of the collection is read.
            **options: More of PyMongo's options of a ``find``.
        """
        size = max(1, min(_MOST, _BYTES // (self._source.average or _BYTES)))
        pages = self._store.pages(
            self._source.name, partition.filter({}), batch_size=size, **partition.options, **options
        )
        slow = False
        try:
            raw = await pages.next()
            while raw:
                if slow:
                    raw, found = await self._store.overlapped(pages.next(), self._at_fault(Page(raw)))
                else:
                    begun = time.perf_counter()
                    found = await self._at_fault(Page(raw))
                    looked = time.perf_counter()
                    raw = await pages.next()
                    slow = time.perf_counter() - looked > _SLOW * (looked - begun)
                yield found
        finally:
            with suppress(PyMongoError):
                await pages.close()

    async def _at_fault(self, page: Page) -> tuple[int, list[Any]]:
        """Return how many documents a page has, and the ids of those that Python too finds at fault."""
        suspects = page.starts[self._sieve.suspects(page)]
        ends = suspects + page.lengths(suspects)
        documents = [decoded(page.raw[start:end]) for start, end in zip(suspects.tolist(), ends.tolist(), strict=True)]
        judged = await self._facts.judge(documents)
        return len(page.starts), [
            document["_id"]
            for document, found in zip(documents, judged, strict=True)
            if any(each.code.startswith(FIELDS) and self._options.wants(each.code) for each in found)
        ]
