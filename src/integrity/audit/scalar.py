"""What finds a fault in a value that is neither an object nor an array, as operators of a query about it.

Each finds a fault that is there, or the absence (``$not``) of everything valid, see `integrity.audit.pushdown`.

Source: https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#type-bracketing
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128, Regex
from pydantic_core import PydanticCustomError

from integrity.audit import text
from integrity.declare import convert
from integrity.declare.bson_type import INT_MAX, INT_MIN, INTEGERS
from integrity.declare.constraint import Allow, Forbid
from integrity.declare.shape import coerces
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

#: Keys of a core schema that say nothing of what is valid.
_SILENT = frozenset({"type", "metadata", "serialization", "ref", "strict", "fail_fast", "microseconds_precision"})
_STRING_CONFIG = ("str_max_length", "str_min_length", "str_strip_whitespace", "str_to_lower", "str_to_upper")
#: Above this, a double is not every integer, and pydantic compares doubles.
_EXACT = 2**53
_SCALARS = frozenset(
    {"str", "int", "float", "decimal", "bool", "datetime", "uuid", "bytes", "literal", "enum", "is-instance"}
)


class Undecided(Exception):
    """The server cannot decide a place."""


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


def only(schema: Any, known: set[str]) -> None:
    """Refuse a schema that says more than what is known here."""
    if any(value is not None for name, value in schema.items() if name not in _SILENT | known):
        raise Undecided


def scalar(slot: Slot) -> Tests:
    """Return the tests of a place where one kind of scalar is valid."""
    schema = slot.schema
    while schema["type"] not in _SCALARS:
        kind = schema["type"]
        if kind in {"default", "nullable"} or coerces(schema):
            schema = schema["schema"]
        elif kind == "chain" and len(schema["steps"]) == 1:
            schema = schema["steps"][0]
        elif kind == "definition-ref" and schema["schema_ref"] in slot.definitions:
            schema = slot.definitions[schema["schema_ref"]]
        else:
            raise Undecided
    kind = schema["type"]
    if kind in {"literal", "enum"}:
        return _literals(slot)
    if kind == "str":
        return _string(slot, schema)
    if kind in {"int", "float", "decimal"}:
        return _number(slot, schema)
    if kind == "datetime":
        only(schema, set())
        # Beyond these a date is stored well, and no datetime.
        low, high = dt.datetime.min, dt.datetime.max.replace(microsecond=999000)  # noqa: DTZ901 - as PyMongo reads it
        return _between({"date"}, {"$gte": low, "$lte": high})
    only(schema, {"cls", "sub_type", "custom_error_type", "cls_repr"} if kind != "bytes" else set())
    if slot.node.scalars == {"decimal"}:
        return _number(slot, {"type": "decimal"})
    if slot.node.scalars == {"uuid"}:
        # Binary data is compared by length, subtype and bytes: this is all of subtype 4 with 16 bytes.
        return _between({"binData"}, {"$gte": Binary(bytes(16), 4), "$lte": Binary(b"\xff" * 16, 4)})
    return _typed(slot, slot.node.scalars)


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


def _string(slot: Slot, schema: Any) -> Tests:
    only(schema, {"min_length", "max_length", "pattern"})
    if any((slot.config or {}).get(name) for name in _STRING_CONFIG) or not slot.policy.allow_control_characters:
        raise Undecided
    valid = text.valid(slot.policy, _allowed(slot))
    patterns = [valid or text.UTF8]
    least, most = schema.get("min_length"), schema.get("max_length")
    if least or most is not None:
        if max(least or 0, most or 0) > 65_000:  # noqa: PLR2004 - PCRE's longest repetition
            raise Undecided
        patterns.append(text.length(least, most))
    if (wanted := schema.get("pattern")) is not None:
        translated = text.agreed(wanted) if isinstance(wanted, str) else None
        if translated is None:
            raise Undecided
        patterns.append(translated)
    return Tests(
        required=[*({"$not": {"$regex": each}} for each in patterns), ARRAY],
        # Null is let through by the same look at the value: `$ne: null` would take as long as all the rest.
        optional=[*({"$nin": [None, Regex(each)]} for each in patterns), ARRAY],
    )


def _number(slot: Slot, schema: Any) -> Tests:
    kind = schema["type"]
    only(schema, {"gt", "ge", "lt", "le", "multiple_of", "allow_inf_nan"})
    bounds: Operator = {}
    for name, operator in (("gt", "$gt"), ("ge", "$gte"), ("lt", "$lt"), ("le", "$lte")):
        if (bound := schema.get(name)) is not None:
            bounds[operator] = _bound(bound, kind)
    own = {"int": {"int", "long"}, "float": {"double", "int", "long"}, "decimal": {"decimal"}}[kind]
    if kind != "int" and slot.node.finite:
        # NaN is not comparable with any number, so that it is outside of every range.
        edge = (lambda sign: Decimal128(f"{sign}Infinity")) if kind == "decimal" else (lambda sign: float(f"{sign}inf"))
        if "$gte" not in bounds:
            bounds.setdefault("$gt", edge("-"))
        if "$lte" not in bounds:
            bounds.setdefault("$lt", edge(""))
    steps: list[Operator] = []
    if (step := schema.get("multiple_of")) is not None:
        if kind != "int" or not isinstance(step, int) or not 0 < step <= INT_MAX:
            raise Undecided
        steps = [{"$not": {"$mod": [step, 0]}}]
    if kind != "int" and (slot.config or {}).get("allow_inf_nan") is not None:
        raise Undecided
    if not bounds:
        found = _typed(slot, own)
    else:
        # Numbers of all types compare with one another: a comparison proves a number, and no type.
        wrong = [each for each in ("double", "int", "long", "decimal") if each not in own]
        outside = [{_OPPOSITE[name]: bound} for name, bound in bounds.items()]
        if kind != "int":
            outside.append({"$eq": math.nan})
        found = Tests(
            required=[{"$type": [*wrong, "array"]}, {"$not": bounds}],
            optional=[others(own), *outside],
        )
    found.required += steps
    found.optional += [{**each, "$ne": None} for each in steps]
    return found


def _bound(bound: Any, kind: str) -> Any:
    if kind == "decimal":
        try:
            return convert.to_decimal128(bound if isinstance(bound, Decimal) else Decimal(str(bound)))
        except PydanticCustomError:
            raise Undecided from None
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
        raise Undecided
    if not INT_MIN <= bound <= INT_MAX or (kind == "float" and abs(bound) >= _EXACT):
        raise Undecided
    return bound


def _literals(slot: Slot) -> Tests:
    values = slot.node.literals
    if not values or not all(type(each) in {str, int, bool} for each in values):
        raise Undecided
    if any(type(each) is int and not INT_MIN <= each <= INT_MAX for each in values):
        raise Undecided
    # 1.0 equals 1.
    types: Operator = {"$type": ["double", "decimal", "array"]} if slot.node.scalars & INTEGERS else ARRAY
    return Tests(required=[{"$nin": [*values]}, types], optional=[{"$nin": [None, *values]}, types])


def anything(slot: Slot) -> Tests:
    """Any type is valid; what the policy refuses is not."""
    schema = slot.schema
    while schema["type"] in {"default", "nullable"} or (schema["type"] == "chain" and len(schema["steps"]) == 1):
        schema = schema["schema"] if schema["type"] != "chain" else schema["steps"][0]
    if schema["type"] != "any" or not slot.policy.allow_control_characters:
        raise Undecided
    policy = slot.policy
    refused: list[Any] = [*sorted(policy.placeholders), "", [], {}, math.nan, math.inf, -math.inf]
    found = Tests(values=[{"$in": refused}, {"$type": "string", "$not": {"$regex": text.UTF8}}])
    if not policy.allow_white_space:
        found.values.append({"$regex": text.empty_or_invisible()})
    return found


def forbidden(slot: Slot) -> list[Operator]:
    """Return the tests of the values that the field forbids by name."""
    values = [value for each in slot.node.markers if isinstance(each, Forbid) for value in each.values]
    if not all(type(each) in {str, int, bool} for each in values):
        raise Undecided
    if any(type(each) is int and not INT_MIN <= each <= INT_MAX for each in values):
        raise Undecided
    return [{"$in": values}] if values else []


def _allowed(slot: Slot) -> frozenset[str]:
    """The strings that the field allows by name."""
    named = [value for each in slot.node.markers if isinstance(each, Allow) for value in each.values]
    return frozenset(each for each in named if type(each) is str and "\x00" not in each)
