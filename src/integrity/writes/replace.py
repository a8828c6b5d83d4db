"""``replace_one``, ``find_one_and_replace``: the replacement is judged whole, like an insert.

What a replacement may not change (immutable fields, fields of other owners) is read first and then stands in the
filter, so that it holds without a transaction: when it was changed in between, nothing matches and it is read again.
A model with a revision is replaced only from the revision that is stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel
from pymongo.errors import OperationFailure
from pymongo.results import UpdateResult

from integrity.declare import codec, equality
from integrity.declare.equality import same
from integrity.declare.extract import ABSENT, value_at, values_at
from integrity.declare.registry import Entry
from integrity.declare.shape import Place
from integrity.errors import InvalidDocument
from integrity.rules.judge import Verdict
from integrity.rules.ownership import changed_immutable, stale_revision
from integrity.rules.rule import At, Fault
from integrity.store.forgiving import decoded
from integrity.store.port import Document, Filter, Store
from integrity.writes import derived, revision
from integrity.writes.candidate import Offered, candidates, given, settled
from integrity.writes.change import Change
from integrity.writes.copies import current
from integrity.writes.copies.spots import spots
from integrity.writes.exactly import exactly
from integrity.writes.guard import refuse_bypass, sendable
from integrity.writes.no_filter import refuse_no_filter
from integrity.writes.post_image import kept
from integrity.writes.references import Faults, standing
from integrity.writes.refusal import from_driver, refusal
from integrity.writes.staging import tolerated
from integrity.writes.transaction import joins
from integrity.writes.update import stale

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: "Performing an update on the path '_id' would modify the immutable field": ImmutableField.
_IMMUTABLE_ID = 66

#: How often a document that others change meanwhile is read again.
ATTEMPTS = 20


class Act(Protocol):
    """Replaces; returns PyMongo's outcome."""

    async def __call__(self, filter: Filter, document: Document, session: Any, *, upsert: bool) -> Any:
        """Replace what matches."""
        ...


@dataclass(frozen=True)
class Swap:
    """A replacement as the caller asks for it.

    Args:
        filter: PyMongo's filter.
        replacement: The document, or an instance of the model.
        act: Replaces.
        upsert: Whether it inserts where nothing matches.
        options: What chooses the document: ``sort``, ``collation``, ``hint``, ``let``.
    """

    filter: Filter
    replacement: Offered
    act: Act
    upsert: bool = False
    options: Mapping[str, Any] | None = None


async def replace(guard: Guard, swap: Swap, *, bypass: object = None, session: Any = None) -> Any:
    """Replace the first document that matches.

    Args:
        guard: The model's guard.
        swap: What is asked for.
        bypass: PyMongo's ``bypass_document_validation``; refused when true.
        session: PyMongo's session.

    Raises:
        InvalidDocument: The replacement breaks rules; nothing was changed.
        StaleDocument: It was made from an older revision.
    """
    refuse_bypass(bypass)
    refuse_no_filter(swap.filter)
    refuse_operators(swap.replacement)
    await guard.indexes.ensure(guard.store, guard.entry, session)
    # By a collation the filter may find an _id that it does not spell like that, and a replacement keeps it. A
    # transaction of the caller's would not survive the server's refusal: there it is read beforehand.
    read = joins(session) and isinstance(_filtered(swap.filter), str | Mapping | list)
    for _ in range(ATTEMPTS):
        try:
            outcome = await _replaced(guard, swap, session, read=read)
        except Exception as error:
            if not read and not joins(session) and _respelled(guard, error, swap):
                read = True
                continue
            ours = _ours(guard, error, swap)
            if ours is error:
                raise
            raise ours from error
        if isinstance(outcome, InvalidDocument):
            raise outcome
        if outcome is not _AGAIN:
            return outcome
    raise refusal([_contended(guard)], model=guard.entry.name)


_AGAIN: Any = object()


def refuse_operators(replacement: Any) -> None:
    """Refuse an update in the place of a document.

    Raises:
        ValueError: It begins with an operator.
    """
    if isinstance(replacement, Mapping) and next(iter(replacement), "").startswith("$"):
        raise ValueError("replacement can not include $ operators")  # PyMongo's words


def _respelled(guard: Guard, error: Exception, swap: Swap) -> bool:
    """Whether the server refuses the ``_id`` of a replacement that had none of its own."""
    if not isinstance(error, OperationFailure) or error.code != _IMMUTABLE_ID or isinstance(error, InvalidDocument):
        return False
    return _own(guard.entry, given(swap.replacement)) is ABSENT


async def _replaced(guard: Guard, swap: Swap, session: Any, *, read: bool) -> Any:
    document = _document(guard, swap, guard.carried)
    key = _id(guard.entry, document, swap.filter)
    entry = guard.entry
    careful = bool(guard.immutable or guard.foreign or entry.revision is not None or not guard.owned)
    stands = await guard.references.stands(guard, session)
    careful = careful or read or stands or bool(entry.copies or entry.copied or entry.derived)
    stored: Document | None = None
    if careful or key is ABSENT:
        any_revision = revision.without(entry, swap.filter)
        stored = await guard.store.find_one(guard.collection, any_revision, **_choosing(swap, session))
        if stored is not None and _own(entry, document) is ABSENT:
            key = stored["_id"]
    asked, has = revision.named(entry, swap.filter), _revision(guard, document)
    for each in (asked, has) if asked is not None is not has else (has if asked is None else asked,):
        if (refused := _stale(guard, each, stored)) is not None:
            return refused
    if key is not ABSENT and not any(each in document for each in guard.entry.key_names[1:]):
        document = {"_id": key, **document}
    if stored is None and (careful or key is ABSENT) and not swap.upsert:
        # Nothing to replace, and nothing to insert: PyMongo's own answer, for what is judged like any other.
        (verdict,) = await candidates(guard, [document], session, revisions=[0])
        if verdict.violations and key is not ABSENT:
            return refusal(verdict.violations, model=guard.entry.name)
        return await swap.act({"$and": [swap.filter, {"_id": {"$in": []}}]}, verdict.document, session, upsert=False)
    if stored is not None:
        _carry(guard, document, stored)
    if isinstance(swap.replacement, BaseModel):
        # Where there was nothing to take over, the instance's own default stands; another owner's field is made.
        others = frozenset(place.steps[0] for place, _ in guard.foreign)
        document = {**_document(guard, swap, guard.filled | others), **document}
    if stored is not None:
        _drop_kept(guard, document, stored)
    count = 0 if stored is None or entry.revision is None else stored.get(entry.revision.steps[-1], 0) + 1
    (verdict,) = await candidates(guard, [document], session, revisions=[count], foreign=stored is None)
    if stored is not None:
        verdict = Verdict(verdict.document, (*verdict.violations, *kept(guard, Change(stored, verdict.document))))
    return await _store(guard, swap, verdict, stored, session, stands=stands)


async def _store(
    guard: Guard, swap: Swap, verdict: Verdict, stored: Document | None, session: Any, *, stands: bool
) -> Any:
    # Read with the document, and in the filter that replaces it: who deletes what it refers to may come in between.
    unmoved = standing.conditions(guard.entry, stored, guard.store) if stands and stored is not None else []

    async def act(faults: Faults, session: Any, _: Store | None = None, /) -> Any:
        (now,) = await current(guard, [verdict], session)
        found = await tolerated(guard, settled(guard, now, faults[0]))
        if found.violations:
            return refusal(found.violations, model=guard.entry.name)
        if stored is None:
            return await _inserted(guard, swap, found.document, session)
        this = exactly([stored["_id"]], (swap.options or {}).get("collation"))
        named = {"$and": [swap.filter, this, *_unchanged(guard, stored), *unmoved]}
        outcome = await swap.act(named, found.document, session, upsert=False)
        missed = outcome is None or (isinstance(outcome, UpdateResult) and not outcome.matched_count)
        return _AGAIN if missed else outcome

    async def stores(session: Any) -> Any:
        if guard.entry.references:
            of = stored if stands else None
            return await guard.references.store(guard, [verdict.document], act, session, stored=of)
        return await act([()], session)

    if guard.references.keyed(guard) or await _refreshes(guard, verdict.document, stored):
        return await _rekeyed(guard, swap, stores, session)
    return await stores(session)


async def _rekeyed(guard: Guard, swap: Swap, stores: Callable[[Any], Awaitable[Any]], session: Any) -> Any:
    """Replace a document that is referred to by a field that may change with it, or that others copy from."""

    async def body(session: Any) -> Any:
        reader = guard.store.for_bytes() if joined else guard.store
        original = await reader.find_one(guard.collection, swap.filter, **_choosing(swap, session))
        before = decoded(original)
        outcome = await stores(session)
        if before is None or outcome is _AGAIN or isinstance(outcome, InvalidDocument):
            return outcome
        named = {"_id": before["_id"]}
        after = await guard.store.find_one(guard.collection, named, session=session)
        if after is None:
            return outcome
        changes = [Change(before, after, original)]
        (found,) = await guard.references.rekeyed(guard, changes, session)
        refresh = await guard.copies.plan(guard.store, guard.entry, changes, session)
        found = [*found, *refresh.violations]
        if found:
            if joined:  # the caller's transaction goes on
                await guard.store.replace_one(guard.collection, named, changes[0].original, session=session)
                if refresh.violations:
                    await guard.references.rekeyed(guard, [each.back for each in changes], session, back=True)
            raise refusal(found, model=guard.entry.name)
        await guard.copies.carry_out(guard.store, refresh, session)
        return outcome

    joined = joins(session)
    if joined:
        return await body(session)
    why = f"{guard.collection}: a replacement of what others copy, or refer to by a field that can change"
    return await guard.copies.transact(guard.store, body, session, why=why)


async def _refreshes(guard: Guard, document: Document, stored: Document | None) -> bool:
    """Whether copies may have to follow a replacement: not where what they copy is as it was, and stays so."""
    copied = guard.entry.copied
    if not copied:
        return False
    if stored is None:  # an upsert: nothing copies yet what it inserts, but another may insert it first
        return await guard.references.transactional(guard.store)
    return any(not _alike(document, stored, field) for each in copied for field in (each.field, each.via.field))


def _alike(first: Document, second: Document, field: str) -> bool:
    steps = tuple(field.split("."))
    one, other = value_at(first, steps), value_at(second, steps)
    return same(one, other) or (one in (None, ABSENT) and other in (None, ABSENT))


async def _inserted(guard: Guard, swap: Swap, document: Document, session: Any) -> Any:
    """Replace what was not read: because nothing demands it, or because there was nothing, and an upsert inserts.

    What was inserted since then is not overwritten where it would have had to be read first.
    """
    absent = _unchanged(guard, {}) if swap.upsert else []
    named = {"$and": [swap.filter, *absent]} if absent else swap.filter
    try:
        return await swap.act(named, document, session, upsert=swap.upsert)
    except OperationFailure as error:
        met = error.code == _IMMUTABLE_ID and _id(guard.entry, given(swap.replacement), swap.filter) is ABSENT
        pattern = dict((error.details or {}).get("keyPattern") or {})
        if (met or (absent and pattern == {"_id": 1})) and not joins(session):
            return _AGAIN
        raise


def _document(guard: Guard, swap: Swap, left: frozenset[str]) -> Document:
    """Return the replacement as a document, without what an instance has computed or left to the write."""
    document = given(swap.replacement, left)
    if isinstance(swap.replacement, BaseModel):
        derived.strip(guard.entry, document)
    return document


def _id(entry: Entry, document: Document, filter: Filter) -> Any:
    """Return the ``_id`` that the replaced document has, where the replacement or the filter says it."""
    own = _own(entry, document)
    return _filtered(filter) if own is ABSENT else own


def _own(entry: Entry, document: Document) -> Any:
    return next((document[name] for name in entry.key_names if name in document), ABSENT)


def _filtered(filter: Filter) -> Any:
    found = filter.get("_id", ABSENT)
    if isinstance(found, Mapping):
        return found["$eq"] if list(found) == ["$eq"] else ABSENT
    return found


def _choosing(swap: Swap, session: Any) -> dict[str, Any]:
    options = sendable(session, **(swap.options or {}))
    if isinstance(options.get("sort"), Mapping):
        options["sort"] = list(options["sort"].items())
    return options


def _revision(guard: Guard, document: Document) -> int | None:
    """Return the revision that the replacement itself says that it was made from."""
    found = None if guard.entry.revision is None else document.get(guard.entry.revision.steps[-1])
    return found if isinstance(found, int) else None


def _stale(guard: Guard, asked: int | None, stored: Document | None) -> InvalidDocument | None:
    """Return what is wrong with replacing what is stored from this revision, or None."""
    place = guard.entry.revision
    if place is None or (stored is None and asked is None):
        return None
    if stored is None:
        # Never an upsert: what was read and is gone was deleted, and stays so.
        return stale(guard, asked, None)
    if asked is None:
        name = place.steps[-1]
        at = At(guard.collection, stored["_id"], name, name)
        return refusal([stale_revision.RULE.violation(at, stale_revision.missing())], model=guard.entry.name)
    if stored.get(place.steps[-1], 0) != asked:
        return stale(guard, asked, stored)
    return None


def _carry(guard: Guard, document: Document, stored: Document) -> None:
    """Give the replacement what it leaves out and may not change: immutable fields, and those of other owners."""
    for place in (*guard.immutable, *(place for place, _ in guard.foreign)):
        name = place.steps[0]
        if len(place.steps) == 1 and name in stored and name not in document:
            document[name] = stored[name]


def _drop_kept(guard: Guard, document: Document, stored: Document) -> None:
    """Take copies and derived fields out of the replacement that it has as they are stored: they are made anew.

    Who reads a document, changes a field and replaces it hands back what the library has put there, in another element
    where one before it was taken out. A copy without its reference is the document's own.
    """
    for copy in guard.entry.copies:
        stands = _standing(stored, copy.place)
        for spot in list(spots(copy, document)):
            if spot.value is not ABSENT and equality.key(codec.plain(spot.value)) in stands:
                del spot.parent[spot.name]
    for place in guard.entry.derived:
        stands = _standing(stored, place)
        for path, value in list(values_at(document, place.steps)):
            holder = value_at(document, path[:-1])
            if isinstance(holder, dict) and equality.key(codec.plain(value)) in stands:
                del holder[path[-1]]


def _standing(stored: Document, place: Place) -> set[Hashable]:
    """Return what stands at a place, in whichever element."""
    return {equality.key(value) for _, value in values_at(stored, place.steps)}


def _unchanged(guard: Guard, stored: Document) -> list[Filter]:
    """Return conditions that hold as long as nobody has changed what this replacement was judged by."""
    places = [*guard.immutable, *(place for place, _ in guard.foreign)]
    if guard.entry.revision is not None:
        places.append(guard.entry.revision)
    tops = [place.steps[0] for place in places]
    if not guard.owned:  # who owns a field of it may replace a document that is otherwise as it was
        tops += [*stored, *guard.entry.document.fields]
    tops += [field.split(".")[0] for each in guard.entry.copied for field in (each.field, each.via.field)]
    names = dict.fromkeys(each for each in tops if each != "_id")
    return [{name: {"$eq": stored[name]} if name in stored else {"$exists": False}} for name in names]


def _contended(guard: Guard) -> Any:
    at = At(guard.collection, None, "", "")
    fault = Fault(
        f"was changed by others {ATTEMPTS} times while it was being replaced.", "Try again, or update single fields."
    )
    return stale_revision.RULE.violation(at, fault)


def _ours(guard: Guard, error: Exception, swap: Swap) -> Exception:
    if isinstance(error, OperationFailure) and error.code == _IMMUTABLE_ID and not isinstance(error, InvalidDocument):
        at = At(guard.collection, None, "_id", "_id")
        fault = Fault("is written once, and the replacement has another one.", "Leave the _id out, or name the same.")
        return refusal([changed_immutable.RULE.violation(at, fault)], model=guard.entry.name)
    return from_driver(guard.entry, error, given(swap.replacement))
