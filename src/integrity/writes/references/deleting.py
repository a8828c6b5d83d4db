"""A delete that leaves no reference behind: condemn, look, act, in this order.

With transactions, the look and the act are one transaction, which first changes every pin of what it deletes, so that
it conflicts with whoever pins one of them. What is too large for one transaction, and everything on a standalone
server, goes on in batches behind the condemnation; a crash in between is finished by `recover`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo.errors import ConnectionFailure, NotPrimaryError, PyMongoError

from integrity.declare.equality import key
from integrity.declare.registry import Entry
from integrity.errors import BeingDeleted, RestrictedDelete, TransactionRequired, UnguardedWrite
from integrity.store.codecs import without
from integrity.store.lookup import pieces
from integrity.store.port import Document, Filter, Store
from integrity.writes.references.carry_out import carry_out
from integrity.writes.references.condemned import ACTING, FLAG, GONE, Busy, Condemnation, Fenced
from integrity.writes.references.durable import durable
from integrity.writes.references.plan import TOGETHER, DeletePlan, among, collect
from integrity.writes.references.restricted import refuse
from integrity.writes.transaction import transact

if TYPE_CHECKING:
    from integrity.writes.references.protocol import Protocol

#: Documents in one transaction. MongoDB's advice is 1,000.
#: Source: https://www.mongodb.com/docs/manual/core/transactions-production-consideration/#oplog-size-limit
LIMIT = 1000

Progress = Callable[[int, int], None]


class _Grown(Exception):
    """More is to be deleted than was condemned."""

    def __init__(self, plan: DeletePlan) -> None:
        super().__init__(plan)
        self.plan = plan


class _Large(Exception):
    """The plan has come to be too large for a transaction."""


class _Slipped(Exception):
    """A condemned document has lost its flag."""


@dataclass
class Deleted:
    """What a delete did.

    Args:
        count: How many of the documents that it was asked to delete it deleted.
        document: The one that it deleted, when it was asked for.
        plan: What was done with it.
    """

    count: int
    document: Document | None = None
    plan: DeletePlan | None = None


@dataclass
class Wish:
    """What is to be deleted.

    Args:
        entry: The model.
        filter: PyMongo's filter.
        many: Whether all that matches, or one.
        fetch: PyMongo's options (``projection``) to read the one with, when it is to be returned; None for no document.
        as_model: Whether the one is to be made an instance of the model.
        atomic: Whether it must be one transaction.
        options: PyMongo's ``sort``, ``collation``, ``hint``, ``let``, ``comment``.
        progress: Called with the number of documents that were written and of all that are to be.
    """

    entry: Entry
    filter: Filter
    many: bool
    fetch: Mapping[str, Any] | None = None
    as_model: bool = False
    atomic: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None

    async def chosen(self, store: Store, **session: Any) -> DeletePlan:
        """Return the plan for what matches now."""
        limited = {} if self.many else {"limit": 1}
        return await collect(store, self.entry, self.filter, **self.options, **limited, **session)

    async def again(self, store: Store, plan: DeletePlan, **session: Any) -> DeletePlan:
        """Return the plan for what was chosen and still matches."""
        kept = {name: value for name, value in self.options.items() if name in {"collation", "let", "comment"}}
        return await among(store, self.entry, [each.id for each in plan.roots], self.filter, **kept, **session)

    async def read(self, store: Store, plan: DeletePlan, **session: Any) -> Document | None:
        """Return the document that is to be deleted and returned, as the application reads."""
        if self.fetch is None:
            return None
        reader = store.for_models() if self.as_model else store.for_results()
        found = await reader.find_one(self.entry.collection, {"_id": plan.roots[0].id}, **self.fetch, **session)
        return without(found, FLAG)  # type: ignore[no-any-return]  # a document, or None


async def delete(protocol: Protocol, store: Store, wish: Wish, session: Any = None) -> Deleted:
    """Delete what matches, with what its references say; outside of any transaction of the user's.

    Args:
        protocol: The protocol.
        store: The database.
        wish: What is to be deleted.
        session: The caller's session, without a transaction; or None. What chooses the documents, the transaction and
            the last look are its operations, so that it learns when they were; what is the library's own is not.

    Raises:
        RestrictedDelete: Something refers to it that says ``restrict``; nothing was changed.
        BeingDeleted: Another delete of the same documents did not end in time.
        UnguardedWrite: It was to be atomic, and cannot be.
    """
    timing = protocol.timing
    until = timing.monotonic() + timing.patience
    await protocol.prepare(store)
    await protocol.recover_lazily(store)
    own = {} if session is None else {"session": session}
    if session is not None:
        # Deletes nothing: a session that cannot delete (ended, another client's, a snapshot) is refused by the driver,
        # or by the server, before anything is condemned.
        await durable(store).delete_one(wish.entry.collection, {"_id": {"$in": []}}, **own)
    attempt = 0
    while True:
        plan = await wish.chosen(store, **own)
        if not plan.roots:
            return Deleted(0)
        refuse(plan)
        condemnation = Condemnation(timing.token(), wish.entry.collection, timing, timing.token())
        try:
            return await _once(protocol, store, wish, plan, condemnation, session)
        except (Busy, Fenced, _Slipped) as signal:
            if timing.monotonic() > until:
                raise BeingDeleted(
                    f"{wish.entry.collection}: another delete of the same documents has not ended within "
                    f"{timing.patience:g} s; try again, or run `integrity recover`."
                ) from None
            if isinstance(signal, Busy):
                await protocol.recover_one(store, signal)
        attempt += 1
        await store.sleep(timing.pause(attempt))


async def _once(
    protocol: Protocol, store: Store, wish: Wish, plan: DeletePlan, condemnation: Condemnation, session: Any
) -> Deleted:
    decided = False
    try:
        # Before the look: from here on, a writer that is not seen by the look sees this.
        await condemnation.extend(store, protocol.notices, *plan.condemned(), roots=plan.roots)
        if await protocol.transactional(store):
            while plan.fits(protocol.limit):
                try:
                    return await _in_transaction(protocol, store, wish, plan, condemnation, session)
                except _Grown as grown:
                    plan = grown.plan
                    await condemnation.extend(store, protocol.notices, *plan.condemned())
                except _Large:
                    break
        _refuse_atomic(wish, plan, transactional=await protocol.transactional(store))
        plan = await _settled(protocol, store, wish, plan, condemnation)
        if not plan.roots:
            await condemnation.release(store)
            return Deleted(0)
        fetched = await wish.read(store, plan)
        # The decision: from here on it is finished, by this process or by another.
        await condemnation.renew(store, ACTING)
        decided = True
        count = await in_batches(protocol, store, condemnation, plan, wish.progress, session)
        return Deleted(count, fetched, plan)
    except PyMongoError as error:
        # Whether the transaction was committed is not known; its record is, and recovery reads it.
        if not decided and not error.has_error_label("UnknownTransactionCommitResult"):
            with suppress(PyMongoError):
                await condemnation.release(store, answered=_answered(error))
        raise
    except BaseException as error:
        if not decided:
            with suppress(PyMongoError):
                await condemnation.release(store, answered=_answered(error))
        raise


def _answered(error: BaseException) -> bool:
    """Whether every command that was sent has been answered when an error is raised."""
    if isinstance(error, ConnectionFailure):
        return isinstance(error, NotPrimaryError)
    return isinstance(error, Exception)  # else it was interrupted, or its task was cancelled


async def _in_transaction(
    protocol: Protocol, store: Store, wish: Wish, chosen: DeletePlan, condemnation: Condemnation, own: Any
) -> Deleted:
    async def body(session: Any) -> Deleted:
        # Writes to every pin of what is deleted: a writer that pinned one of them and is not seen by the look below
        # has not committed before this snapshot, and the two of them cannot both commit.
        await protocol.seal(store, chosen.condemned()[1], session)
        plan = await wish.again(store, chosen, session=session)
        if not plan.roots:
            raise _Slipped
        refuse(plan)
        if not plan.fits(protocol.limit):
            raise _Large
        _only_condemned(plan, condemnation)
        fetched = await wish.read(store, plan, session=session)
        deleted = await carry_out(protocol, store, plan, condemnation.token, condemnation.beside, session=session)
        if deleted < len(plan.doomed):
            raise _Slipped
        if condemnation.beyond(plan.condemned()[0]):
            # What is spared loses its flag in the transaction itself: what is gone is swept, and nobody looks for
            # flags any more.
            await condemnation.lift(store, session)
        await condemnation.renew(store, GONE, session)
        return Deleted(len(plan.roots), fetched, plan)

    return await protocol.copies.transact(store, body, own)


async def _settled(
    protocol: Protocol, store: Store, wish: Wish, plan: DeletePlan, condemnation: Condemnation
) -> DeletePlan:
    """Return the plan that can no longer grow: everything in it is condemned, and no writer has not seen that."""
    while True:
        if await protocol.transactional(store):
            keys = plan.condemned()[1]

            async def barrier(session: Any, keys: Any = keys) -> None:
                await protocol.seal(store, keys, session)

            # A writer that pins and began before the condemnation is either committed now, and seen by the look
            # below, or is made to begin again, and sees the condemnation.
            await transact(store, barrier)
        plan = await wish.again(store, plan)
        refuse(plan)
        try:
            _only_condemned(plan, condemnation)
        except _Grown:
            await condemnation.extend(store, protocol.notices, *plan.condemned())
        else:
            return plan


async def in_batches(
    protocol: Protocol,
    store: Store,
    condemnation: Condemnation,
    plan: DeletePlan,
    progress: Progress | None = None,
    session: Any = None,
) -> int:
    """Carry a decided plan out, a batch at a time, and remember it; return how many of the roots are gone.

    What now refuses it came after the condemnation: its writer takes it back, or the sweep does.

    Raises:
        RestrictedDelete: The server refuses to take a reference away; what is left is condemned no more.
    """
    roots = {key(each.id): each.id for each in plan.roots}
    total = plan.size
    done = 0

    async def before() -> None:
        nonlocal done
        await condemnation.renew(store, ACTING)
        if progress is not None:
            progress(min(done, total), total)
        done += 500

    majority = durable(store)
    left = plan
    for _ in range(10):
        try:
            deleted = await carry_out(protocol, majority, left, condemnation.token, condemnation.beside, before)
        except RestrictedDelete:
            # It would be refused for ever: nobody is to wait for it, and to try it again.
            await _ended(store, condemnation)
            raise
        if deleted == len(left.doomed):
            break
        # Something has changed since the plan was made: a child moved away, a replacement wiped a flag.
        left = await among(store, plan.entry, list(roots.values()), condemnation.mark(plan.entry))
        if not left.roots:
            break
    await _ended(store, condemnation)
    alive = 0
    own = {} if session is None else {"session": session}
    for piece in pieces(roots.values(), TOGETHER):
        alive += await store.count_documents(plan.entry.collection, {"_id": {"$in": piece}}, **own)
    if progress is not None:
        progress(total, total)
    return len(roots) - alive


async def _ended(store: Store, condemnation: Condemnation) -> None:
    """Remember what is gone, and condemn nothing any more."""
    await condemnation.renew(store, ACTING)  # still this process's
    # Before it says "gone": what is gone is swept, and nobody looks for flags any more.
    await condemnation.lift(store)
    await condemnation.renew(store, GONE)


def _only_condemned(plan: DeletePlan, condemnation: Condemnation) -> None:
    documents, keys = plan.condemned()
    if not all(ids.keys() <= condemnation.documents.get(name, {}).keys() for name, ids in documents.items()):
        raise _Grown(plan)
    if not {each.name for each in keys} <= condemnation.keys:  # a key has changed meanwhile: its pins are others
        raise _Grown(plan)


def _refuse_atomic(wish: Wish, plan: DeletePlan, *, transactional: bool) -> None:
    if not wish.atomic:
        return
    what = f"{wish.entry.collection}: the delete would write {plan.size} documents"
    if not transactional:
        raise TransactionRequired(f"{what}, and is atomic only in a transaction, which a standalone server has not.")
    raise UnguardedWrite(
        f"{what}, more than one transaction should; delete less at a time, or without atomic=True: it then goes on in "
        "batches behind its condemnation."
    )
