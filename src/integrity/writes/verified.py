"""Updates that the declarations do not prove: made in a transaction, judged by what they leave, taken back if need be.

In a transaction of its own a refused update is aborted. In a transaction of the caller, which goes on, what it
changed is put back byte for byte: the caller may catch the error and commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymongo.results import UpdateResult

from integrity.declare import equality
from integrity.store.forgiving import decoded
from integrity.store.port import Batches, Document, Filter, Store
from integrity.writes.change import Change
from integrity.writes.exactly import exactly
from integrity.writes.guard import sendable
from integrity.writes.post_image import judged
from integrity.writes.refusal import refusal
from integrity.writes.staging import tolerate
from integrity.writes.transaction import joins

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: Documents in one transaction of an ``update_many``.
BATCH = 500

#: Options that choose documents, and those that a read of them does not know.
_CHOOSING = ("collation", "hint", "let", "comment")

#: Makes the update: given the filter that names the document and the session.
Act = Callable[[Filter, Any], Awaitable[UpdateResult]]


@dataclass(frozen=True)
class Returning:
    """The document that a ``find_one_and_update`` returns.

    Args:
        after: As the update leaves it, or as it was before.
        options: PyMongo's ``projection``, if any.
        as_model: Whether it is to be made an instance of the model.
    """

    after: bool
    options: Mapping[str, Any]
    as_model: bool = False

    def store(self, guard: Guard) -> Store:
        """Return the store that decodes it."""
        return guard.store.for_models() if self.as_model else guard.store.for_results()

    async def read(self, guard: Guard, id: Any, session: Any) -> Document | None:
        """Return it."""
        options = sendable(session, **self.options)
        return await self.store(guard).find_one(guard.collection, {"_id": id}, **options)


@dataclass(frozen=True)
class Aim:
    """What is to be updated, and how.

    Args:
        filter: PyMongo's filter.
        options: PyMongo's options: ``sort``, ``collation``, ``hint``, ``let``, ``comment``, ``array_filters``.
        upsert: Whether it inserts where nothing matches.
        why: What is not proved, for the text of `TransactionRequired`.
    """

    filter: Filter
    options: Mapping[str, Any]
    upsert: bool = False
    why: str = ""

    @property
    def collation(self) -> Any:
        """The collation, if it has one."""
        return self.options.get("collation")

    def choosing(self, *, sorted_too: bool = False) -> dict[str, Any]:
        """The options that choose documents, as ``find`` takes them."""
        found = {name: self.options[name] for name in _CHOOSING if self.options.get(name) is not None}
        if self.options.get("maxTimeMS") is not None:  # the driver's words for it differ
            found["max_time_ms"] = self.options["maxTimeMS"]
        sort = self.options.get("sort")
        if sorted_too and sort is not None:
            found["sort"] = list(sort.items()) if isinstance(sort, Mapping) else sort
        return found


async def verify_one(
    guard: Guard, aim: Aim, act: Act, session: Any = None, *, returning: Returning | None = None
) -> Any:
    """Make an update of the first document that matches, and judge what it leaves.

    Args:
        guard: The model's guard.
        aim: What is to be updated.
        act: Makes the update.
        session: The caller's session, or None.
        returning: The document to return; None for PyMongo's result.

    Raises:
        InvalidDocument: What it leaves breaks rules; nothing was changed.
        TransactionRequired: The server has no transactions.
    """
    joined = joins(session)

    async def body(session: Any) -> Any:
        chosen = aim.choosing(sorted_too=True)
        reader = guard.store.for_bytes() if joined else guard.store
        stored = await reader.find_one(guard.collection, aim.filter, session=session, **chosen)
        before = decoded(stored)
        shown = None
        if before is not None and returning is not None and not returning.after:
            shown = await returning.read(guard, before["_id"], session)
        if before is None and not aim.upsert:  # sent all the same: what the server cannot read is an error
            result = await act(aim.filter, session)
            return result if returning is None else None
        # The caller's filter stays beside the _id: the positional operator is about it.
        named = aim.filter if before is None else {"$and": [aim.filter, exactly([before["_id"]], aim.collation)]}
        result = await act(named, session)
        key = result.upserted_id if before is None else before["_id"]
        after = await guard.store.find_one(guard.collection, {"_id": key}, session=session)
        await _accept(guard, [] if after is None else [Change(before, after, stored)], session, joined=joined)
        if returning is None:
            return result
        return await returning.read(guard, key, session) if returning.after else shown

    if joined:
        return await body(session)
    return await guard.copies.transact(guard.store, body, session, why=aim.why)


async def verify_many(guard: Guard, aim: Aim, update: Any, session: Any = None) -> UpdateResult:
    """Make an update of every document that matches, a batch at a time, and judge what it leaves.

    Where there is more than one batch, all of them are tried first, in transactions that are aborted: an update that
    any document refuses changes none. Between that and the batches' own transactions others may write; a batch that
    is refused only then leaves the ones before it changed.

    Args:
        guard: The model's guard.
        aim: What is to be updated.
        update: The update.
        session: The caller's session, or None.

    Raises:
        InvalidDocument: What it leaves breaks rules.
        TransactionRequired: The server has no transactions.
    """
    if joins(session):
        return await _joined(guard, aim, update, session)
    first = await _ids(guard, aim, BATCH + 1)
    if not first and aim.upsert:
        return await _upsert(guard, aim, update, session)
    if len(first) <= BATCH:
        return await _batch(guard, aim, update, first, session)
    total = _Sum()
    for keep in (False, True):
        batches = _sorted_ids(guard, aim)
        try:
            while batch := await batches.next(BATCH):
                ids = [each["_id"] for each in batch]
                total.add(await _batch(guard, aim, update, ids, session, keep=keep))
        finally:
            await batches.close()
    return total.result()


class _Sum:
    """The result of several updates together."""

    def __init__(self) -> None:
        self.matched = 0
        self.modified = 0

    def add(self, result: UpdateResult) -> None:
        self.matched += result.matched_count
        self.modified += result.modified_count

    def result(self) -> UpdateResult:
        return UpdateResult({"n": self.matched, "nModified": self.modified, "ok": 1.0}, acknowledged=True)


class _DryRun(Exception):
    """The batch would be accepted; nothing of it is to be kept."""


async def _batch(
    guard: Guard, aim: Aim, update: Any, ids: Sequence[Any], session: Any, *, keep: bool = True
) -> UpdateResult:
    async def body(session: Any) -> UpdateResult:
        result, changes = await _update(guard, aim, update, ids, session)
        await _accept(guard, changes, session, joined=False, keep=keep)
        if not keep:
            raise _DryRun
        return result

    try:
        return await guard.copies.transact(guard.store, body, session, why=aim.why)
    except _DryRun:
        return _Sum().result()


async def _joined(guard: Guard, aim: Aim, update: Any, session: Any) -> UpdateResult:
    ids = await _ids(guard, aim, 0, session=session)
    if not ids and aim.upsert:
        return await _upsert(guard, aim, update, session)
    result, changes = await _update(guard, aim, update, ids, session, joined=True)
    await _accept(guard, changes, session, joined=True)
    return result


async def _upsert(guard: Guard, aim: Aim, update: Any, session: Any) -> UpdateResult:
    async def act(filter: Filter, session: Any) -> UpdateResult:
        options = {**aim.options, "upsert": True}
        return await guard.store.update_many(guard.collection, filter, update, session=session, **options)

    found: UpdateResult = await verify_one(guard, aim, act, session)
    return found


async def _update(
    guard: Guard, aim: Aim, update: Any, ids: Sequence[Any], session: Any, *, joined: bool = False
) -> tuple[UpdateResult, list[Change]]:
    store, name = guard.store, guard.collection
    named = {"$and": [aim.filter, exactly(ids, aim.collation)]}
    reader = store.for_bytes() if joined else store
    befores = [(decoded(each), each) for each in await _all(reader, name, named, session, **aim.choosing())]
    options = {name: value for name, value in aim.options.items() if value is not None}
    result = await store.update_many(name, named, update, session=session, **options)
    afters = await _all(store, name, {"_id": {"$in": [each["_id"] for each, _ in befores]}}, session)
    known = {equality.key(before["_id"]): (before, stored) for before, stored in befores}
    changes = []
    for after in afters:
        before, stored = known[equality.key(after["_id"])]
        changes.append(Change(before, after, stored))
    return result, changes


async def _accept(guard: Guard, changes: Sequence[Change], session: Any, *, joined: bool, keep: bool = True) -> None:
    """Raise what is wrong with the changes; in a transaction that goes on, put back what was there.

    Copies of what changed are refreshed with it, unless the transaction is not to be kept.

    Raises:
        InvalidDocument: Something is.
    """
    found = await judged(guard, changes, session, look=joined)
    refused = violations = await tolerate(guard, found) if joined else []
    if not refused:
        if joined:  # not before: a transaction that goes on would keep what a refused write has done to others
            await guard.references.rekeyed(guard, changes, session)
        refresh = await guard.copies.plan(guard.store, guard.entry, changes, session)
        violations = await tolerate(guard, [*([] if joined else found), *refresh.violations])
        if not violations:
            if keep:
                await guard.copies.carry_out(guard.store, refresh, session)
            return
    if joined:
        await _take_back(guard, changes, session, renamed=not refused)
    raise refusal(violations, model=guard.entry.name)


async def _take_back(guard: Guard, changes: Sequence[Change], session: Any, *, renamed: bool) -> None:
    """Put back what was there, and the keys by which others refer to it."""
    for each in changes:
        named = {"_id": each.after["_id"]}
        if each.before is None:
            await guard.store.delete_one(guard.collection, named, session=session)
        else:
            await guard.store.replace_one(guard.collection, named, each.original, session=session)
    if renamed:
        back = [each.back for each in changes if each.before is not None]
        await guard.references.rekeyed(guard, back, session, back=True)


async def _all(store: Store, collection: str, filter: Filter, session: Any, **options: Any) -> list[Any]:
    batches = store.find(collection, filter, **sendable(session, **options))
    found: list[Any] = []
    while batch := await batches.next():
        found += batch
    return found


async def _ids(guard: Guard, aim: Aim, limit: int, session: Any = None) -> list[Any]:
    options = sendable(session, projection={"_id": 1}, limit=limit or None, **aim.choosing())
    batches = guard.store.find(guard.collection, aim.filter, **options)
    found: list[Any] = []
    while batch := await batches.next():
        found += [each["_id"] for each in batch]
    return found


def _sorted_ids(guard: Guard, aim: Aim) -> Batches:
    """Return the ``_id``s of what matches, each once: in the order of ``_id``, which no update changes."""
    options = {**aim.choosing(), "projection": {"_id": 1}, "sort": [("_id", 1)], "allow_disk_use": True}
    return guard.store.find(guard.collection, aim.filter, **options)
