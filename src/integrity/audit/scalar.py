"""What finds a fault in a value that is neither an object nor an array, as operators of a query about it.

Each finds a fault that is there, or the absence (``$not``) of everything valid, see `integrity.audit.pushdown`.

Source: https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#type-bracketing
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from bson import Regex

from integrity.audit import expected, text
from integrity.audit.expected import Undecided
from integrity.declare.slot import Slot

Operator = dict[str, Any]
Clause = dict[str, Any]

ARRAY: Operator = {"$type": "array"}

_OPPOSITE = {"$gt": "$lte", "$gte": "$lt", "$lt": "$gte", "$lte": "$gt"}
#: Every type that ``$type`` knows, but null's two.
_ALIASES = (
    "double", "string", "object", "array", "binData", "objectId", "bool", "date", "regex", "dbPointer", "javascript",
    "symbol", "javascriptWithScope", "int", "timestamp", "long", "decimal", "minKey", "maxKey",
)  # fmt: skip


@dataclass
class Tests:
    """The faults of a value, as operators about it.

    Args:
        values: What finds a fault in a value that is there.
        required: What finds, besides, that there is no value of a valid type, where there must be one.
        optional: The same where null, or nothing, may stand there.
        fields: Clauses about the fields of an object.
        longest: The most elements of an array.
        unknown: The JSON schema that undeclared fields fail.
    """

    values: list[Operator] = field(default_factory=list)
    required: list[Operator] = field(default_factory=list)
    optional: list[Operator] = field(default_factory=list)
    fields: list[Clause] = field(default_factory=list)
    longest: int | None = None
    unknown: Clause = field(default_factory=dict)

    def operators(self, *, optional: bool) -> list[Operator]:
        """Return the operators about the value."""
        return [*self.values, *(self.optional if optional else self.required)]


def scalar(slot: Slot) -> Tests:
    """Return the tests of a place where one kind of scalar is valid.

    Raises:
        Undecided: The server cannot decide it.
    """
    match expected.scalar(slot):
        case expected.Literals() as found:
            return _literals(found)
        case expected.Text() as found:
            return _string(found)
        case expected.Number() as found if found.bounds:
            return _bounded(found)
        case expected.Number() as found:
            return _with_steps(_typed(slot, found.types), found)
        case expected.Between() as found:
            return _between({found.type}, {"$gte": found.low, "$lte": found.high})
        case expected.Typed() as found:
            return _typed(slot, found.types)


def others(aliases: AbstractSet[str]) -> Operator:
    """Return what is true for every type but these, and but null."""
    own = aliases - {"uuid"} | ({"binData"} if "uuid" in aliases else set())
    return {"$type": [each for each in _ALIASES if each not in own]}


def _typed(slot: Slot, aliases: AbstractSet[str]) -> Tests:
    own = sorted(aliases - {"uuid"} | ({"binData"} if "uuid" in aliases else set()))
    arrays = [] if slot.steps == ("_id",) else [ARRAY]  # in an _id there is none
    return Tests(required=[{"$not": {"$type": own}}, *arrays], optional=[others(aliases)])


def _between(aliases: AbstractSet[str], bounds: Operator) -> Tests:
    """Return the tests of a type and of its bounds, by comparisons that are true within one type only."""
    outside = [{_OPPOSITE[name]: bound} for name, bound in bounds.items()]
    return Tests(required=[{"$not": bounds}, ARRAY], optional=[others(aliases), *outside])


def _string(wanted: expected.Text) -> Tests:
    valid = text.valid(wanted.policy, wanted.allowed)
    patterns = [valid or text.UTF8]
    least, most = wanted.least, wanted.most
    if least or most is not None:
        if max(least or 0, most or 0) > 65_000:  # noqa: PLR2004 - PCRE's longest repetition
            raise Undecided
        patterns.append(text.length(least, most))
    if wanted.pattern is not None:
        if (translated := text.agreed(wanted.pattern)) is None:
            raise Undecided
        patterns.append(translated)
    return Tests(
        required=[*({"$not": {"$regex": each}} for each in patterns), ARRAY],
        # Null is let through by the same look at the value: `$ne: null` would take as long as all the rest.
        optional=[*({"$nin": [None, Regex(each)]} for each in patterns), ARRAY],
    )


def _bounded(number: expected.Number) -> Tests:
    bounds = dict(number.bounds)
    # Numbers of all types compare with one another: a comparison proves a number, and no type.
    wrong = [each for each in ("double", "int", "long", "decimal") if each not in number.types]
    outside = [{_OPPOSITE[name]: bound} for name, bound in bounds.items()]
    if number.kind != "int":
        outside.append({"$eq": math.nan})
    return _with_steps(
        Tests(
            required=[{"$type": [*wrong, "array"]}, {"$not": bounds}],
            optional=[others(number.types), *outside],
        ),
        number,
    )


def _with_steps(found: Tests, number: expected.Number) -> Tests:
    if number.step is not None:
        wrong: Operator = {"$not": {"$mod": [number.step, 0]}}
        found.required.append(wrong)
        found.optional.append({**wrong, "$ne": None})
    return found


def _literals(wanted: expected.Literals) -> Tests:
    values = wanted.values
    # 1.0 equals 1.
    types: Operator = {"$type": ["double", "decimal", "array"]} if wanted.integers else ARRAY
    return Tests(required=[{"$nin": [*values]}, types], optional=[{"$nin": [None, *values]}, types])


def anything(slot: Slot) -> Tests:
    """Return the tests of a place where any type is valid.

    Raises:
        Undecided: The server cannot decide it.
    """
    policy = expected.anything(slot).policy
    refused: list[Any] = [*sorted(policy.placeholders), "", [], {}, math.nan, math.inf, -math.inf]
    # Symbols and code are strings to Python as well, which no pattern looks into; and rare.
    others_: Operator = {"$type": ["javascript", "javascriptWithScope", "symbol"]}
    found = Tests(values=[{"$in": refused}, {"$type": "string", "$not": {"$regex": text.UTF8}}, others_])
    if not policy.allow_white_space:
        found.values.append({"$regex": text.empty_or_invisible()})
    return found


def forbidden(slot: Slot) -> list[Operator]:
    """Return the tests of the values that the field forbids by name.

    Raises:
        Undecided: The server cannot decide it.
    """
    values = expected.forbidden(slot)
    return [{"$in": [*values]}] if values else []
