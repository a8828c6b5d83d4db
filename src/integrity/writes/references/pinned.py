"""The pinned write: look at what is referred to, pin it, and store, in one transaction.

Who deletes what is referred to, or changes its key, changes every pin of it: of two that overlap, one begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from integrity.errors import BeingDeleted
from integrity.store.port import Document
from integrity.writes.references import deferred
from integrity.writes.references.existence import Sight, look
from integrity.writes.references.keys import Key, named
from integrity.writes.references.timing import Timing
from integrity.writes.references.work import Storing, Work
from integrity.writes.transaction import transact

if TYPE_CHECKING:
    from integrity.writes.guard import Guard
    from integrity.writes.references.protocol import Protocol

T = TypeVar("T")


async def store(
    protocol: Protocol,
    guard: Guard,
    documents: Sequence[Document],
    keys: Mapping[Hashable, Key],
    act: Storing[T],
    session: Any,
    *,
    ordered: bool,
    work: Work | None,
) -> T:
    """Store documents in a transaction of their own, which pins what they refer to.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        documents: What would be stored.
        keys: What they refer to.
        act: Stores them.
        session: A session without a transaction, or None.
        ordered: Whether they are stored in this order.
        work: Knows what is left to be inserted; None where what is there is changed.

    Raises:
        BeingDeleted: What they refer to is being deleted, and that was not decided in time.
        TransactionRequired: The server has no transactions.
    """
    until = protocol.timing.monotonic() + protocol.timing.patience
    attempt = 0
    while True:
        try:
            with protocol.columns.each() as another:

                async def body(session: Any, another: Callable[[], int] = another) -> T:
                    if work is None:
                        sight = await _pin(protocol, guard, documents, keys, session, another(), ordered=ordered)
                        return await act(sight.faults, session)
                    work.restart()
                    return await _in_portions(protocol, guard, act, work, session, another(), ordered=ordered)

                return await transact(guard.store, body, session, why=f"{guard.collection}: a reference that is pinned")
        except _Condemned as signal:
            await protocol.wait(guard, signal.flags, until, attempt)
        attempt += 1


async def join(
    protocol: Protocol,
    guard: Guard,
    documents: Sequence[Document],
    keys: Mapping[Hashable, Key],
    act: Storing[T],
    session: Any,
    *,
    ordered: bool,
) -> T:
    """Store documents in the caller's transaction, with what they refer to pinned, or its check put off.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        documents: What would be stored.
        keys: What they refer to.
        act: Stores them.
        session: The session of the transaction.
        ordered: Whether they are stored in this order.

    Raises:
        BeingDeleted: What they refer to is being deleted.
    """
    later = deferred.of(session)
    if later is not None:
        await later.note(guard, documents, session)
        return await act([()] * len(documents), session)
    try:
        with protocol.columns.one() as column:
            sight = await _pin(protocol, guard, documents, keys, session, column, ordered=ordered)
    except _Condemned as signal:
        raise being_deleted(guard, protocol.timing, signal.flags) from None
    return await act(sight.faults, session)


async def _in_portions(
    protocol: Protocol, guard: Guard, act: Storing[T], work: Work, session: Any, column: int, *, ordered: bool
) -> T:
    """Pin what is left, and let it be stored, until nothing is left: what an act judges while it stores."""
    seen: dict[str, set[Hashable]] = {}
    pinned: set[Hashable] = set()
    while True:
        documents = work.documents
        # One transaction: what it has looked at, or pinned, it need not look at or pin once more.
        keys = {at: each for at, each in named(guard.entry, documents).items() if at not in pinned}
        sight = await _pin(protocol, guard, documents, keys, session, column, ordered=ordered, seen=seen)
        pinned.update(keys)
        outcome = await act(sight.faults, session)
        if not work.more:
            return outcome


async def _pin(
    protocol: Protocol,
    guard: Guard,
    documents: Sequence[Document],
    keys: Mapping[Hashable, Key],
    session: Any,
    column: int,
    *,
    ordered: bool,
    seen: dict[str, set[Hashable]] | None = None,
) -> Sight:
    """Pin what documents refer to, and look at it, in one snapshot."""
    beside = await protocol.notices.beside(guard.store) if keys else frozenset()
    sight = await look(guard, documents, session, ordered=ordered, beside=beside, seen=seen)
    if sight.condemned:
        # What is too large for one transaction is deleted in many, behind its condemnation: a pin would not
        # hold up the ones that are past.
        raise _Condemned(sight.condemned)
    # One snapshot: that the pin comes after the look changes nothing. It is last, so that a writer that waits for
    # a condemnation does not get into the deleter's way again and again.
    if keys:
        await protocol.touch(guard.store, keys.values(), column, session)
    return sight


class _Condemned(Exception):
    """What documents refer to is condemned.

    Args:
        flags: The condemnation for each of the documents, by index.
    """

    def __init__(self, flags: Mapping[int, Document]) -> None:
        super().__init__(flags)
        self.flags = flags


def being_deleted(guard: Guard, timing: Timing, flags: Mapping[int, Document]) -> BeingDeleted:
    """Return the error of documents that refer to what is being deleted.

    Args:
        guard: The model's guard.
        timing: The times.
        flags: The condemnation for each of the documents, by index.
    """
    count = len(flags)
    return BeingDeleted(
        f"{guard.collection}: what {'the document refers' if count == 1 else f'{count} documents refer'} to is being "
        f"deleted, and within {timing.patience:g} s it was not decided; nothing was stored, try again. A deletion that "
        f"a process left undecided ends by itself after {timing.lease:g} s, or by `integrity recover`."
    )
