"""Finishing what is recorded: the copies of one owner, a batch at a time, each batch a transaction of its own.

Each batch reads what the owner says, pins it, and writes. A change of the owner that overlaps conflicts with the
pin, one that came between two batches has renamed the record, and the copies are gone through once more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pymongo.read_concern import ReadConcern

from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Copy
from integrity.store.lookup import look_up
from integrity.store.port import Document, Store
from integrity.writes.change import Change
from integrity.writes.copies import recording
from integrity.writes.copies.fitting import as_copy, misfits
from integrity.writes.copies.planning import RefreshPlan, many, plan, single
from integrity.writes.copies.recording import Record
from integrity.writes.copies.spots import spots
from integrity.writes.copies.synced import Synced
from integrity.writes.copies.waiting import waiting
from integrity.writes.references.keys import Key
from integrity.writes.references.plan import naming
from integrity.writes.transaction import transact

if TYPE_CHECKING:
    from integrity.writes.copies.keeping import Keeper

T = TypeVar("T")

#: Documents of one batch that are copied themselves: each is looked up by what copies it, and a transaction lasts
#: for 60 seconds at most, also on a busy server.
#: Source: https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.transactionLifetimeLimitSeconds
CHAINED = 50

_LOGGER = logging.getLogger("integrity.writes")


class _Unfit(Exception):
    """The copies cannot hold what their owner holds."""


@dataclass(frozen=True)
class _Refresh:
    """One record on its way to be finished.

    Args:
        keeper: Keeps the copies.
        store: The database, as its primary has it.
        record: The record.
        copy: What it says may be stale.
        done: Where what was done is noted.
        tell: Is told what is waited for.
        recorded: The ids of what its batches have recorded in turn.
    """

    keeper: Keeper
    store: Store
    record: Record
    copy: Copy
    done: Synced
    tell: Callable[[str], None]
    recorded: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How the copy is named in what is told."""
        return f"{self.record.collection}.{self.record.path}"

    async def transact(self, body: Callable[[Any], Awaitable[T]]) -> T:
        """Run `body` in a transaction of its own, and tell what that waits for."""
        return await transact(self.store, body, why="refreshing copies", met=waiting(self.tell, self.name))

    async def settled(self, settle: Callable[[Store, Record, Any], Awaitable[bool]]) -> bool:
        """Do something about the record itself, in a transaction where there are any.

        By itself, the server would let it wait for who has written the record, and nobody could say so.
        """
        if not await self.keeper.protocol.transactional(self.store):
            return await settle(self.store, self.record, None)
        return await self.transact(lambda session: settle(self.store, self.record, session))


async def sync(keeper: Keeper, store: Store, *, progress: Callable[[str], None] | None = None) -> Synced:
    """Refresh every copy that is recorded as possibly stale, also where somebody else is at it.

    Args:
        keeper: Keeps the copies; its registry knows the models.
        store: The database.
        progress: Called with a line about each record, and about what is waited for.
    """
    done = Synced()
    passed: set[str] = set()
    # Copies of what was refreshed may be recorded meanwhile.
    while records := [each for each in await recording.due(store) if each.id not in passed]:
        for each in records:
            before = done.documents
            await finish(keeper, store, each.id, done, tell=progress)
            passed.add(each.id)
            if progress is not None:
                progress(f"{each.collection}.{each.path}: {done.documents - before} documents")
    return done


async def finish(
    keeper: Keeper,
    store: Store,
    name: str,
    done: Synced | None = None,
    *,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Finish one record, and what its batches record in turn.

    Args:
        keeper: Keeps the copies.
        store: The database.
        name: The record's id.
        done: Where what was done is noted.
        tell: Called with a line about what is waited for; by default it is logged.
    """
    done = Synced() if done is None else done
    # What a secondary has not heard of yet would be passed over, and forgotten with the record.
    store = store.current()
    names = [name]
    while names:
        name = names.pop()
        # Causally consistent: each read is of what the one before has seen, or later.
        session = await store.start_session()
        try:
            found = await recording.standing(store, name, session)
            if found is None:
                continue
            copy = found.copy(keeper.registry)
            if copy is None:
                done.unknown.add(f"{found.collection}.{found.path}")
                continue
            refresh = _Refresh(keeper, store, found, copy, done, tell or _LOGGER.warning)
            over = await _finished(refresh, session)
        finally:
            await store.end_session(session)
        names += refresh.recorded
        if not over:
            names.append(name)


async def _finished(refresh: _Refresh, session: Any) -> bool:
    """Go through the copies, then settle the record; return False where the owner has changed again since it was read.

    The record is forgotten last, and by what stays. The record, the owner and the copies are read as a majority has
    them, each not before the one before: what was seen to be fresh, and an owner that was seen to be gone, no election
    brings back. What was seen to be stale is refreshed by a transaction of the majority, which is waited for. Were the
    reads the primary's own, they could show what another process has refreshed and no majority has heard of; with
    that process and that primary dead, the next primary would have the old copies, and be told to forget the record.
    Were the owner's not after the record's, it could be older than the change that the record is of.
    """
    await refresh.keeper.protocol.prepare(refresh.store)
    try:
        await _pass(refresh, session)
    except _Unfit as unfit:
        # It is left, and told again by each synchronisation, for as long as it is so.
        if not (refresh.record.unfit or await refresh.settled(recording.keep)):
            return False
        refresh.done.misfits[refresh.name] = str(unfit)
        return True
    # After the pass: the record is what tells of copies that this process had no time for.
    if not await refresh.settled(recording.forget):
        return False
    refresh.done.finished += 1
    return True


async def _pass(refresh: _Refresh, session: Any) -> None:
    """Go through the copies of an owner once.

    Raises:
        _Unfit: One that is stale cannot be refreshed.
    """
    record, copy = refresh.record, refresh.copy
    store = refresh.store.with_options(read_concern=ReadConcern("majority"))
    owner = await _owner(store, record, copy, session)
    if owner is None:
        return  # deleted: what happened to its copies, its deletion has decided
    value = _said(copy, owner)
    wrong = misfits(copy, value)
    # Projected: ids are few bytes. Not in a transaction: a document that comes to name the owner meanwhile is filled by
    # its own writer.
    top = copy.place.steps[0], copy.via.place.steps[0]
    batches = store.find(
        record.collection,
        naming(copy.via, [record.key]),
        projection=dict.fromkeys(("_id", *top), 1),
        session=session,
    )
    try:
        size = min(refresh.keeper.limit, CHAINED) if copy.entry.copied else refresh.keeper.limit
        while batch := await batches.next(max(size, 1)):
            ids = [each["_id"] for each in batch if _stale(copy, record, each, value)]
            refresh.done.documents += len(batch)
            if ids and wrong:
                # The first one tells: however many there are, a record that stays costs the next one little.
                raise _Unfit(wrong[0].message)
            if ids:
                await _batch(refresh, ids)
    finally:
        await batches.close()


async def _batch(refresh: _Refresh, ids: Sequence[Any]) -> None:
    keeper, store, record, copy = refresh.keeper, refresh.store, refresh.record, refresh.copy
    mine = {"_id": {"$in": list(ids)}}
    named = Key(copy.via.target.collection, copy.via.field, record.key)

    async def body(session: Any) -> list[str]:
        await recording.renew(store, record, keeper.timing, session)
        # The owner as it is now, pinned in the same snapshot: who changes it meanwhile conflicts with this batch.
        owner = await _owner(store, record, copy, session)
        with keeper.protocol.columns.one() as column:
            await keeper.protocol.touch(store, [named], column, session)
        if owner is None:
            return []
        value = _said(copy, owner)
        wrong = misfits(copy, value)
        if wrong:
            raise _Unfit(wrong[0].message)
        made = RefreshPlan()
        command = many(copy.via, record.key, [(copy, value)])
        if command is not None:
            both, options = {"$and": [mine, command.filter]}, command.options(store)
            await store.update_many(command.collection, both, command.update, session=session, **options)
            return []
        await _singly(keeper, store, copy, made, (record, value), mine, session)
        # Copies of these copies: who changed the owner could not see so far.
        return keeper.recorded(session)

    refresh.recorded.extend(await refresh.transact(body))


async def _singly(
    keeper: Keeper,
    store: Store,
    copy: Copy,
    made: RefreshPlan,
    wanted: tuple[Record, Any],
    mine: Document,
    session: Any,
) -> None:
    """Refresh documents that have copies of their own, or are derived from: read, changed, written."""
    record, value = wanted
    batches = store.find(record.collection, mine, session=session)
    while batch := await batches.next():
        for each in batch:
            single(made, copy.via, record.key, [(copy, value)], each)
    # The owner has changed already: what is wrong with a document now is told by the audit.
    changes = [Change(each.before, each.after) for each in made.singles.values()]
    below = await plan(store, copy.entry, changes, keeper.limit, session)
    await keeper.carry_out(store, below, session)
    await keeper.write(store, made, session)


async def _owner(store: Store, record: Record, copy: Copy, session: Any = None) -> Document | None:
    """Return the owner, or None when it is not there."""
    options = {} if session is None else {"session": session}
    target = copy.via.target.collection
    found = await look_up(store, target, copy.via.field, [record.key], [copy.field], **options)
    return found.get(key(record.key))


def _said(copy: Copy, owner: Document) -> Any:
    return as_copy(copy, value_at(owner, tuple(copy.field.split("."))))


def _stale(copy: Copy, record: Record, document: Document, value: Any) -> bool:
    return any(
        key(spot.via) == key(record.key)
        and not same(spot.value, value)
        and not (spot.value in (None, ABSENT) and value in (None, ABSENT))
        for spot in spots(copy, document)
    )
