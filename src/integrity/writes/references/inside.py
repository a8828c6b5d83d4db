"""Deletes and changes of keys inside a transaction that is already under way: a user's, or an update's own.

Nothing can be condemned there: the transaction's snapshot is older than the condemnation would be. So the pins alone
protect, and writers that do not pin must not be: a notice makes them pin, and the first time that one is posted while
somebody writes optimistically, the transaction begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from integrity.declare.equality import equal
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Entry, Reference
from integrity.errors import BeingDeleted
from integrity.store.port import Store
from integrity.violation import Violation
from integrity.writes.references import condemned, deferred, pins
from integrity.writes.references.carry_out import carry_out, rename
from integrity.writes.references.deleting import Deleted, Wish
from integrity.writes.references.keys import Key, protected
from integrity.writes.references.plan import children
from integrity.writes.references.restricted import refuse, refused_change

if TYPE_CHECKING:
    from integrity.writes.guard import Guard
    from integrity.writes.post_image import Change
    from integrity.writes.references.protocol import Protocol


async def delete(protocol: Protocol, store: Store, wish: Wish, session: Any) -> Deleted:
    """Delete what matches in a transaction, with what its references say.

    Raises:
        RestrictedDelete: Something refers to it that says ``restrict``; nothing was changed.
    """
    plan = await wish.chosen(store, session=session)
    if not plan.roots:
        return Deleted(0)
    later = deferred.of(session)
    if later is None:
        refuse(plan)
    documents, keys = plan.condemned()
    for collection in documents:
        await _only_pins(protocol, store, collection)
    # The pins of what is deleted, in the snapshot in which references were looked for: a writer that pinned one of
    # them meanwhile, and was not seen, conflicts.
    await pins.seal(store, keys, session)
    if any(map(protocol.notices.recent, documents)):
        # A writer that began before the notice, and dies before it looks: the sweep finds what it leaves.
        await condemned.remember(store, protocol.timing, wish.entry.collection, keys, session)
    fetched = await wish.read(store, plan, session=session)
    if later is not None:
        later.deleted(keys)
    await carry_out(store, plan, None, (), session=session)
    return Deleted(len(plan.roots), fetched, plan)


def keyed(entry: Entry) -> list[Reference]:
    """Return the protected references that go by a field that can change."""
    return [each for each in entry.referrers if each.field != "_id" and protected(each)]


async def rekey(
    protocol: Protocol, guard: Guard, changes: Sequence[Change], session: Any, *, look: bool = False
) -> list[list[Violation]]:
    """Do what references say of keys that have changed in this transaction; nothing, where one of them refuses.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        changes: Its documents, before and after.
        session: The session of the transaction.
        look: Only look what would refuse.

    Returns:
        What refuses each change.
    """
    found: list[list[Violation]] = [[] for _ in changes]
    references = keyed(guard.entry)
    if not references:
        return found
    moved = [
        (index, reference, old, value_at(change.after, tuple(reference.field.split("."))))
        for index, change in enumerate(changes)
        if change.before is not None
        for reference in references
        if (old := value_at(change.before, tuple(reference.field.split(".")))) is not ABSENT and old is not None
        and not equal(old, value_at(change.after, tuple(reference.field.split("."))))
    ]  # fmt: skip
    if not moved:
        return found
    store = guard.store
    await protocol.prepare(store)
    await _only_pins(protocol, store, guard.collection)
    keys = list({each.at: each for each in (Key(guard.collection, by.field, old) for _, by, old, _ in moved)}.values())
    await pins.seal(store, keys, session)
    # What may keep an old key is no stray, and the sweep knows fields only.
    kept = {each.field for each in guard.entry.referrers if each.ref.on_update == "no_action"}
    swept = [each for each in keys if each.field not in kept]
    if swept and protocol.notices.recent(guard.collection):
        await condemned.remember(store, protocol.timing, guard.collection, swept, session)
    renames = []
    for index, reference, old, new in moved:
        referring = await children(store, reference, [old], session=session)
        action = reference.ref.on_update
        if action == "cascade" and new is not ABSENT and new is not None:
            renames.append((referring, new))
        elif action != "no_action" and referring:
            id_ = changes[index].after.get("_id")
            found[index].append(refused_change(guard.collection, id_, reference.field, referring))
    if not look and not any(found):
        for referring, new in renames:
            await rename(store, referring, new, session=session)
    return found


async def _only_pins(protocol: Protocol, store: Store, collection: str) -> None:
    """See that who writes references to a collection pins.

    Raises:
        BeingDeleted: That is so only from now on, and the transaction is to begin again.
    """
    if await protocol.notices.post(store, collection):
        raise BeingDeleted(
            f"{collection}: is deleted from in a transaction for the first time; repeat the transaction. db.apply() "
            "prepares it beforehand."
        )
