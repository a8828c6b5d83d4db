"""Planning an update: what it will do to any document, found out without looking at one.

Two ways lead to a guarded update. Where the declarations prove that every valid document stays valid, the update is
sent as it is, in one round trip. Otherwise the documents that it leaves are judged in a transaction. `plan_update`
says which, and why; what is wrong whatever the document is, it says at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pymongo.common import validate_ok_for_update

from integrity.declare.constraint import Marker
from integrity.declare.registry import Entry
from integrity.errors import UnguardedWrite
from integrity.writes.updates import arithmetic, arrays, pipeline, values
from integrity.writes.updates.draft import Draft
from integrity.writes.updates.plan import UpdatePlan
from integrity.writes.updates.rename import rename
from integrity.writes.updates.target import Target, targets
from integrity.writes.updates.upsert import inserted

#: What each operator does with one path.
OPERATORS: dict[str, Callable[[Draft, str, Target, Any], Any]] = {
    "$set": values.set_value,
    "$setOnInsert": values.set_on_insert,
    "$min": values.set_value,
    "$max": values.set_value,
    "$currentDate": values.current_date,
    "$unset": values.unset,
    "$inc": arithmetic.increase,
    "$mul": arithmetic.multiply,
    "$bit": arithmetic.bits,
    "$rename": rename,
    "$push": arrays.push,
    "$addToSet": arrays.add_to_set,
    "$pop": arrays.pop,
    "$pull": arrays.pull,
    "$pullAll": arrays.pull,
}

_NO_MARKERS: frozenset[type[Marker]] = frozenset()


def plan_update(
    entry: Entry,
    update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    filter: Mapping[str, Any] | None = None,
    array_filters: Sequence[Mapping[str, Any]] | None = None,  # noqa: ARG001 - nothing is proved by them
    upsert: bool = False,
) -> UpdatePlan:
    """Plan an update of one or many documents.

    Args:
        entry: The model's entry in the registry.
        update: Update operators, or an aggregation pipeline, as PyMongo takes them.
        filter: The filter; None where nothing is known of it.
        array_filters: The array filters.
        upsert: Whether the update inserts where nothing matches.

    Returns:
        The plan: what to send, what is wrong, what is not proved.

    Raises:
        ValueError: The update is empty or a replacement document, as PyMongo says it.
        TypeError: The update is neither a mapping nor a list.
        UnguardedWrite: It has an operator or a stage that this library does not know.
    """
    if not (type(update) is dict and update and next(iter(update)).startswith("$")):
        validate_ok_for_update(update)  # what is plainly right needs no second look
    draft = Draft(targets(entry), filter, upsert=upsert)
    if isinstance(update, dict | Mapping):
        made: Any = _operators(draft, update)
    else:
        made = pipeline.plan(draft, list(update))
    draft.settle()
    return _finished(draft, made)


def _operators(draft: Draft, update: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    known = draft.targets
    for operator, operands in update.items():
        function = OPERATORS.get(operator)
        if function is None:
            raise UnguardedWrite(
                f"{draft.entry.collection}: {operator} is no update operator that can be guarded; "
                f"use {', '.join(OPERATORS)}, or unsafe_raw for what is to go unguarded."
            )
        if not (type(operands) is dict or isinstance(operands, Mapping)):
            raise UnguardedWrite(f"{draft.entry.collection}: {operator} needs an object of paths, not {operands!r}.")
        made[operator] = {path: function(draft, operator, known[path], value) for path, value in operands.items()}
    return made


def _finished(draft: Draft, made: Any) -> UpdatePlan:
    inserts = draft.upsert and not draft.violations
    document, faults, unclear = inserted(draft, made) if inserts else (None, (), ())
    return UpdatePlan(
        draft.entry.collection,
        made,
        tuple(draft.violations),
        tuple(draft.reasons),
        tuple(draft.stops),
        tuple(draft.touched),
        frozenset(draft.markers) if draft.markers else _NO_MARKERS,
        draft.upsert,
        document,
        faults,
        unclear,
    )
