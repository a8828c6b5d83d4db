"""Finding copies that may be stale: each document's reference and copy are fetched as they are stored, and compared.

What is told here is that a copy is surely what its owner has, or that there is nothing that it would be a copy of. All
else is Python's to decide: what is of another type or has other bytes, what has no owner here, and what is stored in
some odd way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import numpy as np
from pymongo.errors import PyMongoError

from integrity.audit.sieve.fields import ABSENT, Fields
from integrity.audit.sieve.owners import Owners
from integrity.audit.sieve.page import NULL, Mask, Page
from integrity.declare.registry import Copy
from integrity.store.port import Pages, Store

#: Documents of one reply: what is fetched of each is short.
_REPLY = 8000
#: One document in so many may be undecided: Python needs some ten times as long for one of those.
_FEW = 5


class Compared:
    """The copies of one collection at one place.

    Args:
        store: The database.
        copy: The copy.
    """

    def __init__(self, store: Store, copy: Copy) -> None:
        self._store, self._copy = store, copy
        self._owners = Owners(tuple(copy.field.split(".")))
        via, value = copy.via.place.steps, copy.place.steps
        self._paths = list(dict.fromkeys([("_id",), via, value]))
        self._via, self._value = self._paths.index(via), self._paths.index(value)
        self._fields = Fields(self._paths)

    async def read(self) -> bool:
        """Read the owners; return whether they are few enough to be held."""
        pages = self._store.pages(
            self._copy.via.target.collection, {}, projection={"_id": 1, self._copy.field: 1}, batch_size=_REPLY
        )
        try:
            raw = await pages.next()
            while raw:
                more, room = await self._store.overlapped(pages.next(), self._held(raw))
                if not room:
                    return False
                raw = more
        finally:
            await _closed(pages)
        self._owners.close()
        return True

    async def tells(self) -> bool:
        """Return whether of most documents something is told: of the first ones, that is."""
        looked = left = 0
        async for many, some in self.undecided(limit=_REPLY):
            looked, left = looked + many, left + len(some)
        return left * _FEW <= looked

    async def undecided(self, **options: Any) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Yield, reply by reply, how many documents it had, and those of which nothing is told here.

        Args:
            **options: More of PyMongo's options of a ``find``.
        """
        pages = self.pages(**options)
        try:
            raw = await pages.next()
            while raw:
                # The server makes the next reply while this one is looked through.
                more, found = await self._store.overlapped(pages.next(), self.looked_through(raw))
                yield found
                raw = more
        finally:
            await _closed(pages)

    def pages(self, **options: Any) -> Pages:
        """Return the documents with their references and copies, as they are stored.

        Args:
            **options: More of PyMongo's options of a ``find``.
        """
        projection = {".".join(each): 1 for each in self._paths}
        return self._store.pages(self._copy.entry.collection, {}, projection=projection, batch_size=_REPLY, **options)

    async def looked_through(self, raw: bytes) -> tuple[int, list[bytes]]:
        """Return how many documents a reply has, and those of which nothing is told here."""
        page = Page(raw)
        left = page.starts[~self.told(page)]
        ends = left + page.lengths(left)
        return len(page.starts), [raw[start:end] for start, end in zip(left.tolist(), ends.tolist(), strict=True)]

    async def _held(self, raw: bytes) -> bool:
        return self._owners.add(raw)

    def told(self, page: Page) -> Mask:
        """Return which documents of a page have a copy that is surely faithful, or nothing to copy from."""
        try:
            columns, odd = self._fields.of(page, page.starts)
        except IndexError:  # no valid BSON, which it then says when it is decoded
            return np.zeros(len(page.starts), np.bool_)
        via, value = columns[self._via], columns[self._value]
        nowhere = (via.types == NULL) | (via.types == ABSENT)
        found: Mask = (nowhere | self._owners.faithful(via, value)) & ~odd
        return found


async def _closed(pages: Pages) -> None:
    with suppress(PyMongoError):
        await pages.close()
