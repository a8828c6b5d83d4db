"""``update_one``, ``update_many``, ``find_one_and_update``: by a plan, as they are or judged by what they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pymongo.results import UpdateResult

from integrity.declare.constraint import CopyOf, Immutable, Ref, Unique
from integrity.declare.extract import values_at
from integrity.errors import InvalidDocument, StaleDocument
from integrity.rules.judge import Verdict
from integrity.rules.ownership import stale_revision
from integrity.rules.reference import dangling
from integrity.rules.rule import At
from integrity.rules.schema import missing_field
from integrity.store.port import Document, Filter, Store
from integrity.violation import Violation
from integrity.writes import revision
from integrity.writes.candidate import settled
from integrity.writes.copies.prefilling import inserting, prefilled
from integrity.writes.derived import without_echo
from integrity.writes.guard import refuse_bypass, sendable
from integrity.writes.no_filter import refuse_no_filter
from integrity.writes.references import Faults
from integrity.writes.references.existence import verify
from integrity.writes.refusal import from_driver, refusal
from integrity.writes.staging import tolerate
from integrity.writes.transaction import joins
from integrity.writes.update_plan import plan_update
from integrity.writes.update_rights import Update, by_hand, revised, trespasses
from integrity.writes.updates.plan import UNKNOWN, Touched, UpdatePlan
from integrity.writes.verified import Act, Aim, Returning, verify_many, verify_one

if TYPE_CHECKING:
    from integrity.writes.guard import Guard


@dataclass(slots=True)  # not frozen: making one would take as long as planning a simple update
class Wish:
    """An update as the caller asks for it.

    Args:
        filter: PyMongo's filter.
        update: Operators, or a pipeline.
        upsert: Whether it inserts where nothing matches.
        many: Whether it is about all that match.
        options: PyMongo's ``array_filters``, ``sort``, ``collation``, ``hint``, ``let`` and ``comment``.
        returning: The document to return, for ``find_one_and_update``.
    """

    filter: Filter
    update: Update
    upsert: bool = False
    many: bool = False
    options: Mapping[str, Any] | None = None
    returning: Returning | None = None

    def sent(self, **more: Any) -> dict[str, Any]:
        """The options that were given, and more."""
        return {name: value for name, value in {**(self.options or {}), **more}.items() if value is not None}


async def planned(guard: Guard, wish: Wish, session: Any = None) -> UpdatePlan:
    """Return the plan of an update.

    Raises:
        InvalidDocument: It is wrong whatever the documents are, or touches what the actor may not.
    """
    update = revised(guard, wish.update)
    if guard.entry.copies:
        update = await prefilled(guard, update, session)
    filters = (wish.options or {}).get("array_filters")
    plan = plan_update(guard.entry, update, filter=wish.filter, array_filters=filters, upsert=wish.upsert)
    found: list[Violation] = without_echo(guard.entry, plan.violations)
    if not guard.owned or guard.foreign or guard.entry.revision is not None:
        mentioned = list(trespasses(guard, plan, wish.update))
        found = [*by_hand(guard, wish.update), *found]
        if found or (mentioned and not await guard.references.transactional(guard.store)):
            # Without transactions nobody can look at what it changes before it stands: what is mentioned counts.
            found = [*mentioned, *found]
        elif mentioned:
            plan = plan._replace(reasons=(*plan.reasons, "it mentions what belongs to another actor"))
    if found and guard.entry.copies:
        found = await _ownerless(guard, plan, found, session)
    if await tolerate(guard, found):
        raise refusal(found, model=guard.entry.name)
    if plan.upsert_document is not None and guard.entry.copies:
        plan = plan._replace(update=await inserting(guard, plan, session))
    return plan


async def _ownerless(guard: Guard, plan: UpdatePlan, found: Sequence[Violation], session: Any) -> list[Violation]:
    """Say of a copy that is missing because what it is a copy of does not exist that that does not exist."""
    copies = {each.path: each for each in guard.entry.copies}
    vias = {
        copies[each.field].via.path for each in found if each.code == missing_field.RULE.code and each.field in copies
    }
    if not vias:
        return list(found)
    documents, places = _sketches(guard, plan)
    faults = zip(await verify(guard, documents, session), places, strict=True)
    broken = [one for each, place in faults for one in _placed(each, place)]
    # What is not coerced yet may seem to be of another type than the key.
    broken = [each for each in broken if each.code == dangling.RULE.code and each.field in vias]
    return list(settled(guard, Verdict({}, tuple(found)), broken).violations)


async def update(guard: Guard, wish: Wish, *, bypass: object = None, session: Any = None) -> Any:
    """Update documents.

    Args:
        guard: The model's guard.
        wish: What is asked for.
        bypass: PyMongo's ``bypass_document_validation``; refused when true.
        session: PyMongo's session.

    Returns:
        PyMongo's ``UpdateResult``; the document, for a ``find_one_and_update``.

    Raises:
        InvalidDocument: What it would leave breaks rules; nothing was changed.
        TransactionRequired: Only the outcome can be judged, and the server has no transactions.
    """
    refuse_bypass(bypass)
    refuse_no_filter(wish.filter)
    if wish.upsert and revision.named(guard.entry, wish.filter) is not None:
        wish = replace(wish, upsert=False)  # what was read and is gone was deleted, and stays so
    if wish.upsert and type(wish.filter) is not dict and isinstance(wish.filter, Mapping):
        wish = replace(wish, filter=dict(wish.filter))  # it is sent as it is read: raw BSON may name a field twice
    plan = await planned(guard, wish, session)
    if wish.upsert or Unique in plan.markers:
        await guard.indexes.ensure(guard.store, guard.entry, session)
    try:
        outcome = await _updated(guard, wish, plan, session)
    except Exception as error:
        if (mine := ours(guard, error, plan)) is error:
            raise
        if isinstance(mine, InvalidDocument) and guard.entry.copies:
            # By the server's validator: a transaction that it joined is over.
            found = await _ownerless(guard, plan, mine.violations, None)
            if found != list(mine.violations):
                mine = refusal(found, model=guard.entry.name)
        raise mine from error
    if isinstance(outcome, InvalidDocument):
        raise outcome
    await _not_stale(guard, wish, outcome, session)
    return outcome


async def _updated(guard: Guard, wish: Wish, plan: UpdatePlan, session: Any) -> Any:
    why = _unproved(guard, wish, plan)
    if why and (guard.entry.copied or guard.entry.copies) and not joins(session):
        await guard.copies.lazily(guard.store)
    if not why and (plan.proved or not wish.upsert):
        return await _sent(guard, wish, plan, session)
    if not why and not (guard.entry.references or guard.entry.copies):
        # Documents that exist are proved; only one that would be inserted is not.
        found = await _sent(guard, replace(wish, upsert=False), plan, session)
        if found is not None and not (isinstance(found, UpdateResult) and not found.matched_count):
            return found
        if await tolerate(guard, plan.upsert_violations):
            return refusal(plan.upsert_violations, model=guard.entry.name)
    reasons = "; ".join(dict.fromkeys([*why, *plan.upsert_reasons])) or "what it would insert is not proved"
    aim = Aim(wish.filter, wish.options or {}, wish.upsert, f"{guard.collection}: this update ({reasons})")
    if wish.many:
        return await verify_many(guard, aim, plan.update, session)
    return await verify_one(guard, aim, _one(guard, wish, plan), session, returning=wish.returning)


def _one(guard: Guard, wish: Wish, plan: UpdatePlan) -> Act:
    options = wish.sent(upsert=wish.upsert or None)
    for each in (
        "sort",
        "maxTimeMS",
        "writeConcern",
    ):  # the document is chosen already, and the transaction has its own
        options.pop(each, None)

    async def act(filter: Filter, session: Any) -> UpdateResult:
        return await guard.store.update_one(guard.collection, filter, plan.update, **options, **sendable(session))

    return act


def _unproved(guard: Guard, wish: Wish, plan: UpdatePlan) -> Sequence[str]:
    """Return why only what the update leaves can be judged; empty where it can be sent as it is."""
    if guard.plain and not wish.many:
        return plan.reasons
    reasons = list(plan.reasons)
    if wish.many:  # sent as it is, a refusal by the server would leave the documents before that one changed
        reasons += plan.stops
    markers = plan.markers
    if Immutable in markers and any(
        each.reaches(place.steps) and not each.on_insert for place in guard.immutable for each in plan.touched
    ):
        reasons.append("it touches an immutable field")
    if guard.entry.copies and (CopyOf in markers or _moves_copies(guard, plan)):
        reasons.append("it touches a copy or the reference that it follows")
    if any(plan.touches(tuple(each.field.split("."))) for each in guard.entry.copied):
        reasons.append("it touches what others copy")
    if guard.entry.derived:
        reasons.append("fields are derived from others")
    if Unique in markers and any(plan.touches(place.steps) for place in guard.repeated):
        reasons.append("it touches an array of unique values")
    if Ref in markers and any(plan.values(each.place) is None for each in guard.entry.references):
        reasons.append("the server computes a reference")
    if any(plan.touches(tuple(each.split("."))) for each in guard.references.keyed(guard)):
        reasons.append("it touches a key that others refer to")
    return reasons


def ours(guard: Guard, error: Exception, plan: UpdatePlan) -> Exception:
    """Return ours for an error of the driver that tells of a broken rule, and any other error as it is."""
    return from_driver(guard.entry, error, written(plan))


def written(plan: UpdatePlan) -> Document:
    """Return what the update would have written, as far as it is known, for the text of an error."""
    found: Document = {}
    for each in plan.touched:
        if each.value is UNKNOWN or "[]" in each.steps or not each.steps:
            continue
        at = found
        for step in each.steps[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                break
        else:
            at[each.steps[-1]] = each.value
    return found


def alone(guard: Guard, wish: Wish, plan: UpdatePlan) -> bool:
    """Whether an update has to be done on its own: not proved, with references to look up, or a revision to miss."""
    looked_up = guard.entry.references and (Ref in plan.markers or wish.upsert)
    named = revision.named(guard.entry, wish.filter) is not None
    return bool(_unproved(guard, wish, plan) or not plan.proved or looked_up or named)


def _moves_copies(guard: Guard, plan: UpdatePlan) -> bool:
    return any(plan.touches(copy.via.place.steps) for copy in guard.entry.copies)


async def _sent(guard: Guard, wish: Wish, plan: UpdatePlan, session: Any) -> Any:
    """Send a proved update, with the references that it sets looked up."""
    documents, places = _sketches(guard, plan) if Ref in plan.markers or wish.upsert else ([], [])

    async def act(faults: Faults, session: Any, _: Store | None = None, /) -> Any:
        found = [each for fault, place in zip(faults, places, strict=True) for each in _placed(fault, place)]
        if await tolerate(guard, found):
            return refusal(found, model=guard.entry.name)
        return await _run(guard, wish, plan, session)

    if not documents:
        return await _run(guard, wish, plan, session)
    return await guard.references.store(guard, documents, act, session)


async def _run(guard: Guard, wish: Wish, plan: UpdatePlan, session: Any) -> Any:
    store, name = guard.store, guard.collection
    options = wish.sent(session=session, upsert=wish.upsert or None) if wish.options or session or wish.upsert else {}
    if wish.returning is not None:
        options |= {**wish.returning.options, "return_document": wish.returning.after}
        if joins(session):
            options.pop("writeConcern", None)  # the transaction has its own
        return await wish.returning.store(guard).find_one_and_update(name, wish.filter, plan.update, **options)
    method = store.update_many if wish.many else store.update_one
    return await method(name, wish.filter, plan.update, **options)


def _sketches(guard: Guard, plan: UpdatePlan) -> tuple[list[Document], list[Touched | None]]:
    """Return a document for each change that sets references, and nothing else: what a protocol is given to see."""
    documents: list[Document] = []
    places: list[Touched | None] = []
    for each in plan.touched:
        if each.value is UNKNOWN or not any(each.reaches(one.place.steps) for one in guard.entry.references):
            continue
        value: Any = each.value
        for step in reversed(each.steps):
            value = [value] if step == "[]" else {step: value}
        if any(True for one in guard.entry.references for _ in values_at(value, one.place.steps)):
            documents.append(value)
            places.append(each)
    if plan.upsert and plan.upsert_document is not None and guard.entry.references:
        documents.append(dict(plan.upsert_document))
        places.append(None)
    return documents, places


def _placed(violations: Sequence[Violation], touched: Touched | None) -> list[Violation]:
    """Give violations of a sketch the path that the update names."""
    if touched is None:
        return list(violations)
    found = []
    for each in violations:
        rest = each.path.split(".")[len(touched.steps) :]
        found.append(replace(each, path=".".join([touched.path, *rest])))
    return found


async def _not_stale(guard: Guard, wish: Wish, outcome: Any, session: Any) -> None:
    """Tell an update that names a revision, and met none, from one that met nothing.

    Raises:
        StaleDocument: There is, or was, a document of another revision.
    """
    if guard.entry.revision is None:
        return
    missed = outcome is None or (isinstance(outcome, UpdateResult) and not outcome.matched_count)
    asked = revision.named(guard.entry, wish.filter) if missed else None
    if asked is None:
        return
    rest = revision.without(guard.entry, wish.filter)
    stored = await guard.store.find_one(guard.collection, rest, **sendable(session))
    raise stale(guard, asked, stored)


def stale(guard: Guard, asked: int | None, stored: Document | None) -> InvalidDocument:
    """Return the error of a write of an older revision.

    Args:
        guard: The model's guard.
        asked: The revision that the caller has.
        stored: The document as it is stored; None when it was deleted.
    """
    place = guard.entry.revision
    assert place is not None
    name = place.steps[-1]
    at = At(guard.collection, (stored or {}).get("_id"), name, name)
    fault = stale_revision.fault(asked, (stored or {}).get(name), deleted=stored is None)
    found = refusal([stale_revision.RULE.violation(at, fault)], model=guard.entry.name)
    assert isinstance(found, StaleDocument)
    return found
