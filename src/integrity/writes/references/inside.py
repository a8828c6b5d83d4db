"""Deletes and changes of keys inside a transaction that is already under way: a user's, or an update's own.

Nothing can be condemned there: the transaction's snapshot is older than the condemnation would be. So the pins alone
protect, and writers that do not pin must not be: a notice makes them pin, and the first time that one is posted while
somebody writes optimistically, the transaction begins again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from integrity.declare.equality import equal
from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Entry, Reference
from integrity.errors import BeingDeleted
from integrity.store.port import Store
from integrity.violation import Violation
from integrity.writes.references import condemned, deferred
from integrity.writes.references.carry_out import carry_out, rename
from integrity.writes.references.deleting import Deleted, Wish
from integrity.writes.references.keys import Key, protected
from integrity.writes.references.plan import Child, children
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
    await protocol.seal(store, keys, session)
    if any(map(protocol.notices.recent, documents)):
        # A writer that began before the notice, and dies before it looks: the sweep finds what it leaves.
        await condemned.remember(store, protocol.timing, wish.entry.collection, keys, session)
    fetched = await wish.read(store, plan, session=session)
    if later is not None:
        later.deleted(keys)
    await carry_out(protocol, store, plan, None, (), session=session)
    return Deleted(len(plan.roots), fetched, plan)


def keyed(entry: Entry) -> list[Reference]:
    """Return the protected references that go by a field that can change."""
    return [each for each in entry.referrers if each.field != "_id" and protected(each)]


def moving(references: Sequence[Reference], change: Change) -> Iterator[tuple[Reference, Any, Any]]:
    """Yield the references whose key a change gives another value, with both; nothing refers to null."""
    if change.before is None:
        return
    for each in references:
        steps = tuple(each.field.split("."))
        old, new = value_at(change.before, steps), value_at(change.after, steps)
        if old is not ABSENT and old is not None and not equal(old, new):
            yield each, old, new


async def rekey(
    protocol: Protocol,
    guard: Guard,
    changes: Sequence[Change],
    session: Any,
    *,
    look: bool = False,
    back: bool = False,
) -> list[list[Violation]]:
    """Do what references say of keys that have changed in this transaction; nothing, where one of them refuses.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        changes: Its documents, before and after.
        session: The session of the transaction.
        look: Only look what would refuse.
        back: Give back what others had: the changes were refused, and these undo them.

    Returns:
        What refuses each change.
    """
    found: list[list[Violation]] = [[] for _ in changes]
    references = keyed(guard.entry)
    if not references:
        return found
    moved = [
        _Move(index, reference, change.after.get("_id"), old, new)
        for index, change in enumerate(changes)
        for reference, old, new in moving(references, change)
    ]
    renames: list[tuple[list[Child], Any]] = []
    while moved:  # the registry refuses a circle of these cascades
        await _sealed(protocol, guard.store, moved, session)
        further: list[_Move] = []
        for each in moved:
            referring = await children(guard.store, each.reference, [each.old], session=session)
            action = each.reference.ref.on_update
            if action == "cascade" and each.new is not ABSENT and each.new is not None:
                renames.append(([replace(one, back=back) for one in referring], each.new))
                # What changes with a key may be a key itself, which others refer to.
                further += [
                    _Move(each.index, reference, child.id, each.old, each.new)
                    for reference in keyed(each.reference.entry)
                    if reference.field == ".".join(each.reference.place.steps)
                    for child in referring
                ]
            elif action != "no_action" and referring:
                target = each.reference.target.collection
                found[each.index].append(refused_change(target, each.id, each.reference.field, referring))
        moved = further
    # After all of them were looked at: in a user's transaction, what was renamed before a refusal would stay so.
    if not look and not any(found):
        for referring, new in renames:
            await rename(protocol, guard.store, referring, new, session=session)
    return found


@dataclass(frozen=True)
class _Move:
    """A key that has changed, as one reference goes by it.

    Args:
        index: Of the change that it came with.
        reference: The reference.
        id: The ``_id`` of the document whose key it is.
        old: The key as it was.
        new: As it is.
    """

    index: int
    reference: Reference
    id: Any
    old: Any
    new: Any


async def _sealed(protocol: Protocol, store: Store, moved: Sequence[_Move], session: Any) -> None:
    """Conflict with whoever pins one of the old keys, and have them swept where somebody may not have pinned."""
    for target in {each.reference.target.name: each.reference.target for each in moved}.values():
        await _only_pins(protocol, store, target.collection)
        of = (Key(target.collection, each.reference.field, each.old) for each in moved
              if each.reference.target is target)  # fmt: skip
        keys = list({each.at: each for each in of}.values())
        await protocol.seal(store, keys, session)
        # What may keep an old key is no stray, and the sweep knows fields only.
        kept = {each.field for each in target.referrers if each.ref.on_update == "no_action"}
        swept = [each for each in keys if each.field not in kept]
        if swept and protocol.notices.recent(target.collection):
            await condemned.remember(store, protocol.timing, target.collection, swept, session)


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
