"""``$rename``: a field's value moves to another name. Only the outcome tells whether it is valid there.

Source: https://www.mongodb.com/docs/manual/reference/operator/update/rename/
"""

from __future__ import annotations

from typing import Any

from integrity.rules.rule import Fault
from integrity.rules.schema import missing_field, wrong_type
from integrity.violation import quote
from integrity.writes.updates.draft import Draft
from integrity.writes.updates.target import Target
from integrity.writes.updates.values import refused_id


def rename(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$rename``: refused where the field is required, or the new name is not declared."""
    if not isinstance(value, str):
        fault = Fault(f"$rename needs the new name, not {quote(value)}.", "Give it as a string.", (quote(value),))
        draft.refuse(wrong_type.RULE, fault, target.path, target.steps)
        return value
    new = draft.targets[value]
    if refused_id(draft, operator, target) or refused_id(draft, operator, new):
        return value
    if new.undeclared is not None:
        draft.refuse(*new.undeclared, new.path, new.steps)
    if target.certain and target.slot.required:
        draft.refuse(missing_field.RULE, missing_field.FAULT, target.path, target.steps)
    draft.touch(operator, target, "unset")
    draft.touch(operator, new, "computed")
    draft.enter(new, creates=True)
    draft.doubt(f"the value that {target.path} has is not known to be valid as {value}")
    return value
