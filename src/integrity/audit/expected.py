"""What is expected of a value that is neither an object nor an array, read off its place's core schema.

A value, so that who looks for faults need not read core schemas: the server's queries are made of it
(`integrity.audit.scalar`), and the columns that are looked at here (`integrity.audit.sieve`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128
from pydantic_core import PydanticCustomError

from integrity.declare import convert
from integrity.declare.bson_type import INT_MAX, INT_MIN, INTEGERS
from integrity.declare.constraint import Allow, Forbid
from integrity.declare.policy import Policy
from integrity.declare.shape import Object, coerces
from integrity.declare.slot import Slot

#: Keys of a core schema that say nothing of what is valid.
_SILENT = frozenset({"type", "metadata", "serialization", "ref", "strict", "fail_fast", "microseconds_precision"})
_STRING_CONFIG = ("str_max_length", "str_min_length", "str_strip_whitespace", "str_to_lower", "str_to_upper")
#: Above this, a double is not every integer, and pydantic compares doubles.
_EXACT = 2**53
_SCALARS = frozenset(
    {"str", "int", "float", "decimal", "bool", "datetime", "uuid", "bytes", "literal", "enum", "is-instance"}
)
_NUMBERS = {"int": {"int", "long"}, "float": {"double", "int", "long"}, "decimal": {"decimal"}}


class Undecided(Exception):
    """What is expected of a place cannot be said without its validator."""


@dataclass(frozen=True)
class Typed:
    """Any value of these types.

    Args:
        types: Their BSON aliases, ``"uuid"`` among them.
    """

    types: frozenset[str]


@dataclass(frozen=True)
class Between:
    """The values of one type from one to another.

    Args:
        type: The type's BSON alias.
        low: The lowest.
        high: The highest.
    """

    type: str
    low: Any
    high: Any


@dataclass(frozen=True)
class Number:
    """Numbers.

    Args:
        kind: ``"int"``, ``"float"`` or ``"decimal"``.
        types: The BSON aliases of their types.
        bounds: The bounds, by MongoDB's operator.
        step: What they are multiples of; None for all.
    """

    kind: str
    types: frozenset[str]
    bounds: Mapping[str, Any]
    step: int | None = None


@dataclass(frozen=True)
class Text:
    """Strings.

    Args:
        policy: What no string may be.
        allowed: The strings that may stand there although the policy refuses them.
        least: How many characters they have at least; None for any number.
        most: How many characters they have at most; None for any number.
        pattern: What they match, as it is declared; None for anything.
    """

    policy: Policy
    allowed: frozenset[str] = frozenset()
    least: int | None = None
    most: int | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Literals:
    """These values and no others.

    Args:
        values: Strings, integers and booleans.
        integers: Whether integers are among them.
    """

    values: tuple[Any, ...]
    integers: bool


@dataclass(frozen=True)
class Anything:
    """Any value of any type that the policy lets through.

    Args:
        policy: The policy.
    """

    policy: Policy


#: What is expected where one kind of scalar is valid.
Scalar = Typed | Between | Number | Text | Literals


def only(schema: Any, known: set[str]) -> None:
    """Refuse a schema that says more than what is known here."""
    if any(value is not None for name, value in schema.items() if name not in _SILENT | known):
        raise Undecided


def scalar(slot: Slot) -> Scalar:
    """Return what is expected at a place where one kind of scalar is valid.

    Raises:
        Undecided: More than can be said.
    """
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
        return Between("date", low, high)
    only(schema, {"cls", "sub_type", "custom_error_type", "cls_repr"} if kind != "bytes" else set())
    if slot.node.scalars == {"decimal"}:
        return _number(slot, {"type": "decimal"})
    if slot.node.scalars == {"uuid"}:
        # Binary data is compared by length, subtype and bytes: this is all of subtype 4 with 16 bytes.
        return Between("binData", Binary(bytes(16), 4), Binary(b"\xff" * 16, 4))
    return Typed(slot.node.scalars)


def _string(slot: Slot, schema: Any) -> Text:
    only(schema, {"min_length", "max_length", "pattern"})
    if any((slot.config or {}).get(name) for name in _STRING_CONFIG) or not slot.policy.allow_control_characters:
        raise Undecided
    pattern = schema.get("pattern")
    if pattern is not None and not isinstance(pattern, str):
        raise Undecided
    return Text(slot.policy, _allowed(slot), schema.get("min_length"), schema.get("max_length"), pattern)


def _number(slot: Slot, schema: Any) -> Number:
    kind = schema["type"]
    only(schema, {"gt", "ge", "lt", "le", "multiple_of", "allow_inf_nan"})
    bounds: dict[str, Any] = {}
    for name, operator in (("gt", "$gt"), ("ge", "$gte"), ("lt", "$lt"), ("le", "$lte")):
        if (bound := schema.get(name)) is not None:
            bounds[operator] = _bound(bound, kind)
    if kind != "int" and slot.node.finite:
        # NaN is not comparable with any number, so that it is outside of every range.
        edge = (lambda sign: Decimal128(f"{sign}Infinity")) if kind == "decimal" else (lambda sign: float(f"{sign}inf"))
        if "$gte" not in bounds:
            bounds.setdefault("$gt", edge("-"))
        if "$lte" not in bounds:
            bounds.setdefault("$lt", edge(""))
    step = schema.get("multiple_of")
    if step is not None and (kind != "int" or not isinstance(step, int) or not 0 < step <= INT_MAX):
        raise Undecided
    if kind != "int" and (slot.config or {}).get("allow_inf_nan") is not None:
        raise Undecided
    return Number(kind, frozenset(_NUMBERS[kind]), bounds, step)


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


def _literals(slot: Slot) -> Literals:
    values = slot.node.literals
    if not values:
        raise Undecided
    return Literals(_plain(values), bool(slot.node.scalars & INTEGERS))


def anything(slot: Slot) -> Anything:
    """Return what is expected at a place where any type is valid; what the policy refuses is not.

    Raises:
        Undecided: More than can be said.
    """
    schema = slot.schema
    while schema["type"] in {"default", "nullable"} or (schema["type"] == "chain" and len(schema["steps"]) == 1):
        schema = schema["schema"] if schema["type"] != "chain" else schema["steps"][0]
    if schema["type"] != "any" or not slot.policy.allow_control_characters:
        raise Undecided
    return Anything(slot.policy)


def forbidden(slot: Slot) -> tuple[Any, ...]:
    """Return the values that the field forbids by name: strings, integers and booleans.

    Raises:
        Undecided: It forbids others, or by a function.
    """
    markers = [each for each in slot.node.markers if isinstance(each, Forbid)]
    return _plain([value for each in markers for value in each.values])


def _plain(values: Any) -> tuple[Any, ...]:
    """Return values of which a query tells what equals them; of others, nothing is decided."""
    if not all(type(each) in {str, int, bool} for each in values):
        raise Undecided
    if any(type(each) is int and not INT_MIN <= each <= INT_MAX for each in values):
        raise Undecided
    return tuple(values)


def _allowed(slot: Slot) -> frozenset[str]:
    """The strings that the field allows by name."""
    named = [value for each in slot.node.markers if isinstance(each, Allow) for value in each.values]
    return frozenset(each for each in named if type(each) is str and "\x00" not in each)


def certain(slot: Slot, declared: Object, above: Sequence[Object]) -> None:
    """Refuse an object whose fields do not decide it.

    Args:
        slot: Its place.
        declared: The object.
        above: What it stands in.

    Raises:
        Undecided: A function looks at it as a whole, it is a mapping or contains itself, or undeclared fields in it
            have a type.
    """
    if slot.whole or declared in above or declared.mapping or slot.bare.schema is None:
        raise Undecided
    if not declared.closed and (slot.bare.schema.get("extras_schema") or {"type": "any"})["type"] != "any":
        raise Undecided


def shortest(slot: Slot) -> int:
    """Return how many elements the array at a place has at least.

    Raises:
        Undecided: It is no list of elements that are all of one kind.
    """
    if slot.whole or slot.kind != "list" or slot.node.arrays[0].prefix:
        raise Undecided
    only(slot.bare.schema, {"items_schema", "min_length", "max_length"})
    return max(slot.limit("min_length") or 0, 0 if slot.may_be_empty else 1)
