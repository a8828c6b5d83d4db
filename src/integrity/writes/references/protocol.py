"""The protocols behind the seam: which one a write takes, and what they share.

With transactions, a write of a reference pins what it names (`pinned`). An insert may instead look after it has
written (`optimistic`): always on a standalone server, elsewhere where the database was opened with
``references="optimistic"``, and never in a user's transaction. Both kinds of writers may share a database, because
every delete condemns first and seals the pins where there are any.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pymongo.results import InsertOneResult

from integrity.declare.registry import Registry
from integrity.errors import TransactionRequired, UnguardedWrite
from integrity.store.port import Document, Filter, Store
from integrity.writes.no_filter import refuse_no_filter
from integrity.writes.references import condemned, group_commit, inside, pinned, pins, recovery, standing
from integrity.writes.references.deleting import LIMIT, Deleted, Wish, delete
from integrity.writes.references.existence import verify
from integrity.writes.references.keys import Key, adds, named
from integrity.writes.references.lanes import Seat
from integrity.writes.references.notices import Notices
from integrity.writes.references.optimistic import insert
from integrity.writes.references.pinned import being_deleted
from integrity.writes.references.plan import DeletePlan, collect, protecting
from integrity.writes.references.timing import Timing
from integrity.writes.references.witnesses import Witnesses
from integrity.writes.references.work import Storing, Work
from integrity.writes.transaction import joins

if TYPE_CHECKING:
    from integrity.violation import Violation
    from integrity.writes.copies.keeping import Keeper
    from integrity.writes.guard import Guard
    from integrity.writes.post_image import Change

T = TypeVar("T")


Mode = Literal["auto", "pinned", "optimistic"]


class Protocol:
    """How references are kept from dangling in one database.

    Args:
        registry: All models.
        mode: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        timing: The times.
        limit: Documents in one transaction of a delete.
    """

    def __init__(
        self, registry: Registry, mode: Mode = "auto", *, timing: Timing | None = None, limit: int = LIMIT
    ) -> None:
        self.registry = registry
        self.mode = mode
        self.timing = timing or Timing()
        self.limit = limit
        self.notices = Notices(self.timing)
        self.witnesses = Witnesses(self.timing)
        self.columns = pins.Columns()
        self.groups = group_commit.Groups()
        self._transactional: bool | None = None
        #: Whether all collections are on one server: there one command looks into two of them.
        self.whole = False
        self._ready = self._missed = False
        self._recovered = -math.inf
        self._known_revocable: set[str] = set()

    @cached_property
    def copies(self) -> Keeper:
        """Keeps the copies: its pins order them, and what is derived from a reference, and copied, changes with it."""
        from integrity.writes.copies.keeping import Keeper  # noqa: PLC0415 - which is built upon this module

        return Keeper(self)

    async def transactional(self, store: Store) -> bool:
        """Whether the server has transactions."""
        if self._transactional is None:
            try:
                found = await store.topology()
            except NotImplementedError:  # mongomock
                self._transactional = False
            else:
                self._transactional, self.whole = found != "standalone", found != "sharded"
        return self._transactional

    async def prepare(self, store: Store) -> None:
        """Create what the protocols keep in the database; once, and outside of any transaction."""
        if self._ready:
            return
        if await self.transactional(store):
            await pins.create(store, missed=self._missed)
            self._missed = False
        await condemned.create(store)
        self._ready = True

    async def touch(self, store: Store, keys: Iterable[Key], column: int, session: Any) -> None:
        """Pin keys in a transaction, see `pins.touch`.

        Raises:
            PinsMissing: The pins are not there: somebody has dropped the database, or they are younger than the
                transaction. They will be there for the one that repeats it.
        """
        if not self._ready:
            await self.prepare(store)
        try:
            await pins.touch(store, keys, column, session)
        except pins.PinsMissing:
            self._look_for_them_again()
            raise

    async def seal(self, store: Store, keys: Iterable[Key], session: Any) -> None:
        """Conflict with whoever pins one of the keys, see `pins.seal`.

        Raises:
            PinsMissing: As for `touch`.
        """
        await self.prepare(store)
        try:
            await pins.seal(store, keys, session)
        except pins.PinsMissing:
            self._look_for_them_again()
            raise

    def _look_for_them_again(self) -> None:
        """Prepare once more for the next transaction: pins were missed in this one."""
        self._ready, self._missed = False, True

    async def store(
        self,
        guard: Guard,
        documents: Sequence[Document],
        act: Storing[T],
        session: Any,
        *,
        ordered: bool = True,
        work: Work | None = None,
        stored: Document | None = None,
    ) -> T:
        """Let `act` store documents, with the faults of their references.

        Args:
            guard: The model's guard.
            documents: What would be stored, in the order of the requests.
            act: Stores them; called again when what it did is taken back.
            session: The caller's session, or None.
            ordered: Whether they are stored in this order: a document may then refer to one before it.
            work: Knows what `act` has inserted; None where it does not insert but changes what is there.
            stored: Where `stands` says so, what is stored in the one document's place: what that refers to, the
                document may go on referring to. `act` then stores under `standing.conditions`.

        Raises:
            BeingDeleted: What they refer to is being deleted, and that was not decided in time.
            TransactionRequired: A reference would change, and the server has no transactions.
        """
        if work is not None and joins(session):
            await work.complete()
            documents = work.documents
        keys = named(guard.entry, documents)
        if joins(session):
            await self.prepare(guard.store)
            return await pinned.join(self, guard, documents, keys, act, session, ordered=ordered)
        if stored is not None:
            await standing.decided(self, guard, stored)
        if not keys:
            return await act(await verify(guard, documents, session, ordered=ordered), session)
        await self.prepare(guard.store)
        # Copies are written beside a pin wherever there are any: their owner's writer changes it, and condemns nothing.
        copies = bool(guard.entry.copies) and await self.transactional(guard.store)
        if work is not None and not copies and await self._optimistic(guard.store, keys.values()):
            await self._revocable(guard)
            # A majority is waited for once, and what they name is looked at once.
            await work.complete()
            keys = named(guard.entry, work.documents)
            return await insert(self, guard, act, work, keys, session, ordered=ordered)
        if stored is not None and not guard.entry.copies and not adds(guard.entry, stored, documents[0]):
            return await act(await verify(guard, documents, session, ordered=ordered), session)
        if self.mode != "pinned" and work is None and not await self.transactional(guard.store):
            raise TransactionRequired(
                f"{guard.collection}: a reference changes only in a transaction, and this server has none; run it as a "
                "replica set (one member will do), or delete the document and insert it anew."
            )
        return await pinned.store(self, guard, documents, keys, act, session, ordered=ordered, work=work)

    async def together(
        self,
        guard: Guard,
        document: Document,
        alone: Callable[[], Awaitable[InsertOneResult | T]],
        *,
        new: bool = False,
    ) -> InsertOneResult | T:
        """Insert a document with which nothing is wrong but, perhaps, its references; outside of any session.

        Inserts of several callers share their commands.

        Args:
            guard: The model's guard.
            document: The document.
            alone: Inserts it by itself, through `store`: where it does not go as smoothly as it mostly does.
            new: Whether its ``_id`` was made for this insert.
        """
        keys = named(guard.entry, [document])
        store = guard.store
        if not keys or store.hurried or "_id" not in document:
            return await alone()
        if not self._ready:
            await self.prepare(store)
        optimistic = self.mode != "pinned" and await self._optimistic(store, keys.values())
        if optimistic:
            await self._revocable(guard)
        elif not (self._transactional or await self.transactional(store)):
            return await alone()
        outcome = await group_commit.insert(self, guard, Seat(document, keys, new=new), optimistic=optimistic)
        return await alone() if outcome is None else outcome

    async def _optimistic(self, store: Store, keys: Iterable[Key]) -> bool:
        if self.mode == "pinned":
            return False
        if not await self.transactional(store):
            return True
        if self.mode != "optimistic":
            return False
        await self.notices.register(store)
        beside = await self.notices.beside(store)
        return not any(each.collection in beside for each in keys)

    async def _revocable(self, guard: Guard) -> None:
        """Look, once, whether what is inserted into a collection can be taken back.

        Raises:
            UnguardedWrite: It is a time series, from which the server deletes no single document.
        """
        if guard.collection in self._known_revocable:
            return
        try:
            listed = await guard.store.collections()
        except NotImplementedError:  # mongomock
            listed = []
        if any(each["name"] == guard.collection and each.get("type") == "timeseries" for each in listed):
            raise UnguardedWrite(
                f"{guard.collection} is a time series: no document can be taken back from it, as an insert has to be "
                'whose reference is being deleted; declare the reference on_delete="no_action".'
            )
        self._known_revocable.add(guard.collection)

    async def wait(self, guard: Guard, flags: Mapping[int, Document], until: float, attempt: int) -> None:
        """Wait for what documents refer to to be deleted, or not to be.

        Raises:
            BeingDeleted: It has taken too long.
        """
        if self.timing.monotonic() > until:
            raise being_deleted(guard, self.timing, flags)
        for flag in {each["by"]: each for each in flags.values()}.values():
            if condemned.expired(flag["until"], self.timing):
                await recovery.one(self, guard.store, flag["by"], flagged=flag["until"])
        await guard.store.sleep(self.timing.pause(attempt))

    async def delete(self, guard: Guard, wish: Wish, session: Any) -> Deleted:
        """Delete what matches, with what refers to it.

        Args:
            guard: The model's guard.
            wish: What is to be deleted.
            session: The caller's session, or None.

        Raises:
            RestrictedDelete: Something refers to it that says ``restrict``; nothing was changed.
        """
        if joins(session):
            await self.prepare(guard.store)
            return await inside.delete(self, guard.store, wish, session)
        return await delete(self, guard.store, wish, session)

    async def rekeyed(
        self, guard: Guard, changes: Sequence[Change], session: Any, *, look: bool = False, back: bool = False
    ) -> list[list[Violation]]:
        """Do what references say of keys that changed in a transaction; return what is wrong with each change."""
        return await inside.rekey(self, guard, changes, session, look=look, back=back)

    async def stands(self, guard: Guard, session: Any) -> bool:
        """Whether a document is replaced under a condition on its references: they are protected, and nothing pins."""
        return not joins(session) and bool(standing.held(guard.entry)) and not await self.transactional(guard.store)

    def keyed(self, guard: Guard) -> list[str]:
        """Return the stored names of the fields that a model is referred to by and that can change."""
        return list(dict.fromkeys(each.field for each in inside.keyed(guard.entry)))

    def moves(self, guard: Guard, change: Change) -> bool:
        """Whether a change gives a key that others may refer to another value: without a transaction it is refused."""
        return any(inside.moving(inside.keyed(guard.entry), change))

    def guards(self, guard: Guard) -> bool:
        """Whether a delete of the model's documents has references to look for."""
        return bool(guard.entry.referrers) and protecting(guard.entry)

    async def plan_delete(self, store: Store, guard: Guard, filter: Filter, **options: Any) -> DeletePlan:
        """Return what deleting what matches would do."""
        refuse_no_filter(filter)
        return await collect(store, guard.entry, filter, **options)

    async def recover_lazily(self, store: Store) -> None:
        """Recover a few deletions, now and then."""
        now = self.timing.monotonic()
        if now - self._recovered < self.timing.lease / 2:
            return
        self._recovered = now
        await recovery.recover(self, store, limit=recovery.BY_THE_WAY)

    async def recover_one(self, store: Store, met: condemned.Busy) -> None:
        """Recover the deletion that another one has met, if its lease is over."""
        await recovery.one(self, store, met.by, flagged=met.until)
