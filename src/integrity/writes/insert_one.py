"""``insert_one``: the document is judged whole, and stored or not."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError
from pymongo.results import InsertOneResult

from integrity.declare import codec
from integrity.errors import InvalidDocument
from integrity.rules.judge import Verdict
from integrity.store.port import Document, Store
from integrity.writes.candidate import Offered, candidates, named, offerable, settled
from integrity.writes.copies import current
from integrity.writes.guard import refuse_bypass, sendable
from integrity.writes.references import Faults, Whole
from integrity.writes.refusal import from_driver, refusal
from integrity.writes.staging import tolerated

if TYPE_CHECKING:
    from integrity.writes.guard import Guard


def at_once(guard: Guard) -> Callable[[Offered], Document | None]:
    """Return what makes a document what is stored, for a model about which the judge alone decides.

    It gives a dict its ``_id``, and returns None where more is to be looked up or said: that is left to `insert_one`.
    Whatever runs between two round trips is read anew from memory, so that a call that is not made saves some 3 µs: all
    of it is one function, and what it needs is at hand.

    Args:
        guard: The model's guard; it is `Guard.simple`.
    """
    collection, indexes, judge = guard.entry.collection, guard.indexes, guard.judge

    def made(document: Offered) -> Document | None:
        if collection not in indexes.ready or monotonic() > indexes.until:
            return None
        try:
            found: Document = judge.look(document if type(document) is dict else codec.plain(document))
        except ValidationError:
            return None
        if not judge.told and type(found.get("_id")) not in judge.told_ids and not judge.passes(found):
            return None
        if type(document) is dict and "_id" not in document:
            named(document, found)
        return found

    return made


async def insert_one(
    guard: Guard, document: Offered, *, bypass: object = None, session: Any = None, comment: Any = None
) -> InsertOneResult:
    """Insert a document.

    Args:
        guard: The model's guard.
        document: A mapping, which is given its generated ``_id`` as PyMongo does, or an instance of the model.
        bypass: PyMongo's ``bypass_document_validation``; refused when true.
        session: PyMongo's session.
        comment: PyMongo's comment.

    Raises:
        InvalidDocument: It breaks rules; nothing was stored.
        UnguardedWrite: The validation was to be bypassed.
    """
    if bypass:
        refuse_bypass(bypass)
    entry = guard.entry
    if entry.collection not in guard.indexes.ready or monotonic() > guard.indexes.until:
        await guard.indexes.ensure(guard.store, entry, session)
    if type(document) is not dict:
        offerable(guard, document)
    new = guard.judge.generates and type(document) is dict and "_id" not in document and "id" not in document
    made = guard.judge.glance(document) if guard.judged else None
    if made is None or not guard.simple:
        return await _looked_up(guard, document, made, session, comment, new=new)
    # Nothing is left to look up or to say, and little is done: this is what most inserts are.
    if type(document) is not dict or "_id" not in document:
        named(document, made)
    options = {} if session is None and comment is None else sendable(session, comment)
    try:
        return await guard.store.call(entry.collection, "insert_one", made, **options)  # type: ignore[no-any-return]  # the driver's
    except Exception as error:
        if (mine := from_driver(entry, error, made)) is error:
            raise
        raise mine from error


async def _looked_up(
    guard: Guard, document: Offered, made: Document | None, session: Any, comment: Any, *, new: bool
) -> InsertOneResult:
    """Insert a document about which there is more to know than what stands in it; as `made`, where that is clean.

    `new` tells whether its ``_id`` is made here, and by nobody else.
    """
    entry = guard.entry
    (verdict,) = await candidates(guard, (document,), session) if made is None else (Verdict(made),)

    async def act(faults: Faults, session: Any, store: Store | None = None) -> InsertOneResult | InvalidDocument:
        (now,) = await current(guard, [verdict], session)
        found = settled(guard, now, faults[0])
        found = await tolerated(guard, found)
        if found.violations:
            return refusal(found.violations, model=entry.name)
        named(document, found.document)
        return await (store or guard.store).insert_one(entry.collection, found.document, **sendable(session, comment))

    async def alone() -> InsertOneResult | InvalidDocument:
        return await guard.references.store(guard, [verdict.document], act, session, work=Whole(verdict.document))

    try:
        if guard.simple or not entry.references:
            outcome = await act([()], session)
        elif session is None and comment is None and not entry.copies and not verdict.violations:
            named(document, verdict.document)
            outcome = await guard.references.together(guard, verdict.document, alone, new=new)
        else:
            outcome = await alone()
    except Exception as error:
        if (mine := from_driver(entry, error, verdict.document)) is error:
            raise
        raise mine from error
    if isinstance(outcome, InvalidDocument):
        raise outcome
    return outcome
