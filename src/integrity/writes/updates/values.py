"""``$set $setOnInsert $min $max $currentDate $unset``: a field gets a value that the update names, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrity.declare import bson_type
from integrity.declare.equality import equal
from integrity.rules.ownership import changed_immutable
from integrity.rules.rule import Fault
from integrity.rules.schema import missing_field, wrong_type
from integrity.writes.updates.draft import Draft
from integrity.writes.updates.target import Target

_UNCONSTRAINED_DATE = ("ge", "gt", "le", "lt", "now_op")


def set_value(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$set``, ``$min`` and ``$max``: afterwards the field has this value, or the valid one that it had."""
    if target.undeclared is not None:
        draft.refuse(*target.undeclared, target.path, target.steps)
        return value
    draft.enter(target, creates=True)
    if target.path == "_id":
        _same_id(draft, operator, target, value)
    found = draft.offered(target, value)
    draft.touch(operator, target, "set", found)
    return found


def set_on_insert(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$setOnInsert``: documents that exist are left alone."""
    if target.undeclared is not None:
        draft.refuse(*target.undeclared, target.path, target.steps)
        return value
    found = draft.offered(target, value)
    draft.touch(operator, target, "set", found, on_insert=True)
    return found


def current_date(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$currentDate``: the field gets the server's date or timestamp."""
    if target.undeclared is not None:
        draft.refuse(*target.undeclared, target.path, target.steps)
        return value
    draft.enter(target, creates=True)
    draft.touch(operator, target, "computed")
    alias = value.get("$type", "date") if isinstance(value, Mapping) else "date"
    node, slot = target.slot.node, target.slot
    if node.anything or (alias == "date" and slot.kind == "datetime" and not slot.whole and _any_date(target)):
        return value
    if not isinstance(alias, str):
        draft.doubt(f"$type at {target.path} is no name of a type")
    elif alias not in node.scalars:
        fault = Fault(
            f"would become {bson_type.NAMES.get(alias, alias)}; declared as {bson_type.name(node.types)}.",
            "Name a field that is declared so.",
        )
        draft.refuse(wrong_type.RULE, fault, target.path, target.steps)
    else:
        draft.doubt(f"{target.path} is declared with more than a plain date")
    return value


def unset(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$unset``: a field goes, and an array's element becomes null."""
    if target.undeclared is not None:
        draft.touch(operator, target, "unset")
        return value  # no valid document has it: taking it away is how an invalid one is repaired
    draft.touch(operator, target, "unset")
    if target.path == "_id":
        _refuse_id(draft, target)
        return value
    draft.enter(target, creates=False)
    slot = target.slot
    if slot.steps[-1] == "[]":
        if not slot.node.nullable:
            draft.doubt(f"{target.path} would become null, which is not declared")
    elif slot.required:
        if target.certain:
            draft.refuse(missing_field.RULE, missing_field.FAULT, target.path, target.steps)
        else:
            draft.doubt(f"{target.path} is required where what holds it is there")
    elif may_empty(target):
        draft.doubt(f"{'.'.join(target.path.split('.')[:-1])} may be left empty")
    return value


def may_empty(target: Target) -> bool:
    """Whether taking a field away may leave an object without any, or with too few."""
    holder = target.holder
    if not holder.steps or holder.node.anything:
        return False
    container = target.container
    if container is not None and any(each.required for each in container.fields.values()):
        return False
    return not holder.may_be_empty


def refused_id(draft: Draft, operator: str, target: Target) -> bool:
    """Refuse an operator that could only change an ``_id``, and say whether that was so."""
    if target.path.split(".", 1)[0] != "_id":
        return False
    draft.touch(operator, target, "computed")
    _refuse_id(draft, target)
    return True


def _refuse_id(draft: Draft, target: Target) -> None:
    hint = "Insert a new document and delete the old one."
    draft.refuse(changed_immutable.RULE, Fault("is written once and never changes.", hint), target.path, target.steps)


def _same_id(draft: Draft, operator: str, target: Target, value: Any) -> None:
    """The server refuses any ``_id`` but the one that is there, and takes that one."""
    if "_id" in draft.conditions.equal and not equal(draft.conditions.id, value):
        fault = changed_immutable.fault(draft.conditions.id, value)
        draft.refuse(changed_immutable.RULE, fault, target.path, target.steps)
    elif operator != "$set":
        draft.doubt(f"{operator} of the _id")


def _any_date(target: Target) -> bool:
    return all(target.slot.limit(each) is None for each in _UNCONSTRAINED_DATE)
