"""What writers and deleters of different processes must know of each other, kept in `integrity.protocol`.

Two kinds of notices:

- ``beside:COLLECTION``: a condemnation of that collection's documents does not stand on the documents (their
  validator refuses the field, or they are deleted within a user's transaction). A writer that would look only at the
  document must pin instead, or look beside.
- ``optimistic``: somebody writes optimistically in this database.

A writer's knowledge is at most `Timing.notice` seconds old. Who posts a notice for the first time waits until every
older knowledge is out of date; that happens once for a collection.
"""

from __future__ import annotations

import datetime as dt
import math

from integrity.store.port import Store
from integrity.writes.references.durable import durable
from integrity.writes.references.timing import Timing

COLLECTION = "integrity.protocol"
OPTIMISTIC = "optimistic"
_BESIDE = "beside:"
#: A notice that is older than any transaction can be, whatever its limit is.
OLD = dt.timedelta(hours=1)


class Notices:
    """The notices of one database, as this process knows them.

    Args:
        timing: How old the knowledge may be.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._beside: frozenset[str] = frozenset()
        self._read = -math.inf
        self._registered = False
        #: Since when; None where nobody wrote optimistically when it was posted.
        self._posted: dict[str, dt.datetime | None] = {}

    async def beside(self, store: Store) -> frozenset[str]:
        """Return the collections whose condemnations do not stand on their documents."""
        if self._timing.monotonic() - self._read > self._timing.notice:
            return await self.fresh(store)
        return self._beside

    async def fresh(self, store: Store) -> frozenset[str]:
        """Read the notices now."""
        read = self._timing.monotonic()  # before the command: it can only make the knowledge older than it is
        batches = store.find(COLLECTION, {})
        names = [each["_id"] for each in await batches.next()]
        self._beside = frozenset(each.removeprefix(_BESIDE) for each in names if each.startswith(_BESIDE))
        self._read = read
        return self._beside

    async def register(self, store: Store) -> None:
        """Say that this database is written optimistically; before the first such write."""
        if self._registered:
            return
        await durable(store).update_one(
            COLLECTION, {"_id": OPTIMISTIC}, {"$setOnInsert": {"since": self._timing.now()}}, upsert=True
        )
        # Read after registering: who posts a notice looks for registrations after posting. One sees the other.
        await self.fresh(store)
        self._registered = True

    async def post(self, store: Store, collection: str) -> bool:
        """Say that condemnations of a collection's documents stand beside; return when every writer knows.

        Returns:
            Whether the transaction that asks is to begin again: its snapshot may be older than the notice, and a writer
            may have written since without knowing of it.
        """
        if collection in self._posted:
            return False
        name = f"{_BESIDE}{collection}"
        # Also where it is there already: who posted it may still wait for a majority, and an election take it back.
        await durable(store).update_one(
            COLLECTION, {"_id": name}, {"$setOnInsert": {"since": self._timing.now()}}, upsert=True
        )
        posted = await store.find_one(COLLECTION, {"_id": name})
        # Looked for after posting, see `register`.
        if posted is None or await store.find_one(COLLECTION, {"_id": OPTIMISTIC}) is None:
            self._posted[collection] = None
            return False
        since = posted["since"].replace(tzinfo=None)
        known = since + dt.timedelta(seconds=2 * self._timing.notice)
        left = (known - self._timing.now()).total_seconds()
        if left > 0:
            await store.sleep(min(left, 2 * self._timing.notice))
        self._posted[collection] = since
        # However long the waiting was: what counts is when the snapshot was taken, and that nobody here knows.
        return bool(self._timing.now() - since < OLD)

    def recent(self, collection: str) -> bool:
        """Whether somebody may still be at an optimistic insert, who began before the collection's notice."""
        since = self._posted.get(collection)
        return since is not None and self._timing.now() - since < dt.timedelta(
            seconds=2 * self._timing.notice + self._timing.grace
        )
