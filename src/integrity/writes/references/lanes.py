"""Lanes: inserts that one process makes at the same time set out together, and share their commands.

What an insert under a reference costs beside a bare one is round trips, and with many threads the time that two
processes spend on them. So an insert sets out at once as long as there is a free lane; who comes while all of them are
taken waits, and the first to find one free takes everybody along who is waiting by then: a group commit. Few threads
never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import Any

from integrity.store.port import Document, Store, Waiter
from integrity.writes.references.keys import Key

#: How many groups may be under way at once, for one collection of one process.
LANES = 3

#: How many documents set out together.
MOST = 64


class Seat:
    """One document on its way.

    Args:
        document: The document, as it is to be stored.
        keys: What it refers to.
        new: Whether its ``_id`` was made for this insert, so that no other document can have had it.
    """

    __slots__ = ("away", "document", "following", "keys", "leads", "new", "outcome", "sent", "waiter")

    def __init__(self, document: Document, keys: Mapping[Hashable, Key], *, new: bool = False) -> None:
        self.document = document
        self.keys = keys
        self.new = new
        #: PyMongo's result, or the error to raise; None where it is to be inserted by itself.
        self.outcome: Any = None
        #: Whether it was sent, so that nobody knows what became of it until the answer is there.
        self.sent = False
        #: Whether it is to take the others along.
        self.leads = False
        #: Whether it has set out, so that it leaves its lane by itself.
        self.away = False
        #: Who was given its lane, and is to be told.
        self.following: Seat | None = None
        self.waiter: Waiter | None = None


class Lanes:
    """The lanes of one collection.

    A KeyboardInterrupt comes after a call, or where a function begins: what belongs together is done without a call in
    between, and `leave` may be called once more where it was interrupted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[Seat, None] = {}
        self._waiting: list[Seat] = []

    def enter(self, seat: Seat, store: Store) -> bool:
        """Take a lane, if one is free; otherwise `wait` is next."""
        with self._lock:
            if len(self._taken) < LANES:
                self._taken[seat] = None
                return True
            seat.waiter = store.waiter()
            self._waiting.append(seat)
            return False

    @property
    def quiet(self) -> bool:
        """Whether only one is taken: nobody else of this process inserts here at this time."""
        return len(self._taken) == 1

    async def wait(self, seat: Seat) -> None:
        """Wait until the document was sent by somebody else, or is to lead."""
        assert seat.waiter is not None
        await seat.waiter.wait()

    def withdraw(self, seat: Seat) -> None:
        """Wait no more: nobody is to take along, or to give a lane to, who is gone."""
        with self._lock:
            if seat in self._waiting:
                self._waiting.remove(seat)

    def group(self, seats: list[Seat]) -> None:
        """Add those to a document that it takes along, now that it sets out."""
        with self._lock:
            seats[1:] = self._waiting[: MOST - 1]
            del self._waiting[: MOST - 1]

    def leave(self, seat: Seat) -> None:
        """Give the lane of a document, if it still has one, to who waits, or free it."""
        with self._lock:
            if seat in self._taken:
                del self._taken[seat]
                if self._waiting:
                    seat.following = self._waiting[0]
                    seat.following.leads = True
                    self._taken[seat.following] = None
                    del self._waiting[0]
        if seat.following is not None:
            assert seat.following.waiter is not None
            seat.following.waiter.open()
