"""Condemnations: what a deleter says, for every writer to see, before it looks for references.

A condemnation is two things. A *record* in `integrity.condemned` holds what is needed to finish or to undo it: the
documents, their keys, the state, the lease. A *flag*, the field `FLAG` on the document itself, is what a writer sees
by the same read that tells it whether the document exists. The flag is there only while a delete is under way. Where
a validator refuses the field, there is the record alone, and `notices` makes writers look at it.

The states of a record::

    condemned   the deleter looks for references; to be undone when the lease is over
    acting      it was decided, and not in one transaction: to be finished when the lease is over
    gone        it was done; remembered for the grace, then swept

The record is there before the first flag and until after the last one, so that no flag is without a record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from pymongo.errors import WriteError

from integrity.declare import reserved
from integrity.declare.registry import Entry
from integrity.errors import DOCUMENT_VALIDATION_FAILURE
from integrity.store.lookup import pieces, width
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable
from integrity.writes.references.keys import Key, fields
from integrity.writes.references.notices import Notices
from integrity.writes.references.timing import Timing

COLLECTION = "integrity.condemned"
#: The path that its index is on.
INDEXED = "keys.n"
FLAG = reserved.CONDEMNED

CONDEMNED, ACTING, GONE = "condemned", "acting", "gone"
LIVE = (CONDEMNED, ACTING)

#: When the grace is over, by which deletions of one key are older or younger. Unlike ``until``, which whoever sweeps
#: takes a lease by, it stays: two that sweep at the same time would otherwise each leave the strays to the other.
OVER = "over"

#: Errors of a document that cannot bear the flag: a validator refuses it, or it is as large as a document may be.
_NO_ROOM = frozenset({DOCUMENT_VALIDATION_FAILURE, 10334, 17419})

#: Documents in one record, and bytes of their ``_id``s, which stand in it up to three times: below 16 MB.
CHUNK, _BYTES = 1000, 4_000_000


class Busy(Exception):
    """Another deletion has condemned one of the documents.

    Args:
        by: Its token, when known.
        until: The lease on its flag, where it was the flag that was met.
    """

    def __init__(self, by: Any = None, until: dt.datetime | None = None) -> None:
        super().__init__(by, until)
        self.by = by
        self.until = until


class Fenced(Exception):
    """The lease was over, and another process has taken the condemnation over."""


@dataclass
class Condemnation:
    """One deletion's condemnation.

    Args:
        token: Its name.
        collection: The collection of what was asked to be deleted.
        timing: Lease and grace.
        owner: Names this process's hold on it.
        documents: The condemned documents' ``_id``s by collection, by equality key.
        records: How many records it has.
        keys: The names of the condemned keys.
        beside: The collections whose documents do not bear the flag.
    """

    token: ObjectId
    collection: str
    timing: Timing
    owner: ObjectId
    documents: dict[str, dict[Any, Any]] = field(default_factory=dict)
    records: int = 0
    keys: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)

    async def extend(
        self,
        store: Store,
        notices: Notices,
        documents: Mapping[str, Mapping[Any, Any]],
        keys: Sequence[Key],
        roots: Sequence[Any] = (),
    ) -> None:
        """Condemn documents.

        Args:
            store: The database.
            notices: The notices, for collections whose documents cannot bear the flag.
            documents: The ``_id``s by collection.
            keys: The keys that those documents are referred to by.
            roots: What was asked to be deleted, among them.

        Raises:
            Busy: One of them is condemned by another deletion.
        """
        majority = durable(store)
        await majority.insert_many(COLLECTION, list(self._records(documents, keys, [each.id for each in roots])))
        self.keys.update(each.name for each in keys)
        for collection, ids in documents.items():
            self.documents.setdefault(collection, {}).update(ids)
        for collection, ids in documents.items():
            await self._flag(store, notices, collection, list(ids.values()))
        if self.beside:
            names = [each.name for each in keys if each.collection in self.beside]
            for start in range(0, len(names), CHUNK):
                # Looked for after the own record was written: of two, at least one sees the other.
                piece = {"$in": names[start : start + CHUNK]}
                other = await store.find_one(
                    COLLECTION, {"keys.n": piece, "op": {"$ne": self.token}, "state": {"$in": LIVE}}
                )
                if other is not None:
                    raise Busy(other["op"])

    def _records(
        self, documents: Mapping[str, Mapping[Any, Any]], keys: Sequence[Key], roots: Sequence[Any]
    ) -> Iterable[Document]:
        pairs = [(collection, each) for collection, ids in documents.items() for each in ids.values()]
        until = self.timing.until(self.timing.lease)
        step = width([*(each for _, each in pairs), *(each.value for each in keys)], CHUNK, _BYTES)
        for start in range(0, max(len(pairs), len(keys), len(roots), 1), step):
            piece: dict[str, list[Any]] = {}
            for collection, each in pairs[start : start + step]:
                piece.setdefault(collection, []).append(each)
            yield {
                "_id": self.token if self.records == 0 else self.timing.token(),
                "op": self.token,
                "owner": self.owner,
                "state": CONDEMNED,
                "until": until,
                "collection": self.collection,
                "roots": list(roots[start : start + step]),
                "documents": [{"c": collection, "ids": ids} for collection, ids in piece.items()],
                "keys": [
                    {"n": each.name, "c": each.collection, "f": each.field, "v": each.value}
                    for each in keys[start : start + step]
                ],
            }
            self.records += 1

    async def _flag(self, store: Store, notices: Notices, collection: str, ids: list[Any]) -> None:
        flag = {FLAG: {"by": self.token, "until": self.timing.until(self.timing.lease)}}
        majority = durable(store)
        for some in pieces(ids, CHUNK):
            piece = {"$in": some}
            try:
                result = await majority.update_many(
                    collection, {"_id": piece, FLAG: {"$exists": False}}, {"$set": flag}
                )
            except WriteError as error:
                if error.code not in _NO_ROOM:
                    raise
                self.beside.add(collection)
                await notices.post(store, collection)
                return
            if result.matched_count < len(some):
                other = await store.find_one(
                    collection, {"_id": piece, FLAG: {"$exists": True}, f"{FLAG}.by": {"$ne": self.token}}
                )
                if other is not None:  # otherwise it is no longer there, and needs no flag
                    raise Busy(other[FLAG]["by"], other[FLAG]["until"])

    async def renew(self, store: Store, state: str, session: Any = None) -> None:
        """Go on holding it for another lease, or for the grace when it is done.

        Args:
            store: The database.
            state: What the records' state is from now on.
            session: A transaction that this is to be part of.

        Raises:
            Fenced: It is no longer this process's.
        """
        until = self.timing.until(self.timing.grace if state == GONE else self.timing.lease)
        target = durable(store) if session is None else store
        options = {} if session is None else {"session": session}
        result = await target.update_many(
            COLLECTION,
            # The owner is the fence: who takes an expired record over writes another one.
            {"op": self.token, "owner": self.owner, "state": {"$in": LIVE}},
            {"$set": {"state": state, "until": until, **({OVER: until} if state == GONE else {})}},
            **options,
        )
        if result.matched_count != self.records:
            raise Fenced

    def mark(self, entry: Entry) -> dict[str, Any]:
        """Return the condition that a condemned document of a model still bears the flag."""
        return {} if entry.collection in self.beside or not fields(entry) else {f"{FLAG}.by": self.token}

    async def lift(self, store: Store, session: Any = None) -> None:
        """Take the flags off what is still there, in a transaction where there is one."""
        await unflag(store, self.token, {name: list(ids.values()) for name, ids in self.documents.items()}, session)

    def beyond(self, documents: Mapping[str, Mapping[Any, Any]]) -> bool:
        """Whether more is condemned than some documents: their ``_id``s by collection and equality key."""
        return any(not ids.keys() <= documents.get(name, {}).keys() for name, ids in self.documents.items())

    async def release(self, store: Store, *, answered: bool = True) -> None:
        """Undo it: nothing is condemned any more, and nothing is remembered.

        Args:
            store: The database.
            answered: Whether every command was answered. One that was not may set flags after they are taken off here:
                the record then stays for its lease, and recovery takes them off once more.
        """
        await self.lift(store)
        if not answered:
            return
        # After the flags: a record tells recovery where flags may be. One that says "gone" stays: who was interrupted
        # at a commit does not know whether it was one, and what is gone must be swept.
        await durable(store).delete_many(COLLECTION, {"op": self.token, "owner": self.owner, "state": {"$in": LIVE}})


async def remember(store: Store, timing: Timing, collection: str, keys: Sequence[Key], session: Any) -> None:
    """Remember keys that go away in a transaction, as after a delete that was condemned: for the sweep.

    Args:
        store: The database.
        timing: The grace.
        collection: The collection of what was asked to be deleted, or whose key changed.
        keys: The keys.
        session: The session of the transaction.
    """
    condemnation = Condemnation(timing.token(), collection, timing, timing.token())
    until = timing.until(timing.grace)
    for record in list(condemnation._records({}, keys, ())):  # noqa: SLF001 - this file's own
        await store.insert_one(COLLECTION, {**record, "state": GONE, "until": until, OVER: until}, session=session)


async def unflag(store: Store, token: Any, documents: Mapping[str, Sequence[Any]], session: Any = None) -> None:
    """Take a deletion's flags off its documents."""
    target = durable(store) if session is None else store
    options = {} if session is None else {"session": session}
    for collection, ids in documents.items():
        for some in pieces(ids, CHUNK):
            await target.update_many(
                collection,
                {"_id": {"$in": some}, f"{FLAG}.by": token},
                {"$unset": {FLAG: ""}},
                **options,
            )


async def beside(store: Store, names: Sequence[str], session: Any = None) -> dict[str, Document]:
    """Return the records under which keys are condemned now, by the keys' names."""
    options = {} if session is None else {"session": session}
    found: dict[str, Document] = {}
    for start in range(0, len(names), CHUNK):
        piece = set(names[start : start + CHUNK])
        batches = store.find(
            COLLECTION,
            {"keys.n": {"$in": list(piece)}, "state": {"$in": LIVE}},
            projection={"op": 1, "until": 1, "keys.n": 1},
            **options,
        )
        while batch := await batches.next():
            for record in batch:
                found.update({each["n"]: record for each in record["keys"] if each["n"] in piece})
    return found


async def create(store: Store) -> None:
    """Create the index by which a key's records are found."""
    await durable(store).call(COLLECTION, "create_index", INDEXED)


def expired(until: dt.datetime | None, timing: Timing) -> bool:
    """Whether a lease, or a grace, is over."""
    return until is None or until.replace(tzinfo=None) <= timing.now()
