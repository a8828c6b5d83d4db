"""The schemas of single values: what a write may offer for each, and what a stored one must be.

A write takes what pydantic coerces, within the bounds of BSON's types. A stored value is judged strictly by its
BSON type. Each comes in two forms: one whose outcome is BSON's value, for a document that is validated from dict to
dict, and one whose outcome is Python's, for functions and instances of the user's.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Iterable
from typing import Any

from bson import Decimal128, ObjectId
from pydantic_core import core_schema

from integrity.declare import codec, convert
from integrity.declare.bson_type import INT_MAX, INT_MIN
from integrity.declare.coercion import after, before, of_class
from integrity.declare.equality import token
from integrity.declare.schema import Mode

_STRICT = frozenset({"int", "str", "bool", "float", "uuid"})
_BOUNDS = ("le", "lt", "ge", "gt")
_MS, _LAST = dt.timedelta(milliseconds=1), dt.datetime.max  # noqa: DTZ901 - given the zone of what it is compared with


class Leaf:
    """Makes the schemas of scalars in one mode."""

    def __init__(self, mode: Mode) -> None:
        self.write = mode == "write"

    def bson(self, schema: Any) -> Any:
        """Return the schema whose outcome is what is stored."""
        kind = schema["type"]
        if kind == "int":
            return self._int(schema)
        if kind == "datetime":
            return self._datetime(schema)
        if kind == "bytes":
            return before(convert.offered_bytes if self.write else convert.stored_bytes, schema)
        if kind == "decimal":
            return self._decimal(schema)
        if kind == "date":
            return after(codec.encode, _date(schema)) if self.write else before(convert.stored_date, schema)
        if kind in {"literal", "enum"}:
            return self._choice(schema)
        if kind == "is-instance":
            return self.is_instance(schema)
        if kind == "any":
            return after(codec.encode, schema) if self.write else schema
        return {**schema, "strict": True} if kind in _STRICT and not self.write else schema

    def python(self, schema: Any, *, lax: bool) -> Any:
        """Return the schema of a decoded value whose outcome is Python's; None when it is no scalar's.

        Args:
            schema: The core schema.
            lax: Whether a function of the user's stands before it, whose outcome may be of any type.
        """
        kind = schema["type"]
        if kind == "datetime":
            return self._datetime(schema, strict=not lax)
        if kind == "is-instance":
            function = convert.COERCIONS.get(schema["cls"])
            return schema if function is None else of_class(schema, function)
        if self.write:
            how = {"int": self._int, "bytes": self.bson, "date": _date, "enum": _enum, "literal": _literal}
            return how.get(kind, lambda _: None)(schema)
        if lax:
            how = {"bytes": _bytes, "date": _date, "enum": _enum, "literal": _literal}
            return how.get(kind, lambda _: None)(schema)
        if kind in _STRICT or kind == "decimal":
            return {**schema, "strict": True}
        if kind in {"bytes", "date"}:
            return self.bson(schema)
        if kind in {"literal", "enum"}:
            return before(_exactly(list(_values(schema))), (_enum if kind == "enum" else _literal)(schema))
        return None

    def is_instance(self, schema: Any) -> Any:
        """Return the schema of one of BSON's own classes."""
        function = convert.COERCIONS.get(schema["cls"])
        # PyMongo decodes what is stored into these two classes and no other; text is a coercion of writes.
        exact = not self.write and schema["cls"] in {ObjectId, Decimal128}
        return schema if function is None or exact else of_class(schema, function)

    def _int(self, schema: Any) -> Any:
        if not self.write:
            return {**schema, "strict": True}
        high, low = schema.get("le", INT_MAX), schema.get("ge", INT_MIN)
        return {**schema, "le": min(high, INT_MAX), "ge": max(low, INT_MIN)}

    def _datetime(self, schema: Any, *, strict: bool = True) -> Any:
        # Naive is UTC, offered as well as stored: PyMongo stores it so.
        made = {**schema, **{name: _aware(schema[name]) for name in _BOUNDS if name in schema}}
        if schema.get("now_op") is not None and schema.get("now_utc_offset") is None:
            made["now_utc_offset"] = 0
        if self.write:
            _cut(made)
            return after(convert.encodable, before(convert.offered_datetime, made))
        made["strict"] = strict
        zone = schema.get("tz_constraint")
        if zone == "naive" and not strict:  # read with tz_aware=True
            return before(convert.naive_datetime, made)
        if zone is None or zone == "naive":
            return made
        return before(convert.stored_datetime if zone == "aware" else _in_zone(zone), made)

    def _decimal(self, schema: Any) -> Any:
        if self.write:
            return after(convert.to_decimal128, before(codec.decode, schema))
        return before(convert.stored_decimal, {**schema, "strict": False})

    def _choice(self, schema: Any) -> Any:
        values = list(_values(schema))
        if not self.write:
            return _one_of(values)
        members = schema["type"] == "enum" or any(type(each) not in {str, int, bool, type(None)} for each in
                                                  schema["expected"])  # fmt: skip
        schema = (_enum if schema["type"] == "enum" else _literal)(schema)
        return after(codec.encode, schema) if members else schema


def _bytes(schema: Any) -> Any:
    return before(convert.stored_bytes, schema)


def _date(schema: Any) -> Any:
    """Return a schema that takes a day as it is stored, which a strict one does not."""
    return before(convert.offered_date, schema)


def _enum(schema: Any) -> Any:
    """Return a schema that takes a member's value, as which it is stored; a strict one takes members only."""
    if all(type(each.value) is str for each in schema["members"]):
        return {**schema, "strict": False}
    return _by_value(schema, schema["members"])


def _literal(schema: Any) -> Any:
    """Return a literal's schema that takes the values of its members, as which they are stored."""
    members = [each for each in schema["expected"] if isinstance(each, enum.Enum)]
    return _by_value(schema, members) if members else schema


def _by_value(schema: Any, choices: Iterable[enum.Enum]) -> Any:
    members = {token(codec.encode(each)): each for each in choices}
    # A member is itself: one of another enum may have the same value.
    return before(lambda value: value if isinstance(value, enum.Enum) else members.get(token(value), value), schema)


def _values(schema: Any) -> Iterable[Any]:
    for each in schema["expected"] if schema["type"] == "literal" else schema["members"]:
        yield codec.encode(each)


def _one_of(values: list[Any]) -> Any:
    """Return the schema of a stored choice: pydantic's own takes 1.0 and true for 1."""
    if all(type(each) is str for each in values):
        return core_schema.literal_schema(values)
    if all(type(each) is int for each in values):
        return core_schema.chain_schema([core_schema.int_schema(strict=True), core_schema.literal_schema(values)])
    return before(_exactly(values), core_schema.any_schema())


def _exactly(values: list[Any]) -> Callable[[Any], Any]:
    known = {token(each) for each in values}
    shown = ", ".join(map(repr, values))

    def check(value: Any) -> Any:
        if token(codec.encode(value)) in known:
            return value
        raise convert.choice_error(f"must be one of {shown}")

    return check


def _aware(bound: dt.datetime) -> dt.datetime:
    return bound if bound.tzinfo is not None else bound.replace(tzinfo=dt.UTC)


def _cut(schema: Any) -> None:
    """Move lower bounds to the millisecond, to which a stored date is cut: it is above them then too."""
    for name, step in (("gt", _MS), ("ge", dt.timedelta())):
        if (bound := schema.get(name)) is None:
            continue
        part = dt.timedelta(microseconds=bound.microsecond % 1000)
        up = step or (_MS if part else step)
        if bound - part <= _LAST.replace(tzinfo=bound.tzinfo) - up:
            del schema[name]
            least = bound - part + up
            schema["ge"] = max(least, schema["ge"]) if "ge" in schema else least


def _in_zone(seconds: int) -> Callable[[Any], Any]:
    zone = dt.timezone(dt.timedelta(seconds=seconds))
    return lambda value: convert.stored_datetime(value).astimezone(zone)
