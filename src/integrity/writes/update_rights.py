"""Who may update what, and what the library keeps for itself: decided from the plan, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from integrity.declare.constraint import Owner
from integrity.declare.extract import values_at
from integrity.declare.shape import declared_path
from integrity.rules.judge import dotted
from integrity.rules.ownership import foreign_write, stale_revision
from integrity.rules.rule import At
from integrity.violation import Violation
from integrity.writes.updates.plan import Touched, UpdatePlan

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def revised(guard: Guard, update: Update) -> Update:
    """Return the update with the revision counted up, where the model has one."""
    place = guard.entry.revision
    if place is None or not update:
        return update  # an empty one stays empty, and is refused as such
    path = ".".join(place.steps)
    if not isinstance(update, Mapping):
        return [*update, {"$set": {path: {"$add": [{"$ifNull": [f"${path}", 0]}, 1]}}}]
    counted = update.get("$inc", {})
    return {**update, "$inc": {**counted, path: 1}} if isinstance(counted, Mapping) else update


def trespasses(guard: Guard, plan: UpdatePlan, update: Update) -> Iterator[Violation]:
    """Yield what the actor may not change, and the update mentions: whether it changes it, the documents say.

    Args:
        guard: The model's guard.
        plan: The plan of the revised update.
        update: The update as the caller wrote it.
    """
    if plan.upsert and (trespass := guard.trespass("inserted")) is not None:
        yield trespass
    mine = [place.steps for place in guard.entry.places if _is_mine(guard, place.node.marker(Owner))]
    for each in plan.touched:
        if _counts(guard, each, update):
            continue
        owner = _owner(guard, each)
        if owner is None and not guard.owned and not any(each.steps[: len(steps)] == steps for steps in mine):
            owner = guard.entry.owner
        if owner is not None:
            at = At(guard.collection, None, each.path, declared_path(each.steps))
            yield foreign_write.RULE.violation(at, foreign_write.fault(guard.actor, owner, "written"))
    # An upsert writes what its filter says, too.
    for place, marker in guard.foreign if plan.upsert else ():
        if plan.upsert_document is not None and not plan.touches(place.steps):
            for path, _ in values_at(plan.upsert_document, place.steps):
                at = At(guard.collection, None, dotted(path), place.path)
                yield foreign_write.RULE.violation(at, foreign_write.fault(guard.actor, marker.actors, "written"))


def _is_mine(guard: Guard, owner: Owner | None) -> bool:
    return owner is not None and guard.owns(owner.actors)


def _owner(guard: Guard, touched: Touched) -> tuple[str, ...] | None:
    """The other owner of a touched place, if it has one. What replaces the whole is judged by what it changes."""
    if not touched.steps:
        return None
    return next((owner.actors for place, owner in guard.foreign if touched.reaches(place.steps)), None)


def _counts(guard: Guard, touched: Touched, update: Update) -> bool:
    """Whether it is the revision that the library itself counts up."""
    place = guard.entry.revision
    if place is None or touched.steps != place.steps:
        return False
    return not _names(update, ".".join(place.steps))


def by_hand(guard: Guard, update: Update) -> Iterator[Violation]:
    """Yield what nobody may write: the revision, which the library counts."""
    place = guard.entry.revision
    if place is None or not _names(update, ".".join(place.steps)):
        return
    at = At(guard.collection, None, place.path, place.path)
    yield stale_revision.RULE.violation(at, stale_revision.kept())


def _names(update: Update, path: str) -> bool:
    """Whether an update names a path, in an operator or a stage."""
    stages = [update] if isinstance(update, Mapping) else update
    for stage in stages:
        for operator, operands in stage.items():
            if isinstance(operands, Mapping):
                if path in operands or (operator == "$rename" and path in operands.values()):
                    return True
            elif operands == path or (isinstance(operands, list) and path in operands):
                return True
    return False
