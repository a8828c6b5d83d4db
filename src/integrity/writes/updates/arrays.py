"""``$push $addToSet $pop $pull $pullAll``: an array gets more elements, or fewer.

Source: https://www.mongodb.com/docs/manual/reference/operator/update-array/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrity.declare import bson_type, codec
from integrity.rules.empty import empty_container
from integrity.rules.rule import Fault
from integrity.rules.schema import wrong_type
from integrity.writes.updates.draft import Draft
from integrity.writes.updates.target import Target


def push(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$push``: proved for a valid element where there is room for it."""
    if _unsuitable(draft, operator, target):
        return value
    draft.enter(target, creates=True)
    if not (isinstance(value, Mapping) and "$each" in value):
        found = _elements(draft, target, [value], "")
        draft.touch(operator, target, "added", found)
        _room(draft, target, len(found))
        return found[0]
    modifiers = dict(value)
    if isinstance(modifiers["$each"], list | tuple):
        modifiers["$each"] = _elements(draft, target, list(modifiers["$each"]), ".$each")
        draft.touch(operator, target, "added", modifiers["$each"])
        cut = modifiers.get("$slice")
        if "$slice" in modifiers and not (isinstance(cut, int) and not isinstance(cut, bool)):
            cut = None
            draft.doubt(f"$slice at {target.path} is no integer")
        _room(draft, target, len(modifiers["$each"]), None if cut is None else abs(cut))
    else:
        draft.touch(operator, target, "computed")
        draft.doubt(f"$each at {target.path} is no array")
    return modifiers


def add_to_set(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$addToSet``: as ``$push``, except for what is there already."""
    if _unsuitable(draft, operator, target):
        return value
    draft.enter(target, creates=True)
    if several(value):
        if not isinstance(value["$each"], list | tuple):
            draft.touch(operator, target, "computed")
            draft.doubt(f"$each at {target.path} is no array")
            return value
        found = _elements(draft, target, list(value["$each"]), ".$each")
        made: Any = {**value, "$each": found}
    else:
        found = _elements(draft, target, [value], "")
        made = found[0]
    draft.touch(operator, target, "added", found)
    distinct = 1 if found else 0  # the others may be equal to the first
    _room(draft, target, len(found), None, distinct)
    return made


def several(operand: Any) -> bool:
    """Whether ``$addToSet`` takes an operand for several elements: where ``$each`` comes first, unlike ``$push``."""
    return isinstance(operand, Mapping) and next(iter(operand), None) == "$each"


def pop(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$pop``: proved where the array may be empty."""
    if not _unsuitable(draft, operator, target):
        draft.enter(target, creates=False)
        draft.touch(operator, target, "removed")
        _fewer(draft, target)
    return value


def pull(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$pull`` and ``$pullAll``: proved where the array may be empty. The condition is a filter, not a value."""
    if _unsuitable(draft, operator, target):
        return value
    draft.enter(target, creates=False)
    draft.touch(operator, target, "removed")
    _fewer(draft, target)
    try:
        return codec.encode(codec.plain(value))
    except ValueError:  # PydanticCustomError: PyMongo has its own words for it
        return value


def _unsuitable(draft: Draft, operator: str, target: Target) -> bool:
    """Refuse an operator at a place that is not declared, or not as an array."""
    if target.undeclared is not None:
        draft.refuse(*target.undeclared, target.path, target.steps)
        return True
    node = target.slot.node
    if node.arrays or node.anything:
        if node.nullable or node.scalars or node.objects:
            draft.stop(f"{target.path} may be no array")
        return False
    fault = Fault(
        f"is declared as {bson_type.name(node.types)}, and {operator} is for arrays.", "Name a field that is an array."
    )
    draft.refuse(wrong_type.RULE, fault, target.path, target.steps)
    return True


def _elements(draft: Draft, target: Target, values: list[Any], each_path: str) -> list[Any]:
    judge = target.element_judge
    element = target.element
    if judge is None or element is None:
        return [draft.encoded(target, each) for each in values]
    found = []
    for index, each in enumerate(values):
        path = f"{target.path}{each_path}.{index}" if each_path else target.path
        found.append(draft.judged(judge, each, path, element.steps))
    return found


def _room(draft: Draft, target: Target, more: int, cut: int | None = None, distinct: int | None = None) -> None:
    """Note what is not proved of the array's length.

    Args:
        draft: The plan in the making.
        target: The array.
        more: How many elements it gets at most.
        cut: How many ``$slice`` leaves at most; None without it.
        distinct: How many it gets at least where it was empty; None for all.
    """
    slot, path = target.slot, target.path
    if slot.node.anything:
        return
    if slot.kind != "list" or slot.whole:
        draft.doubt(f"{path} is declared with more than a plain list")
        return
    longest = slot.limit("max_length")
    if longest is not None and more and (cut is None or cut > longest):
        draft.doubt(f"{path} may become longer than {longest}; a $slice of {longest} or -{longest} rules it out")
    least = slot.shortest
    if cut is not None and cut < least:
        if cut == 0 and not slot.may_be_empty and slot.limit("min_length") is None:
            fault = empty_container.fault([], slot.policy)
            if fault is not None:
                draft.refuse(empty_container.RULE, fault, path, target.steps)
                return
        draft.doubt(f"{path} may be cut to fewer than {least} elements")
    given = more if distinct is None else distinct
    if not target.there and given < least:
        draft.doubt(f"where {path} is not there, it would be created with fewer than {least} elements")


def _fewer(draft: Draft, target: Target) -> None:
    slot = target.slot
    if slot.node.anything:
        return
    if slot.kind != "list" or slot.whole:
        draft.doubt(f"{target.path} is declared with more than a plain list")
    elif slot.shortest:
        draft.doubt(f"{target.path} may be left with fewer than {slot.shortest} elements")
