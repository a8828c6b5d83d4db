"""The pin table: documents whose only purpose is that two transactions change the same one.

A writer of a reference changes one pin of its key's row, in the transaction that reads what the reference names. Who
deletes that, or changes its key, changes *every* pin of the row, in the transaction that looks for references. If the
two overlap, both have changed one document, and MongoDB lets only the first of them commit. A pin must really change:
setting a value that is already there conflicts with nothing.

The table has `ROWS` rows of `COLUMNS` pins and never grows. A hash of the key picks the row; which pin of the row
does not matter, so that writers under one hot parent each take another.

Source: https://www.mongodb.com/docs/manual/core/transactions-production-consideration/#in-progress-transactions-and-write-conflicts
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from integrity.errors import DUPLICATE_KEY
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable
from integrity.writes.references.keys import Key
from integrity.writes.references.notices import COLLECTION as PROTOCOL

COLLECTION = "integrity.pins"
ROWS = 256
COLUMNS = 16
SIZE = ROWS * COLUMNS

#: How often, twenty times a second, it is looked whether somebody else has created the table.
PATIENCE = 20


class PinsMissing(OperationFailure):
    """The transaction began before the pins were there: it is to be repeated."""

    def __init__(self) -> None:
        super().__init__(
            f"{COLLECTION} is not complete in this transaction; repeat the transaction.",
            details={"errorLabels": ["TransientTransactionError"]},
        )


def row(key: Key) -> int:
    """Return the row of a key."""
    return int(key.name[:8], 16) % ROWS


async def create(store: Store, *, missed: bool = False) -> None:
    """Create what is missing of the table; outside of any transaction.

    Args:
        store: The database.
        missed: Whether pins were missed: they are then counted one by one. What the server keeps count of may be wrong
            after a crash.
    """
    there = store.count_documents(COLLECTION, {}) if missed else store.estimated_document_count(COLLECTION)
    if await there >= SIZE:
        return
    try:
        await durable(store).insert_one(PROTOCOL, {"_id": "pins"})
    except DuplicateKeyError:
        # Somebody is at it: many at once would only hold each other up. Unless that one has died.
        for _ in range(PATIENCE):
            await store.sleep(0.05)
            if await store.count_documents(COLLECTION, {}) >= SIZE:
                return
    documents: list[Document] = [{"_id": number, "n": 0} for number in range(SIZE)]
    try:
        await durable(store).insert_many(COLLECTION, documents, ordered=False)
    except BulkWriteError as error:
        if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
            raise  # anything but "it is there already"


async def touch(store: Store, keys: Iterable[Key], column: int, session: Any) -> None:
    """Pin keys: change one pin of each key's row.

    One column for the whole transaction: two writers of many keys then meet with one chance in `COLUMNS`, where a
    column of its own for every row would let them meet almost always.

    Raises:
        PinsMissing: The table is not there.
    """
    numbers = sorted({row(each) * COLUMNS + column for each in keys})
    wanted = {"_id": numbers[0] if len(numbers) == 1 else {"$in": numbers}}
    matched = await store.matched(COLLECTION, wanted, {"$inc": {"n": 1}}, session, many=len(numbers) > 1)
    if matched != len(numbers):  # an unpinned reference must not pass for a pinned one
        raise PinsMissing


async def seal(store: Store, keys: Iterable[Key], session: Any) -> None:
    """Conflict with whoever pins one of the keys: change all pins of their rows.

    Raises:
        PinsMissing: The table is not there.
    """
    rows = sorted({row(each) for each in keys})
    if not rows:
        return
    numbers = [each * COLUMNS + column for each in rows for column in range(COLUMNS)]
    wanted = {} if len(rows) == ROWS else {"_id": {"$in": numbers}}
    result = await store.update_many(COLLECTION, wanted, {"$inc": {"n": 1}}, session=session)
    if result.matched_count != len(numbers):
        raise PinsMissing


class Columns:
    """Gives each transaction of this process a column that no other one of it has just now, while there are any."""

    def __init__(self, pick: random.Random | None = None) -> None:
        self._pick = pick or random.SystemRandom()
        self._begin()

    def _begin(self) -> None:
        self._free = list(range(COLUMNS))
        self._lock = threading.Lock()
        self._process = os.getpid()  # last: another thread that sees it takes the lock, and that has to be the new one

    def _take(self) -> _Column:
        if self._process != os.getpid():  # a fork: another thread of the parent may have held the lock
            self._begin()
        column = _Column(self._free)
        with self._lock:
            if self._free:
                # Taken from anywhere: processes would otherwise all begin with the same one.
                at = self._pick.randrange(len(self._free))
                # Without a call in between, after which a KeyboardInterrupt may come.
                column.number = self._free[at]
                del self._free[at]
        return column

    @contextmanager
    def one(self) -> Iterator[int]:
        """Hold a column for the time of a ``with`` block."""
        with self.each() as another:
            yield another()

    @contextmanager
    def each(self) -> Iterator[Callable[[], int]]:
        """Hold one column at a time for a ``with`` block: every call gives the last one back and takes another.

        For a transaction that begins again. Who was killed within one holds its pins for as long as the server lets
        it, a minute, and whoever asked for the same ones each time would wait for that.
        """
        column: _Column | None = None

        def another() -> int:
            nonlocal column
            last, column = column, self._take()  # before the last one is given back
            if last is not None:
                last.give_back()
            return self._pick.randrange(COLUMNS) if column.number is None else column.number

        try:
            yield another
        finally:
            if column is not None:
                column.give_back()


class _Column:
    """One column of a caller, given back when the caller says so, or is gone without that."""

    #: None: there was none left.
    number: int | None = None

    def __init__(self, free: list[int]) -> None:
        self._free = free

    def give_back(self) -> None:
        number, self.number = self.number, None
        if number is not None:
            self._free.append(number)

    def __del__(self) -> None:
        # Where it was interrupted as it was about to be. Else nothing is called, so that nothing can be interrupted.
        if self.number is not None:
            self.give_back()
