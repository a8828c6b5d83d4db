"""Recovery: what processes that died have left, finished or undone; what is remembered, swept and forgotten.

A record whose lease is over is taken over by writing another owner into it, which fences the process that had it. One
that was only condemned is undone, one that was decided is finished. A deletion whose grace is over is swept: a child
that was inserted by a process that died before it looked again would be an orphan, and is treated as its reference
says.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from integrity.declare.equality import key
from integrity.declare.registry import Entry
from integrity.errors import RestrictedDelete
from integrity.store.lookup import look_up
from integrity.store.port import Document, Store
from integrity.violation import IDENTITY, extended_json, quote
from integrity.writes.references.carry_out import detach
from integrity.writes.references.condemned import (
    ACTING,
    COLLECTION,
    CONDEMNED,
    FLAG,
    GONE,
    LIVE,
    OVER,
    Condemnation,
    Fenced,
    expired,
    unflag,
)
from integrity.writes.references.deleting import Wish, delete, in_batches
from integrity.writes.references.durable import durable
from integrity.writes.references.keys import fields, protected
from integrity.writes.references.plan import Child, among, children, naming

if TYPE_CHECKING:
    from integrity.writes.references.protocol import Protocol

#: How many deletions are recovered by the way, before a delete.
BY_THE_WAY = 3


@dataclass
class Recovered:
    """What a recovery did.

    Args:
        undone: Deletions that had not been decided, or that the server refused to finish, and are undone.
        finished: Deletions that had been decided, and are finished.
        forgotten: Deletions whose grace is over.
        strays: Documents that were never acknowledged and would have been orphans, with their collection: deleted,
            or their reference set to null.
        kept: Such documents that could not be deleted, because others refer to them.
        unknown: Collections with records of models that are not among the given ones; their records are left.
        waiting: Deletions that are under way, or in their grace.
    """

    undone: int = 0
    finished: int = 0
    forgotten: int = 0
    strays: list[tuple[str, Any]] = field(default_factory=list)
    kept: list[tuple[str, Any]] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    waiting: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        named = {
            name: [{"collection": collection, "id": extended_json(each)} for collection, each in found]
            for name, found in (("strays", self.strays), ("kept", self.kept))
        }
        return {
            "undone": self.undone,
            "finished": self.finished,
            "forgotten": self.forgotten,
            **named,
            "unknown": sorted(self.unknown),
            "waiting": self.waiting,
        }

    def __str__(self) -> str:
        done = f"finished {self.finished}, undone {self.undone}, forgotten {self.forgotten}"
        lines = [f"{done}, under way or in their grace {self.waiting} deletes."]
        lines += [
            f"stray: {collection} {quote(each, IDENTITY)} was never acknowledged, and referred to what was deleted"
            for collection, each in self.strays
        ]
        lines += [
            f"left: {collection} {quote(each, IDENTITY)} refers to what was deleted, and others refer to it"
            for collection, each in self.kept
        ]
        return "\n".join(lines)


async def recover(
    protocol: Protocol, store: Store, *, limit: int | None = None, progress: Callable[[str], None] | None = None
) -> Recovered:
    """Take over every deletion whose lease, or grace, is over.

    Args:
        protocol: The protocol; its registry knows the models.
        store: The database.
        limit: How many deletions at most.
        progress: Called with a line about each.
    """
    done = Recovered()
    wanted = {"until": {"$lte": protocol.timing.now()}}
    options = {} if limit is None else {"limit": limit}
    batches = store.find(COLLECTION, wanted, projection={"op": 1}, sort=[("until", 1)], **options)
    tokens: dict[Any, None] = {}
    while batch := await batches.next():
        tokens.update((each["op"], None) for each in batch)
    for token in tokens:
        before = (done.undone, done.finished, done.forgotten)
        await one(protocol, store, token, done)
        if progress is not None:
            after = (done.undone, done.finished, done.forgotten)
            words = [word for word, old, new in zip(("undone", "finished", "forgotten"), before, after, strict=True)
                     if new > old]  # fmt: skip
            progress(f"{token}: {words[0] if words else 'left'}")
    if limit is None:
        # Read, and not asked for by `distinct`: the Stable API has none.
        batches, waiting = store.find(COLLECTION, {}, projection={"op": 1}), set[Any]()
        while batch := await batches.next():
            waiting.update(each["op"] for each in batch)
        done.waiting = len(waiting)
    return done


async def one(
    protocol: Protocol, store: Store, token: Any, done: Recovered | None = None, *, flagged: dt.datetime | None = None
) -> None:
    """Take over one deletion, if its lease or grace is over.

    Args:
        protocol: The protocol.
        store: The database.
        token: The deletion's.
        done: Where what was done is noted.
        flagged: The lease on a flag of it that was met.
    """
    done = Recovered() if done is None else done
    timing = protocol.timing
    records = await _records(store, token)
    if not records:
        if flagged is not None and expired(flagged, timing):
            await _unrecorded(protocol, store, token)
        return
    head = next((each for each in records if each["_id"] == token), None)
    if head is None or not all(expired(each["until"], timing) for each in records):
        return
    owner = timing.token()
    claimed = await durable(store).update_one(
        COLLECTION,
        # One document decides who has it; the process that had it is fenced from here on.
        {"_id": token, "owner": head["owner"], "until": head["until"], "state": head["state"]},
        {"$set": {"owner": owner, "until": timing.until(timing.lease)}},
    )
    if not claimed.matched_count:
        return
    await durable(store).update_many(
        COLLECTION,
        {"op": token},
        {"$set": {"owner": owner, "until": timing.until(timing.lease)}},
    )
    states = {each["state"] for each in records}
    try:
        if states == {GONE}:
            await _sweep(protocol, store, token, records, head[OVER], done)
        elif CONDEMNED in states:
            # Not decided: whoever decides writes every record before it acts.
            await unflag(store, token, _documents(records))
            await durable(store).delete_many(COLLECTION, {"op": token, "owner": owner})
            done.undone += 1
        else:
            await _finish(protocol, store, token, records, owner, done)
    except Fenced:
        return  # it took longer than the lease, and another process has it now


async def _unrecorded(protocol: Protocol, store: Store, token: Any) -> None:
    """Take a deletion's flags off that no record knows of, when their lease is over.

    A record is there before the first flag and until after the last one, so this deletion has ended: its flags came
    with a backup that has no records, or of a process that went on after it was taken over.
    """
    expired_by = {f"{FLAG}.by": token, f"{FLAG}.until": {"$lte": protocol.timing.now()}}
    for entry in protocol.registry:
        if fields(entry):
            await durable(store).update_many(entry.collection, expired_by, {"$unset": {FLAG: ""}})


async def _finish(
    protocol: Protocol, store: Store, token: Any, records: list[Document], owner: Any, done: Recovered
) -> None:
    entry = protocol.registry.by_collection(records[0]["collection"])
    if entry is None:
        done.unknown.add(records[0]["collection"])
        return
    condemnation = Condemnation(token, entry.collection, protocol.timing, owner, records=len(records))
    # By equality key, as the deleter had them.
    condemnation.documents = {name: {key(each): each for each in ids} for name, ids in _documents(records).items()}
    condemnation.beside = set(await protocol.notices.fresh(store))
    roots = [each for record in records for each in record.get("roots", ())]
    plan = await among(store, entry, roots, condemnation.mark(entry))
    # Every record says the same again, so that it is fenced as its owner's.
    await durable(store).update_many(COLLECTION, {"op": token, "owner": owner}, {"$set": {"state": ACTING}})
    try:
        await in_batches(protocol, store, condemnation, plan)
    except RestrictedDelete:
        done.undone += 1
    else:
        done.finished += 1


async def _sweep(
    protocol: Protocol, store: Store, token: Any, records: list[Document], over: Any, done: Recovered
) -> None:
    for record in records:
        by_field: dict[tuple[str, str], list[Document]] = {}
        for each in record["keys"]:
            by_field.setdefault((each["c"], each["f"]), []).append(each)
        for (collection, name), keys in by_field.items():
            entry = protocol.registry.by_collection(collection)
            if entry is None:
                done.unknown.add(collection)
                return
            if not await _sweep_keys(protocol, store, token, entry, name, keys, over, done):
                return
    await durable(store).delete_many(COLLECTION, {"op": token, "state": GONE})
    done.forgotten += 1


async def _sweep_keys(
    protocol: Protocol,
    store: Store,
    token: Any,
    entry: Entry,
    name: str,
    keys: list[Document],
    over: Any,
    done: Recovered,
) -> bool:
    values = {key(each["v"]): each for each in keys}
    found: list[Child] = []
    for reference in entry.referrers:
        if reference.field == name and protected(reference) and reference.ref.on_delete != "no_action":
            found += await children(store, reference, [each["v"] for each in values.values()])
    if not found:
        return True
    # After the children were found: a key that is there again may have had children, and they are not strays. The
    # other way round, both could come to be between the two looks.
    existing = await look_up(store, entry.collection, name, [each["v"] for each in values.values()])
    # After the look at existence: a key that was there again and is gone again has a younger record, whose own
    # grace covers whoever saw it.
    gone = {at: each["n"] for at, each in values.items() if at not in existing}
    younger = store.find(
        COLLECTION,
        {"keys.n": {"$in": list(gone.values())}, "op": {"$ne": token},
         "$or": [{"state": {"$in": LIVE}}, {OVER: {"$gt": over}}, {OVER: over, "op": {"$gt": token}}]},
    )  # fmt: skip
    covered: set[str] = set()
    while batch := await younger.next():
        covered.update(each["n"] for record in batch for each in record["keys"])
    strays = {at for at, each in gone.items() if each not in covered}
    return await _remove(protocol, store, found, strays, done)


async def _remove(protocol: Protocol, store: Store, found: list[Child], strays: set[Hashable], done: Recovered) -> bool:
    """Treat each stray as its reference says: none of them was ever acknowledged under what it refers to."""
    clean = True
    for child in found:
        if not any(key(value) in strays for _, value in child.spots):
            continue
        entry = child.reference.entry
        try:
            if child.reference.ref.on_delete == "set_null":
                await detach(protocol, durable(store), [child])
            else:
                still = {"$and": [{"_id": child.id}, naming(child.reference, [value for _, value in child.spots])]}
                # By the collection's own collation a child of another parent may match: "A" is "a" there.
                await delete(protocol, store, Wish(entry, still, many=True, options=store.exact))
        except RestrictedDelete:
            done.kept.append((entry.collection, child.id))
            clean = False
            continue
        done.strays.append((entry.collection, child.id))
    return clean


async def _records(store: Store, token: Any) -> list[Document]:
    batches = store.find(COLLECTION, {"op": token})
    records: list[Document] = []
    while batch := await batches.next():
        records += batch
    return records


def _documents(records: list[Document]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for record in records:
        for each in record["documents"]:
            found.setdefault(each["c"], []).extend(each["ids"])
    return found
