"""Undoing a run: each document gets the bytes back that it had, if it is still as the run left it.

The last change is undone first. It does not matter how far the run came, nor how far an earlier undoing did: the
document's bytes say whether a change was made, and whether it was undone already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import OperationFailure

from integrity.declare.registry import Registry
from integrity.errors import IntegrityError, RepairError
from integrity.repair.journal import Entry, Journal
from integrity.repair.record import collection_of
from integrity.repair.swap import REKEYED, refused
from integrity.repair.verbatim import as_it_is
from integrity.rules.judge import Judge
from integrity.store.codecs import raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Store
from integrity.writes.change import Change
from integrity.writes.guard import EVERYBODY, Guard
from integrity.writes.references import protocol
from integrity.writes.transaction import transact
from integrity.writes.unique import Indexes

BACK, ALREADY, SKIPPED = "back", "already", "skipped"

_CHANGED = "it was changed since"
_RELEASED = "it was mended in quarantine since, or released from there"

#: Called with each entry, what became of it (`BACK`, `ALREADY`, `SKIPPED`) and why.
Tell = Callable[[Entry, str, str], None]

#: Called with the seconds that are waited at most.
Waits = Callable[[float], None]

#: Seconds after which it is looked again whether a change is under way.
_POLL = 0.2


@dataclass
class Undone:
    """An undoing in sum.

    Args:
        run: The run's name.
        back: How many documents have their bytes back.
        already: How many had them: their change was never made, or undone before.
        skipped: How many do not get them, by reason.
    """

    run: str
    back: int = 0
    already: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        return {
            "run": self.run,
            "back": self.back,
            "already": self.already,
            "skipped": sum(self.skipped.values()),
            "reasons": dict(self.skipped),
        }


async def undo(
    store: Store,
    registry: Registry,
    journal: Journal,
    run: str,
    *,
    past_validators: bool = False,
    tell: Tell | None = None,
    waits: Waits | None = None,
) -> Undone:
    """Bring the bytes back that the documents of a run had before.

    A run that is still at work is stopped first: it makes no further change, and ends with an error that says so.

    Args:
        store: The database.
        registry: The declarations: what refers to a key that goes back is looked at.
        journal: The journal that the run was written down in.
        run: The run's name.
        past_validators: Whether to write what the server's validators refuse.
        tell: Called with what became of each change.
        waits: Called once where a change of the run may still be under way, before that is waited for.

    Raises:
        RepairError: The journal knows no such run, or it is another database's, or was undone, or its journal is a
            file and it is still at work.
    """
    known = {each.name: each for each in await journal.runs()}
    if run not in known:
        some = ", ".join(sorted(known, reverse=True)[:5]) or "none"
        raise RepairError(f"The journal knows no run {run!r}; it knows {some}.")
    if known[run].database not in {"", store.name}:
        # A copy of the database may hold the same documents, and would be changed without a word.
        of = f"of the database {known[run].database!r}, and not of {store.name!r}"
        raise RepairError(f"The run {run} is {of}: name its database, and nothing was changed.")
    if known[run].undone:
        # What was changed since is the application's, also where it looks like what the repair had made.
        raise RepairError(f"The run {run} was undone already; nothing was changed.")
    if not known[run].ended:
        await _stopped(store, journal, run, waits)
    found = Undone(run)
    back = _Back(store, registry, past_validators=past_validators)
    async for changes in _changes(journal.entries(run)):
        undone = []
        for change in changes:
            what, reason = await back.put(*change)
            many = len(change)
            if what == BACK:
                found.back += many
                undone += [each.n for each in change]
            elif what == ALREADY:
                found.already += many
            else:
                found.skipped[reason] += many
            if tell is not None:
                for entry in change:
                    tell(entry, what, reason)
        if undone:
            await journal.back(run, undone)
    await journal.mark(run, {"undone": not found.skipped})
    return found


async def _stopped(store: Store, journal: Journal, run: str, waits: Waits | None) -> None:
    """Return when a run makes no change any more, and none is under way."""
    await journal.stop(run)
    while left := await journal.under_way(run):
        if waits is not None:
            waits(left)
            waits = None
        await store.sleep(min(left, _POLL))


async def _changes(pages: AsyncIterator[list[Entry]]) -> AsyncIterator[list[tuple[Entry, ...]]]:
    """Yield the changes of a journal, some at a time: an entry, or a document that was set aside and its record."""
    left: list[Entry] = []
    async for page in pages:
        entries = [*left, *page]
        left, found, at = [], [], 0
        while at < len(entries):
            if at + 1 == len(entries) and entries[at].after is None:
                left = entries[at:]  # its record may be the next page's first
                break
            paired = _aside(*entries[at : at + 2]) if at + 1 < len(entries) else False
            found.append(tuple(entries[at : at + 2] if paired else entries[at : at + 1]))
            at += len(found[-1])
        yield found
    if left:
        yield [(each,) for each in left]


def _aside(document: Entry, record: Entry) -> bool:
    """Whether a document was set aside, and the other is its record."""
    return document.after is None and record.before is None and record.collection == collection_of(document.collection)


class _Back:
    def __init__(self, store: Store, registry: Registry, *, past_validators: bool) -> None:
        self._store = store
        self._bytes = store.for_bytes()
        self._entries = {each.collection: each for each in registry}
        self._registry = registry
        self._references = protocol("auto", registry)
        self._options = {"bypass_document_validation": True} if past_validators else {}

    async def put(self, entry: Entry, record: Entry | None = None) -> tuple[str, str]:
        """Undo one change; return what became of it, and why.

        Args:
            entry: The change of a document.
            record: That of its record in quarantine, if it was set aside: it comes back from there, or not at all.
        """
        transactional = await self._references.transactional(self._store)
        guard = self._guard(entry.collection)
        if transactional and guard is not None and self._references.keyed(guard):
            await self._references.prepare(self._store)

        async def body(session: Any) -> tuple[str, str]:
            options = {} if session is None else {"session": session}
            current = await self._current(entry, options)
            kept = None if record is None else await self._current(record, options)
            if current == entry.before and kept is None:
                return ALREADY, ""
            if record is not None and not record.is_after(kept):
                return SKIPPED, _RELEASED
            if current != entry.before:
                if not entry.is_after(current):
                    return SKIPPED, _CHANGED
                if reason := await self._rekeyed(guard, current, entry.before, session):
                    return SKIPPED, reason
                if not await self._write(entry, current, options):
                    return SKIPPED, _CHANGED
            if record is not None and not await self._write(record, kept, options):
                return SKIPPED, _RELEASED
            return BACK, ""

        try:
            return await (transact(self._store, body) if transactional else body(None))
        except (IntegrityError, OperationFailure) as error:
            return SKIPPED, refused(error)

    async def _rekeyed(self, guard: Guard | None, current: bytes | None, before: bytes | None, session: Any) -> str:
        """Do what references say of keys that go; return why one may not go."""
        if guard is None or current is None or before is None:
            return ""
        change = Change(decoded(current), decoded(before))
        if session is None:
            return REKEYED if self._references.moves(guard, change) else ""
        refused = any(await self._references.rekeyed(guard, [change], session))
        return "other documents refer to the value that would go" if refused else ""

    async def _current(self, entry: Entry, options: dict[str, Any]) -> bytes | None:
        stored: Any = await self._bytes.find_one(entry.collection, {"_id": {"$eq": entry.id}}, **options)
        return None if stored is None else bytes(stored.raw)

    async def _write(self, entry: Entry, current: bytes | None, options: dict[str, Any]) -> bool:
        before: Any = None if entry.before is None else raw_document(entry.before)
        if current is None:
            await self._bytes.insert_one(entry.collection, before, **self._options, **options)
            return True
        as_left = {"_id": entry.id, **as_it_is(current)}
        if before is None:
            return bool((await self._store.delete_one(entry.collection, as_left, **options)).deleted_count)
        done = await self._store.replace_one(entry.collection, as_left, before, **self._options, **options)
        return bool(done.matched_count)

    def _guard(self, collection: str) -> Guard | None:
        entry = self._entries.get(collection)
        if entry is None:
            return None
        return Guard(self._store, self._registry, entry, Judge(entry), EVERYBODY, self._references, Indexes("trust"))
