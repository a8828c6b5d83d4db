"""Swapping a document's bytes for others, if they are still the bytes that were judged: how every change is made.

On a replica set the look and the write are one transaction, so that a document, what it refers to and what refers to
it are judged as they are when it is written. On a standalone server a filter on the whole document stands for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.operations import ReplaceOne

from integrity.declare.equality import key
from integrity.errors import DOCUMENT_VALIDATION_FAILURE, DUPLICATE_KEY, IntegrityError
from integrity.repair.decide import Decision, persists, shown, worse, would_break
from integrity.repair.journal import LEASE, Journal, Stopped
from integrity.repair.record import Record
from integrity.repair.taken import taken
from integrity.repair.verbatim import as_it_is, but_condemned, decoded_id
from integrity.rules.remedy import FROM_OWNER
from integrity.store.codecs import raw_document
from integrity.store.port import Document, Store
from integrity.violation import Violation
from integrity.writes.change import Change
from integrity.writes.guard import Guard
from integrity.writes.references.deleting import Wish
from integrity.writes.references.keys import adds
from integrity.writes.references.plan import collect
from integrity.writes.references.work import Faults
from integrity.writes.transaction import UNKNOWN_COMMIT, transact

#: Judges documents as they are in a transaction; of its session, None for none.
Judged = Callable[[list[Document], Any], Awaitable[list[list[Violation]]]]

CHANGED = "it was changed, or deleted, since it was read"
_REFERRED = "other documents refer to it; see `integrity plan-delete`"
#: Between the look at who refers to it and the write, somebody could come to.
REKEYED = (
    "others refer to the value, or may by then: to change it needs a transaction, and this server has none; run it as "
    "a replica set (one member will do)"
)
GONE = "the violation is no longer there"
PERSISTS = "the violation would still be there"


@dataclass(frozen=True)
class Edit:
    """A document that gets other values.

    Args:
        decision: What is changed in it, and why.
        before: Its bytes as they were judged.
        after: Its bytes with the other values.
    """

    decision: Decision
    before: bytes
    after: bytes


class Swap:
    """Swaps documents of one collection.

    Args:
        guard: The model's guard.
        exact: PyMongo's options by which a filter compares strings exactly.
        journal: Is asked before every change whether the run may still make it; None where none is made.
    """

    def __init__(self, guard: Guard, exact: dict[str, Any], journal: Journal | None) -> None:
        self._guard = guard
        self._journal = journal
        self._store = guard.store
        self._bytes = guard.store.for_bytes()
        self._exact = exact

    async def edit(self, edits: Sequence[Edit], judged: Judged) -> list[str]:
        """Swap documents; return, for each, why not, or an empty text.

        All of them are one transaction; where one of them is refused by the server, each is its own. So is each that
        gets a value which no other document may have: two of them could become equal.
        """
        if len(edits) > 1 and (apart := [each for each in edits if self._unique(each)]):
            by_id = {id(each): reason for each in apart for reason in await self.edit([each], judged)}
            others = [each for each in edits if id(each) not in by_id]
            together = dict(zip(map(id, others), await self.edit(others, judged) if others else (), strict=True))
            return [(by_id | together)[id(each)] for each in edits]
        try:
            return await self._edit(edits, judged)
        except (IntegrityError, OperationFailure) as error:
            reason = refused(error)
            if len(edits) == 1:
                return [reason]
        return [reason for each in edits for reason in await self.edit([each], judged)]

    async def _edit(self, edits: Sequence[Edit], judged: Judged) -> list[str]:
        guard = self._guard
        transactional = await guard.references.transactional(self._store)

        async def act(_: Faults, session: Any, __: Store | None = None, /) -> list[str]:
            reasons = await self._looked_at(edits, judged, session)
            fit = [each for each, reason in zip(edits, reasons, strict=True) if not reason]
            if not fit:
                return reasons
            rekeyed = await self._rekeyed(fit, session)
            for edit, reason in zip(fit, rekeyed, strict=True):
                reasons[edits.index(edit)] = reason
            fit = [each for each, reason in zip(edits, reasons, strict=True) if not reason]
            if transactional and fit:
                await self._hold(session)
                await self._store.bulk_write(
                    guard.collection,
                    [ReplaceOne({"_id": each.decision.id}, raw_document(each.after)) for each in fit],
                    session=session,
                )
                return reasons
            made: Edit | None = None
            for each in fit:
                await self._held(made)
                made = each
                try:
                    done = await self.replace(each.decision.id, each.before, each.after, None)
                except OperationFailure as error:
                    # What was written before it stays written, and is not to be tried again.
                    reasons[edits.index(each)] = refused(error)
                else:
                    reasons[edits.index(each)] = "" if done else CHANGED
                    made = each if done else None
            await self._held(made, 0)
            return reasons

        referring = any(adds(guard.entry, each.decision.before, each.decision.after) for each in edits)
        copied = any(one.remedy is FROM_OWNER for each in edits for one in each.decision.mended)
        if referring or (copied and transactional):
            # A reference is made, or its owner copied: what it names is pinned, so that it is neither deleted nor given
            # another value at the same time.
            return await guard.references.store(guard, [each.decision.after for each in edits], act, None)
        if transactional:
            if guard.references.keyed(guard):
                await guard.references.prepare(self._store)
            return await transact(self._store, lambda session: act([()] * len(edits), session))
        return await act([()] * len(edits), None)

    async def _hold(self, session: Any = None, seconds: float = LEASE) -> None:
        if self._journal is not None:
            await self._journal.hold(session, seconds)

    async def _held(self, made: Edit | None, seconds: float = LEASE) -> None:
        """Ask, without a transaction, whether the run may go on; take back what was made since it was asked last."""
        try:
            await self._hold(None, seconds)
        except Stopped:
            if made is not None:
                await self.replace(made.decision.id, made.after, made.before, None)
            raise

    async def _looked_at(self, edits: Sequence[Edit], judged: Judged, session: Any) -> list[str]:
        """Look at the documents again, in the transaction that writes them: is what was decided still right?"""
        current = await self.read([each.decision.id for each in edits], session)
        documents = [each.decision.before for each in edits] + [each.decision.after for each in edits]
        found = await judged(documents, session)
        reasons = []
        for edit, before, after in zip(edits, found, found[len(edits) :], strict=False):
            unchanged = current.get(key(edit.decision.id)) == edit.before
            reason = _verdict(edit, before, after) if unchanged else CHANGED
            reasons.append(reason or await self._taken(edit, session))
        return reasons

    def _unique(self, edit: Edit) -> bool:
        """Whether a value that is declared unique changes."""
        return any(place.steps[0] in _changed(edit) for each in self._guard.entry.uniques for place in each.places)

    async def _taken(self, edit: Edit, session: Any) -> str:
        """Return why a value may not become what it would: another document has it, and it is declared unique."""
        entry, after = self._guard.entry, edit.decision.after
        unique = await taken(self._store, entry, after, self._exact, session, fields=_changed(edit))
        return "" if unique is None else f"another document has the value, and {unique.path} is declared unique"

    async def _rekeyed(self, edits: Sequence[Edit], session: Any) -> list[str]:
        """Do what references say of keys that change; return why one may not change."""
        changes = [Change(each.decision.before, each.decision.after) for each in edits]
        moved = [self._guard.references.moves(self._guard, each) for each in changes]
        if not any(moved):
            return [""] * len(edits)
        if session is None:
            return [REKEYED if each else "" for each in moved]
        found = await self._guard.references.rekeyed(self._guard, changes, session)
        return ["other documents refer to the value (on_update restrict)" if each else "" for each in found]

    async def read(self, ids: Sequence[Any], session: Any) -> dict[Any, bytes]:
        """Return the bytes of documents, by the equality key of their ``_id``."""
        options = {} if session is None else {"session": session}
        batches = self._bytes.find(self._guard.collection, {"_id": {"$in": list(ids)}}, **self._exact, **options)
        found: dict[Any, bytes] = {}
        while batch := await batches.next(100):
            for each in batch:
                found[key(decoded_id(each))] = each.raw  # type: ignore[attr-defined]  # a RawBSONDocument
        return found

    async def replace(self, id: Any, before: bytes, after: bytes, session: Any) -> bool:
        """Put other bytes in the place of a document's, if they are still the given ones."""
        options = {} if session is None else {"session": session}
        done = await self._store.replace_one(
            self._guard.collection,
            {"_id": id, **as_it_is(before)},
            raw_document(after),  # type: ignore[arg-type]  # a document too
            **self._exact,
            **options,
        )
        return bool(done.matched_count)

    async def referred(self, id: Any) -> str:
        """Return why a document is not to be deleted: what refers to it; an empty text when nothing does."""
        plan = await collect(self._store, self._guard.entry, {"_id": id})
        return _REFERRED if plan.size > 1 or plan.restricted or plan.left else ""

    async def away(self, id: Any, before: bytes, record: Record | None, still: Callable[[Any], Any]) -> str:
        """Delete a document, if nothing refers to it; return why not, or an empty text.

        Args:
            id: Its ``_id``.
            before: Its bytes as they were judged.
            record: Its record in quarantine, to be written in the same transaction; None for none.
            still: Asked in the transaction why it is to stay after all.
        """
        guard = self._guard
        transactional = await self.transactional()
        if guard.references.guards(guard):
            await guard.references.prepare(self._store)

        async def body(session: Any) -> str:
            options = {} if session is None else {"session": session}
            current = await self.read([id], session)
            if current.get(key(id)) != before:
                return CHANGED
            if reason := await still(session):
                return str(reason)
            # Without a transaction, a guarded delete may wait for another one as long as its patience lasts.
            waits = guard.references.timing.patience if guard.references.guards(guard) else 0
            await self._hold(session, waits + LEASE)
            exactly = {"_id": id, **as_it_is(before)}
            plan = await collect(self._store, guard.entry, {"_id": id}, **options)
            if plan.size > 1 or plan.restricted or plan.left:
                return _REFERRED
            # Before the document goes: on a server without transactions it is then in both places, never in none.
            if record is not None and not await record.write(self._bytes, options):
                return CHANGED
            if not guard.references.guards(guard):
                done = await self._store.delete_one(guard.collection, exactly, **self._exact, **options)
                count = done.deleted_count
            else:
                wanted = {"_id": id} if transactional else {"_id": id, **but_condemned(before)}
                wish = Wish(guard.entry, wanted, many=False, options=self._exact)
                count = (await guard.references.delete(guard, wish, session)).count
            if not count:
                await self._withdraw(record, options)
                return CHANGED
            if session is None:
                await self._stands(before, record)
            return ""

        try:
            return await (transact(self._store, body) if transactional else body(None))
        except (IntegrityError, OperationFailure) as error:
            reason = refused(error)
            if not transactional:
                # A delete in stages that has begun is finished by another process: it is not refused then.
                if not isinstance(error, IntegrityError) and (await self.read([id], None)).get(key(id)) != before:
                    raise
                await self._withdraw(record, {})
            return reason

    async def _withdraw(self, record: Record | None, options: dict[str, Any]) -> None:
        if record is not None:
            await record.withdraw(self._bytes, options)

    async def _stands(self, before: bytes, record: Record | None) -> None:
        """Ask, without a transaction, whether the run may go on; bring back what it has just taken away."""
        try:
            await self._hold(None, 0)
        except Stopped:
            await self.put_back(before, record)
            raise

    async def transactional(self) -> bool:
        """Whether the server has transactions."""
        return await self._guard.references.transactional(self._store)

    async def put_back(self, before: bytes, record: Record | None) -> bool:
        """Bring a document back that `away` has taken, on a server without transactions.

        Returns:
            Whether it is back; not where another has one of its unique values by now, or its ``_id``.
        """
        try:
            await self._bytes.insert_one(self._guard.collection, raw_document(before))  # type: ignore[arg-type]
        except DuplicateKeyError:
            return False
        # After the document is back, and never before: it is in both places then, and never in none.
        if record is not None:
            await record.remove(self._bytes, {})
        return True


def _changed(edit: Edit) -> set[str]:
    """Return the fields that change, by the first step of their path."""
    return {each.path.split(".")[0] for each in edit.decision.mended}


def _verdict(edit: Edit, before: list[Violation], after: list[Violation]) -> str:
    wrong = {(each.code, each.path) for each in before}
    # What follows a mended reference was not judged before.
    known = edit.decision.violations
    if any(
        (each.violation.code, each.violation.path) not in wrong
        for each in edit.decision.mended
        if each.violation in known
    ):
        return GONE
    if persists(edit.decision.mended, before, after):
        return PERSISTS
    # What other documents say may have changed meanwhile.
    if len(found := shown(edit.decision.mended, before, after)) > len(edit.decision.shown):
        return would_break(found[-1])
    return worse(before, after) or ""


#: "not authorized", https://www.mongodb.com/docs/manual/reference/error-codes/
UNAUTHORIZED = 13


def refused(error: Exception) -> str:
    """Return why a write was refused: it was not made, for certain.

    Raises:
        Exception: The one given, where it is no refusal of this write but the end of all, or where the write may have
            been made.
    """
    if isinstance(error, WriteConcernError | Stopped) or (
        isinstance(error, PyMongoError) and error.has_error_label(UNKNOWN_COMMIT)
    ):
        raise error
    codes = {getattr(error, "code", None)}
    if isinstance(error, BulkWriteError):
        codes |= {each.get("code") for each in (error.details or {}).get("writeErrors", [])}
    if UNAUTHORIZED in codes or isinstance(error, AutoReconnect):
        raise error
    if isinstance(error, DuplicateKeyError) or DUPLICATE_KEY in codes:
        return "another document has the value, and the index is unique"
    if DOCUMENT_VALIDATION_FAILURE in codes and not isinstance(error, IntegrityError):
        return "the collection's validator refuses the document with what else is wrong with it"
    text = " ".join(str(error).split())
    return text.split(", full error")[0]
