"""The optimistic insert: write, then look; take back what should not have been written.

The deleter does the opposite: it condemns, then looks for references. Of two that overlap, either the writer's look
comes after the condemnation and sees it, or the deleter's look comes after the insert and sees that.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from integrity.declare.extract import values_at
from integrity.declare.registry import Reference
from integrity.rules.judge import dotted
from integrity.store.lookup import pieces
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable
from integrity.writes.references.existence import look
from integrity.writes.references.keys import Key, named, protected
from integrity.writes.references.work import Faults, Storing, Work
from integrity.writes.whole import nameable

if TYPE_CHECKING:
    from integrity.writes.guard import Guard
    from integrity.writes.references.protocol import Protocol

T = TypeVar("T")


async def insert(
    protocol: Protocol,
    guard: Guard,
    act: Storing[T],
    work: Work,
    keys: Mapping[Hashable, Key],
    session: Any,
    *,
    ordered: bool,
) -> T:
    """Insert documents, look at what they refer to, and take back what refers to nothing or to what is condemned.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        act: Inserts them.
        work: Knows which.
        keys: What they refer to.
        session: A session without a transaction, or None.
        ordered: Whether they are inserted in this order, and none after one that was refused.

    Raises:
        BeingDeleted: What they refer to is being deleted, and that was not decided in time.
    """
    timing = protocol.timing
    until = timing.monotonic() + timing.patience
    attempt = 0
    majority = durable(guard.store)
    while True:
        documents = list(work.documents)
        if attempt:
            keys = named(guard.entry, documents)
        faults: Faults = [()] * len(documents)
        if protocol.witnesses.lack(keys):
            # Before the insert: a process that dies between its two steps leaves an orphan that only a sweep finds,
            # and a sweep looks where something was deleted lately. What was never there has no sweep.
            beside = await protocol.notices.beside(guard.store)
            sight = await look(guard, documents, session, ordered=ordered, beside=beside)
            if sight.condemned:
                await protocol.wait(guard, sight.condemned, until, attempt)
                attempt += 1
                continue
            faults = sight.faults
        # Acknowledged by a majority: an election must not take back what the look below relies on.
        outcome = await act(faults, session, majority)
        inserted = list(work.inserted(outcome))
        if not inserted:
            return outcome
        # After the insert, and never before it: the deleter condemns before it looks.
        seen = timing.monotonic()
        beside = await protocol.notices.beside(guard.store)
        sight = await look(guard, inserted, session, ordered=ordered, beside=beside)
        pin = await only_pins(protocol, guard.store, keys.values())
        wrong = [index for index, each in enumerate(sight.faults) if each or index in sight.condemned or pin]
        if not wrong:
            protocol.witnesses.add(keys if len(inserted) == len(documents) else named(guard.entry, inserted), seen)
            return outcome
        undone = inserted[wrong[0] :] if ordered else [inserted[index] for index in wrong]
        await take_back(guard, undone)
        work.take_back(undone)
        # Not to be inserted again before they are seen: what is no more must not be stored even for a moment.
        protocol.witnesses.forget(named(guard.entry, undone))
        if pin:
            return await protocol.store(guard, list(work.documents), act, session, ordered=ordered, work=work)
        if sight.condemned:
            await protocol.wait(guard, sight.condemned, until, attempt)
        attempt += 1


async def only_pins(protocol: Protocol, store: Store, keys: Iterable[Key]) -> bool:
    """Whether one of the keys is condemned beside its document, so that writers who can pin do."""
    beside = await protocol.notices.beside(store)
    return bool(beside) and await protocol.transactional(store) and any(each.collection in beside for each in keys)


async def take_back(guard: Guard, documents: Sequence[Document]) -> None:
    """Delete documents that were inserted and not acknowledged."""
    majority = durable(guard.store)
    conditions = [_mine(guard, each) for each in documents]
    for piece in pieces(conditions, 500):
        await majority.delete_many(guard.collection, piece[0] if len(piece) == 1 else {"$or": piece})


def _mine(guard: Guard, document: Document) -> dict[str, Any]:
    """Return the condition of a document by its ``_id`` and its references: another one of that ``_id`` stays."""
    conditions: list[dict[str, Any]] = [{"_id": document["_id"]}]
    for reference in guard.entry.references:
        if protected(reference) and "_id" not in reference.place.steps:
            conditions += _named(reference, document)
    return {"$and": conditions}


def _named(reference: Reference, document: Document) -> list[dict[str, Any]]:
    return [
        {dotted(path): {"$eq": value}} if nameable(path) else {str(path[0]): {"$eq": document[str(path[0])]}}
        for path, value in values_at(document, reference.place.steps)
        if value is not None
    ]
