"""``$inc $mul $bit``: a number becomes another one, that only the server knows.

An integer that would not fit 64 bits is refused by the server. A double silently becomes infinite.
Source: https://www.mongodb.com/docs/manual/reference/operator/update/inc/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from bson import Decimal128

from integrity.declare import bson_type
from integrity.declare.constraint import Allow, Forbid
from integrity.declare.slot import VALUE, Slot
from integrity.rules.judge import Judge
from integrity.rules.rule import Fault
from integrity.rules.schema import wrong_type
from integrity.violation import quote
from integrity.writes.updates.conditions import Ranges, compared, high, low
from integrity.writes.updates.draft import Draft
from integrity.writes.updates.target import Target
from integrity.writes.updates.values import refused_id

# Half a unit in the last place of the greatest double is 2**969: what is far less is rounded away from infinity.
_FAR_FROM_INFINITY = 2.0**900
_FAR_FROM_INFINITY_DECIMAL = Decimal("1E6000")
# An integer that grows by less in each step does not come near 64 bits in the life of an application.
_FAR_FROM_OVERFLOW = 2**40
_NUMERIC = bson_type.NUMBERS | {"decimal"}
_OF_PYTHON = (int, float, Decimal, Decimal128)
_ROOM = "a filter such as {{{!r}: {{{!r}: ...}}}} rules it out"
_OTHER_LIMITS = ("multiple_of", "max_digits", "decimal_places")


def increase(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$inc``: proved where the limits leave room for it."""
    if (amount := _amount(draft, operator, target, value)) is None:
        return value
    declared = _number(target)
    if declared is not None:
        ranges = draft.conditions.ranges.get(target.path, ()) if declared.limited else ()
        for each in _exceeded(target, declared, amount, ranges):
            draft.doubt(each)
    elif not target.slot.node.anything:
        draft.doubt(f"{target.path} is declared with more than a plain number")
    if (declared.double if declared is not None else _is_double(target.slot)) and not _small(amount):
        draft.doubt(f"{target.path} may become infinite")
    if isinstance(amount, int) and abs(amount) >= _FAR_FROM_OVERFLOW:
        draft.stop(f"{target.path} may not fit 64 bits")
    return amount


def increased(target: Target, value: Any, filter: Mapping[str, Any]) -> Any:
    """Return the amount of an ``$inc`` that is seen at once to be proved; None where it takes a plan to tell."""
    declared = _number(target)
    if declared is None or type(value) not in _OF_PYTHON:
        return None
    made = declared.judge.glance({VALUE: value})
    if made is None or (declared.double and not _small(made[VALUE])):
        return None
    amount = made[VALUE]
    ranges = compared(filter, target.path) if declared.limited else ()
    return amount if next(_exceeded(target, declared, amount, ranges), None) is None else None


def multiply(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$mul``: proved for a number without limits that stays finite."""
    if (amount := _amount(draft, operator, target, value)) is None:
        return value
    declared = _number(target)
    if not target.slot.node.anything and not (declared is not None and declared.free):
        draft.doubt(f"{target.path} may leave what is declared")
    if _is_double(target.slot) and not abs(_plain(amount)) <= 1:
        draft.doubt(f"{target.path} may become infinite")
    if isinstance(amount, int) and abs(amount) > 1:
        draft.stop(f"{target.path} may not fit 64 bits")
    return amount


def bits(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """``$bit``: proved for an integer without limits."""
    if _unsuitable(draft, operator, target, bson_type.INTEGERS):
        return value
    draft.enter(target, creates=True)
    draft.touch(operator, target, "computed")
    if isinstance(value, Mapping):
        for name, each in value.items():
            if not isinstance(each, int) or isinstance(each, bool):
                _not_a(draft, target, "an integer", each, f"$bit: {name}")
    if target.slot.node.nullable or target.slot.kind != "int":
        draft.stop(f"{target.path} may be no integer")
    declared = _number(target)
    if not (target.slot.kind == "int" and declared is not None and declared.free):
        draft.doubt(f"{target.path} is declared with more than a plain integer")
    return value


def _amount(draft: Draft, operator: str, target: Target, value: Any) -> Any:
    """Return the amount as the field's own type, or None where it is refused."""
    if _unsuitable(draft, operator, target, _NUMERIC):
        return None
    draft.enter(target, creates=True)
    draft.touch(operator, target, "computed")
    if not isinstance(value, _OF_PYTHON) or isinstance(value, bool):
        _not_a(draft, target, "a number", value, operator)
        return None
    declared = _number(target)
    if declared is None:
        draft.stop(f"{target.path} may be no number")
        return draft.encoded(target, value)
    before = len(draft.violations)
    amount = draft.judged(declared.judge, value, target.path, target.steps)
    if target.slot.node.nullable:
        draft.stop(f"{target.path} may be null")
    return amount if len(draft.violations) == before else None


def _unsuitable(draft: Draft, operator: str, target: Target, types: frozenset[str]) -> bool:
    """Refuse an operator at a place that is not declared, is the ``_id``, or holds nothing of these types."""
    if target.undeclared is not None:
        draft.refuse(*target.undeclared, target.path, target.steps)
        return True
    if refused_id(draft, operator, target):
        return True
    slot = target.slot
    if slot.schema is None or slot.node.anything or slot.node.scalars & types:
        return False
    declared = bson_type.name(slot.node.types)
    fault = Fault(f"is declared as {declared}, and {operator} is for numbers.", "Name a field that holds a number.")
    draft.refuse(wrong_type.RULE, fault, target.path, target.steps)
    return True


def _not_a(draft: Draft, target: Target, wanted: str, value: Any, operator: str) -> None:
    shown = quote(value)
    fault = Fault(f"{operator} needs {wanted}, not {shown}.", "Give a number of the declared type.", (shown,))
    draft.refuse(wrong_type.RULE, fault, target.path, target.steps)


@dataclass(frozen=True)
class _Number:
    """What the declaration says of a number, gathered once for each place.

    Args:
        judge: Judges its type without its limits: an amount may be negative where the field may not.
        least: The lower limit, and whether the number may be equal to it.
        most: The upper limit, and whether the number may be equal to it.
        others: The names of other limits.
        forbidden: Whether some numbers are forbidden.
        double: Whether it may become infinite, and that would be a fault.
    """

    judge: Judge
    least: tuple[Any, bool] | None
    most: tuple[Any, bool] | None
    others: tuple[str, ...]
    forbidden: bool
    double: bool

    @property
    def limited(self) -> bool:
        """Whether it has a lower or an upper limit."""
        return self.least is not None or self.most is not None

    @property
    def free(self) -> bool:
        """Whether there are no limits."""
        return not (self.limited or self.others or self.forbidden)

    def above(self, number: Any) -> bool:
        """Whether a number is not below the lower limit."""
        return self.least is None or number > self.least[0] or (self.least[1] and number == self.least[0])

    def below(self, number: Any) -> bool:
        """Whether a number is not above the upper limit."""
        return self.most is None or number < self.most[0] or (self.most[1] and number == self.most[0])


def _number(target: Target) -> _Number | None:
    """Return what is declared of a plain number, or None where more than that may stand."""
    if not target.slot.number:
        return None
    found: _Number | None = target.__dict__.get("_number")
    if found is None:
        slot = target.slot
        markers = tuple(each for each in slot.node.markers if isinstance(each, Allow))
        plain = replace(slot, schema={"type": slot.kind}, node=replace(slot.node, markers=markers, literals=()))
        found = target.__dict__["_number"] = _Number(
            judge=Judge(plain.judged),
            least=_limit(slot, "ge", "gt", max),
            most=_limit(slot, "le", "lt", min),
            others=tuple(each for each in _OTHER_LIMITS if slot.limit(each) is not None),
            forbidden=any(isinstance(each, Forbid) for each in slot.node.markers),
            double=_is_double(slot),
        )
    return found


def _limit(slot: Slot, inclusive: str, exclusive: str, tighter: Callable[[Any, Any], Any]) -> tuple[Any, bool] | None:
    closed, opened = slot.limit(inclusive), slot.limit(exclusive)
    if closed is None or opened is None:
        return None if closed is opened else (opened, False) if closed is None else (closed, True)
    return (opened, False) if tighter(closed, opened) == opened else (closed, True)


def _exceeded(target: Target, declared: _Number, amount: Any, ranges: Ranges) -> Iterator[str]:
    """Say which limits the new number may exceed, given what a filter says of the old one."""
    path = target.path
    for name in declared.others:
        yield f"{path} may leave its {name}"
    if declared.forbidden:
        yield f"{path} may become what is forbidden"
    if not declared.limited:
        return
    change = _plain(amount)
    # Below an array, a filter's comparison may hold for another element. A Decimal is rounded in ways of its own.
    single = "[]" not in target.steps and target.slot.kind != "decimal"
    whole = target.slot.kind == "int"
    least = low(ranges, whole=whole) if single else None
    most = high(ranges, whole=whole) if single else None
    becomes = not target.there and least is None and most is None  # where the field is not there, it becomes the amount
    if becomes and not (declared.above(change) and declared.below(change)):
        yield f"{path} would be {amount} where it is not there"
    if change < 0 and declared.least is not None and not (least is not None and declared.above(least + change)):
        yield f"{path} may fall below its limit {declared.least[0]}; {_ROOM.format(path, '$gte')}"
    if change > 0 and declared.most is not None and not (most is not None and declared.below(most + change)):
        yield f"{path} may exceed its limit {declared.most[0]}; {_ROOM.format(path, '$lte')}"


def _is_double(slot: Slot) -> bool:
    if slot.kind == "int":
        return False
    return slot.node.anything or (slot.node.finite and not slot.policy.allow_nan)


def _small(amount: Any) -> bool:
    number = _plain(amount)
    if isinstance(number, Decimal):
        return abs(number) < _FAR_FROM_INFINITY_DECIMAL
    return math.fabs(number) < _FAR_FROM_INFINITY


def _plain(amount: Any) -> Any:
    return amount.to_decimal() if isinstance(amount, Decimal128) else amount
