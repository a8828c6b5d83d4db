"""Keeping copies: what is planned is done in the owner's transaction, what is too much for one is recorded in it."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from pymongo.errors import PyMongoError
from pymongo.operations import UpdateOne

from integrity.declare.equality import same
from integrity.declare.extract import ABSENT, value_at, values_at
from integrity.declare.registry import Entry
from integrity.store.lookup import look_up
from integrity.store.port import Store, plain
from integrity.violation import Violation
from integrity.writes.change import Change
from integrity.writes.copies import finishing, recording
from integrity.writes.copies.planning import RefreshPlan, Single, moved, plan
from integrity.writes.copies.synced import Synced
from integrity.writes.references.keys import Key, by_field
from integrity.writes.transaction import transact
from integrity.writes.whole import Edit, nameable, put, updating

if TYPE_CHECKING:
    from integrity.writes.references import Protocol

T = TypeVar("T")

#: Documents that one transaction refreshes. MongoDB's advice is 1,000.
#: Source: https://www.mongodb.com/docs/manual/core/transactions-production-consideration/#oplog-size-limit
LIMIT = 1000

#: How many records are finished by the way.
BY_THE_WAY = 3

_LOGGER = logging.getLogger("integrity.writes")


class Keeper:
    """Keeps the copies of one database.

    Args:
        protocol: The references' protocol: its pins order the writers of copies and of their owners.
        limit: How many documents an owner's transaction refreshes; the others are refreshed in batches after it.
    """

    def __init__(self, protocol: Protocol, limit: int = LIMIT) -> None:
        self.protocol = protocol
        self.registry = protocol.registry
        self.timing = protocol.timing
        self.limit = limit
        self._looked = -math.inf
        self._after: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()

    async def plan(self, store: Store, entry: Entry, changes: Sequence[Change], session: Any) -> RefreshPlan:
        """Return what a change of owners does to their copies, to be done in the same transaction.

        Args:
            store: The database.
            entry: The owners' model.
            changes: The owners, before and after.
            session: The session of the transaction.
        """
        if not entry.copied:
            return RefreshPlan()
        return await plan(store, entry, changes, self.limit, session)

    async def carry_out(self, store: Store, plan: RefreshPlan, session: Any) -> None:
        """Refresh copies in their owners' transaction; what is left is recorded, and finished when it is committed.

        Args:
            store: The database.
            plan: From `plan`, in the same transaction.
            session: The session.
        """
        if not plan:
            return
        # Every pin of every owner: who copies one of them in a transaction that overlaps with this one touches a pin
        # of it, and only one of the two commits. Without this, a copy of the old value could be written beside it.
        await self.protocol.seal(store, plan.keys, session)
        await self.write(store, plan, session)
        names = await recording.write(store, plan.rests, self.timing, session)
        if names:
            self._after.setdefault(plain(session), []).extend(names)

    async def write(self, store: Store, plan: RefreshPlan, session: Any) -> None:
        """Write what a plan refreshes, and nothing of what it is ordered by."""
        for each in plan.many:
            await store.update_many(each.collection, each.filter, each.update, session=session, **each.options(store))
        by_collection: dict[str, list[UpdateOne]] = {}
        for single in plan.singles.values():
            collection, this, edits = single.entry.collection, single.before["_id"], _edits(single)
            if all(nameable(path) for path, _ in edits):
                by_collection.setdefault(collection, []).append(UpdateOne({"_id": this}, updating(edits)))
            else:
                await put(store, collection, this, edits, session)
        for collection, requests in by_collection.items():
            await store.bulk_write(collection, requests, ordered=False, session=session)

    def moved(self, entry: Entry, change: Change) -> bool:
        """Whether copies no longer say what their owner says after a change of it."""
        return any(moved(entry, [change]))

    async def follow(self, store: Store, entry: Entry, change: Change, session: Any) -> list[Violation]:
        """Refresh the copies of an owner that has changed in a transaction.

        Returns:
            Why it cannot be committed.
        """
        made = await self.plan(store, entry, [change], session)
        if not made.violations:
            await self.carry_out(store, made, session)
        return made.violations

    async def catch_up(self, store: Store, keys: Sequence[Key], session: Any) -> list[Violation]:
        """Refresh the copies of owners that were not there while something copied them; in their transaction.

        Args:
            store: The database.
            keys: What names the owners; those that are still not there are passed over.
            session: The session of the transaction.

        Returns:
            Why it cannot be committed.
        """
        found: list[Violation] = []
        for (collection, field), of in by_field(keys).items():
            entry = self.registry.by_collection(collection)
            if entry is None or not entry.copied:
                continue
            also = [each.field for each in entry.copied]
            owners = await look_up(store, collection, field, [each.value for each in of], also, session=session)
            # Before there is nothing: all that they say is new to their copies.
            made = await self.plan(store, entry, [Change({}, each) for each in owners.values()], session)
            found += made.violations
            if not found:
                await self.carry_out(store, made, session)
        return found

    async def finish(self, store: Store, names: Sequence[str]) -> None:
        """Finish what a write of this process has recorded, after its transaction has been committed.

        What fails is left to whoever comes next: the change itself is committed, and no error of it.
        """
        for name in names:
            done = Synced()
            try:
                await finishing.finish(self, store, name, done)
            except PyMongoError as error:
                _LOGGER.warning("copies are left to be refreshed, run `integrity sync` (%s): %s", name, error)
            for copy, why in done.misfits.items():
                _LOGGER.warning("copies stay stale: %s cannot hold what its owner holds: it %s", copy, why)

    async def transact(
        self, store: Store, body: Callable[[Any], Awaitable[T]], session: Any = None, **options: Any
    ) -> T:
        """Run `body` in a transaction of its own, see `transaction.transact`, and finish what it has recorded."""
        of: Any = None

        async def noted(session: Any) -> T:
            nonlocal of
            of = session
            self.recorded(session)  # an attempt before this one is gone with it
            return await body(session)

        found = await transact(store, noted, session, **options)
        await self.committed(store, of)
        return found

    async def committed(self, store: Store, session: Any) -> None:
        """Finish what a transaction has recorded."""
        if self._after:
            await self.finish(store, self.recorded(session))

    def recorded(self, session: Any) -> list[str]:
        """Return the ids of what a transaction has recorded, and forget them: it is aborted, or they are taken on."""
        return self._after.pop(plain(session), [])

    async def lazily(self, store: Store) -> None:
        """Finish a few records of processes that died, now and then."""
        now = self.timing.monotonic()
        if now - self._looked < self.timing.lease / 2:
            return
        self._looked = now
        await self.finish(store, [each.id for each in await recording.due(store, self.timing, BY_THE_WAY)])


def _edits(single: Single) -> list[Edit]:
    """Return what changes in one document: its copies, and what is derived from them."""
    edits: list[Edit] = []
    entry = single.entry
    places = [*(each.place for each in entry.copies), *entry.derived]
    if entry.revision is not None:
        places.append(entry.revision)
    for place in places:
        for path, value in values_at(single.after, place.steps):
            before = value_at(single.before, path)
            # Not what is merely another object: a command beside this one may have refreshed it already.
            if before is ABSENT or (before is not value and not same(before, value)):
                edits.append((path, value))
        edits += [
            (path, ABSENT)
            for path, _ in values_at(single.before, place.steps)
            if value_at(single.after, path) is ABSENT
        ]
    return edits
