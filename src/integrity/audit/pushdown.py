"""What the server decides of a collection's field rules: one filter that every document with a fault matches.

The filter may match documents without a fault, which Python then finds clean, and must never miss one with a
fault. What it cannot decide is named, so that it is fetched instead. The traps are MongoDB's: a predicate on a
field also looks into the field's array, ``{f: null}`` also matches where there is no `f`, and comparisons are
true for the compared type only. So each predicate here is either a fault that is there, or the absence (``$not``)
of everything valid, and arrays are asked for by themselves.

Sources: https://www.mongodb.com/docs/manual/tutorial/query-arrays/,
https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#type-bracketing
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128, Regex
from pydantic_core import PydanticCustomError

from integrity.audit import text
from integrity.declare import codec
from integrity.declare.bson_type import INT_MAX, INT_MIN, INTEGERS
from integrity.declare.constraint import Allow, Forbid
from integrity.declare.registry import Entry
from integrity.declare.shape import Object, coerces
from integrity.declare.slot import Slot, root

Operator = dict[str, Any]
Clause = dict[str, Any]

_ARRAY: Operator = {"$type": "array"}
_OBJECT: Operator = {"$not": {"$type": "object"}}
_NULL: Operator = {"$type": ["null", "undefined"]}
_ABSENT: Operator = {"$exists": False}

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
_LONGEST_MINIMUM = 20
_SCALARS = frozenset(
    {"str", "int", "float", "decimal", "bool", "datetime", "uuid", "bytes", "literal", "enum", "is-instance"}
)


@dataclass(frozen=True)
class Pushdown:
    """What the server decides, and what is left.

    Args:
        filter: Matches every document with a fault in what is decided; None where nothing is.
        undecided: The places that Python has to look at in every document, and where a value may be missing.
        whole: Whether Python has to look at every document as a whole.
    """

    filter: Clause | None
    undecided: tuple[Slot, ...] = ()
    whole: bool = False

    @property
    def projection(self) -> dict[str, int]:
        """The fields to fetch for what is undecided."""
        names = sorted({".".join(each for each in slot.steps if each not in {"[]", "*"}) for slot in self.undecided})
        kept = [each for each in names if not any(each.startswith(f"{other}.") for other in names)]
        return dict.fromkeys(["_id", *kept], 1)


class _Undecided(Exception):
    """The server cannot decide a place."""


@dataclass
class _Tests:
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


def compiled(entry: Entry) -> Pushdown:
    """Return what the server decides of the field rules of a model.

    Args:
        entry: The model's entry.
    """
    compiler = _Compiler()
    try:
        found = compiler.object(root(entry), entry.document)
    except _Undecided:
        return Pushdown(None, whole=True)
    clauses = list(found.fields)
    fetched = {slot.steps[0] for slot in compiler.undecided if len(slot.steps) == 1}
    judged = {name for each in clauses for name in each}
    if compiler.undecided and not found.unknown and judged <= fetched | {"_id"}:
        # The server would read every document to say something of what is fetched of every document anyway.
        own = [root(entry).child("_id", entry.document)] if "_id" in judged - fetched else []
        return Pushdown(None, (*own, *compiler.undecided))
    if found.unknown:
        clauses.append({"$nor": [{"$jsonSchema": found.unknown}]})
    return Pushdown({"$or": clauses} if clauses else None, tuple(compiler.undecided))


class _Compiler:
    def __init__(self) -> None:
        self.undecided: list[Slot] = []
        self._above: list[Object] = []

    def object(self, slot: Slot, declared: Object) -> _Tests:
        if slot.whole or declared in self._above or declared.mapping or slot.bare.schema is None:
            raise _Undecided
        if not declared.closed and (slot.bare.schema.get("extras_schema") or {"type": "any"})["type"] != "any":
            raise _Undecided
        if any(not name or "." in name or name.startswith("$") for name in declared.fields):
            raise _Undecided  # not to be named in a query
        self._above.append(declared)
        try:
            return self._fields(slot, declared)
        finally:
            self._above.pop()

    def _fields(self, slot: Slot, declared: Object) -> _Tests:
        found = _Tests()
        properties: dict[str, Clause] = {}
        for name, each in declared.fields.items():
            child = slot.child(name, declared)
            properties[name] = schema = Clause()
            begun = len(self.undecided)
            try:
                tests = self.value(child)
            except _Undecided:
                del self.undecided[begun:]
                self.undecided.append(child)
                if each.required:
                    found.fields.append({name: _ABSENT})
                continue
            found.fields += _named(name, tests, required=each.required, nullable=child.node.nullable)
            schema.update(tests.unknown)
        inner = {name: each for name, each in properties.items() if each}
        if not declared.closed:
            found.unknown = {"properties": inner} if inner else {}
        elif all(each.required for each in declared.fields.values()):
            # Where nothing may be missing, whatever is too much is counted: that is cheaper than its name.
            found.unknown = {"maxProperties": len(declared.fields)} | ({"properties": inner} if inner else {})
        else:
            found.unknown = {"properties": properties, "additionalProperties": False}
        return found

    def value(self, slot: Slot) -> _Tests:
        """Return the tests of what is not null at a place."""
        node = slot.node
        if node.loose or slot.schema is None:
            raise _Undecided
        forbidden = _forbidden(slot)
        if node.anything:
            found = _anything(slot)
        elif len(node.arrays) + len(node.objects) + bool(node.scalars) != 1:
            raise _Undecided
        elif node.arrays:
            found = self.array(slot)
        elif node.objects:
            found = self.object(slot, node.objects[0])
            found.required += [_OBJECT, _ARRAY]
            found.optional.append(_others({"object"}))
            if not any(each.required for each in node.objects[0].fields.values()) and not slot.may_be_empty:
                found.values.append({"$eq": {}})
        else:
            found = _scalar(slot)
        found.values += forbidden
        return found

    def array(self, slot: Slot) -> _Tests:
        declared, schema = slot.node.arrays[0], slot.bare.schema
        if slot.whole or slot.kind != "list" or declared.prefix:
            raise _Undecided
        _only(schema, {"items_schema", "min_length", "max_length"})
        least = max(slot.limit("min_length") or 0, 0 if slot.may_be_empty else 1)
        if least > _LONGEST_MINIMUM:
            raise _Undecided
        # One predicate for "no array, or an empty one".
        some = {"$elemMatch": {"$exists": True}} if least else _ARRAY
        found = _Tests(
            required=[{"$not": some}], optional=[{"$not": some, "$ne": None}], longest=slot.limit("max_length")
        )
        found.values += [{"$size": each} for each in range(1, least)]
        element = slot.element(declared)
        begun = len(self.undecided)
        try:
            inner = self._element(element)
        except _Undecided:
            del self.undecided[begun:]
            self.undecided.append(element)
            return found
        # Elements are looked at one by one: there is no array to be looked into, and nothing can be absent.
        found.values += [{"$elemMatch": each} for each in _operators(inner, nullable=element.node.nullable)]
        return found

    def _element(self, slot: Slot) -> _Tests:
        found = self.value(slot)
        if found.longest is not None:
            raise _Undecided  # only a field's length can be asked for
        return found


def _operators(tests: _Tests, *, nullable: bool) -> Iterator[Operator]:
    """Yield the operators about an array's element."""
    for each in tests.operators(optional=nullable):
        if each is not _ARRAY:
            yield each
    # Asked of each element, a schema costs next to nothing; asked of the array, more than all the rest.
    unknown: list[Clause] = [{"$nor": [{"$jsonSchema": tests.unknown}]}] if tests.unknown else []
    if tests.fields or unknown:
        yield {"$or": [*tests.fields, *unknown]}


def _named(name: str, tests: _Tests, *, required: bool, nullable: bool) -> Iterator[Clause]:
    """Yield the clauses about a field."""
    optional = nullable or not required
    for each in tests.operators(optional=optional):
        yield {name: each}
    if required and nullable:
        yield {name: _ABSENT}
    if not required and not nullable:
        yield {name: _NULL}
    if tests.longest is not None:
        yield {f"{name}.{tests.longest}": {"$exists": True}}
    inner = [_prefixed(each, name) for each in tests.fields]
    if inner and optional:
        # Where the object itself may be absent, its required fields are missed only inside one that is there.
        yield {"$and": [{name: {"$type": "object"}}, {"$or": inner}]}
    else:
        yield from inner


def _prefixed(clause: Clause, name: str) -> Clause:
    made: Clause = {}
    for each, value in clause.items():
        if each.startswith("$"):
            made[each] = [_prefixed(one, name) for one in value]
        else:
            made[f"{name}.{each}"] = value
    return made


def _only(schema: Any, known: set[str]) -> None:
    """Refuse a schema that says more than what is known here."""
    if any(value is not None for name, value in schema.items() if name not in _SILENT | known):
        raise _Undecided


def _scalar(slot: Slot) -> _Tests:
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
            raise _Undecided
    kind = schema["type"]
    if kind in {"literal", "enum"}:
        return _literals(slot)
    if kind == "str":
        return _string(slot, schema)
    if kind in {"int", "float", "decimal"}:
        return _number(slot, schema)
    if kind == "datetime":
        _only(schema, set())
        # Beyond these a date is stored well, and no datetime.
        low, high = dt.datetime.min, dt.datetime.max.replace(microsecond=999000)  # noqa: DTZ901 - as PyMongo reads it
        return _between({"date"}, {"$gte": low, "$lte": high})
    _only(schema, {"cls", "sub_type", "custom_error_type", "cls_repr"} if kind != "bytes" else set())
    if slot.node.scalars == {"uuid"}:
        # Binary data is compared by length, subtype and bytes: this is all of subtype 4 with 16 bytes.
        return _between({"binData"}, {"$gte": Binary(bytes(16), 4), "$lte": Binary(b"\xff" * 16, 4)})
    return _typed(slot, slot.node.scalars)


def _others(aliases: AbstractSet[str]) -> Operator:
    """Return what is true for every type but these, and but null."""
    own = aliases - {"uuid"} | ({"binData"} if "uuid" in aliases else set())
    return {"$type": [each for each in _ALIASES if each not in own]}


def _typed(slot: Slot, aliases: AbstractSet[str]) -> _Tests:
    own = sorted(aliases - {"uuid"} | ({"binData"} if "uuid" in aliases else set()))
    arrays = [] if slot.steps == ("_id",) else [_ARRAY]  # in an _id there is none
    return _Tests(required=[{"$not": {"$type": own}}, *arrays], optional=[_others(aliases)])


def _between(aliases: AbstractSet[str], bounds: Operator) -> _Tests:
    """Return the tests of a type and of its bounds, by comparisons that are true within one type only."""
    outside = [{_OPPOSITE[name]: bound} for name, bound in bounds.items()]
    return _Tests(required=[{"$not": bounds}, _ARRAY], optional=[_others(aliases), *outside])


def _string(slot: Slot, schema: Any) -> _Tests:
    _only(schema, {"min_length", "max_length", "pattern"})
    if any((slot.config or {}).get(name) for name in _STRING_CONFIG) or not slot.policy.allow_control_characters:
        raise _Undecided
    valid = text.valid(slot.policy, _allowed(slot))
    patterns = [valid] if valid else []
    least, most = schema.get("min_length"), schema.get("max_length")
    if least or most is not None:
        if max(least or 0, most or 0) > 65_000:  # noqa: PLR2004 - PCRE's longest repetition
            raise _Undecided
        patterns.append(text.length(least, most))
    if (wanted := schema.get("pattern")) is not None:
        translated = text.agreed(wanted) if isinstance(wanted, str) else None
        if translated is None:
            raise _Undecided
        patterns.append(translated)
    if not patterns:
        return _typed(slot, {"string"})
    return _Tests(
        required=[*({"$not": {"$regex": each}} for each in patterns), _ARRAY],
        # Null is let through by the same look at the value: `$ne: null` would take as long as all the rest.
        optional=[*({"$nin": [None, Regex(each)]} for each in patterns), _ARRAY],
    )


def _number(slot: Slot, schema: Any) -> _Tests:
    kind = schema["type"]
    _only(schema, {"gt", "ge", "lt", "le", "multiple_of", "allow_inf_nan"})
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
            raise _Undecided
        steps = [{"$not": {"$mod": [step, 0]}}]
    if kind != "int" and (slot.config or {}).get("allow_inf_nan") is not None:
        raise _Undecided
    if not bounds:
        found = _typed(slot, own)
    else:
        # Numbers of all types compare with one another: a comparison proves a number, and no type.
        others = [each for each in ("double", "int", "long", "decimal") if each not in own]
        outside = [{_OPPOSITE[name]: bound} for name, bound in bounds.items()]
        if kind != "int":
            outside.append({"$eq": math.nan})
        found = _Tests(
            required=[{"$type": [*others, "array"]}, {"$not": bounds}],
            optional=[_others(own), *outside],
        )
    found.required += steps
    found.optional += [{**each, "$ne": None} for each in steps]
    return found


def _bound(bound: Any, kind: str) -> Any:
    if kind == "decimal":
        try:
            return codec.to_decimal128(bound if isinstance(bound, Decimal) else Decimal(str(bound)))
        except PydanticCustomError:
            raise _Undecided from None
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
        raise _Undecided
    if not INT_MIN <= bound <= INT_MAX or (kind == "float" and abs(bound) >= _EXACT):
        raise _Undecided
    return bound


def _literals(slot: Slot) -> _Tests:
    values = slot.node.literals
    if not values or not all(type(each) in {str, int, bool} for each in values):
        raise _Undecided
    if any(type(each) is int and not INT_MIN <= each <= INT_MAX for each in values):
        raise _Undecided
    # 1.0 equals 1.
    types: Operator = {"$type": ["double", "decimal", "array"]} if slot.node.scalars & INTEGERS else _ARRAY
    return _Tests(required=[{"$nin": [*values]}, types], optional=[{"$nin": [None, *values]}, types])


def _anything(slot: Slot) -> _Tests:
    """Any type is valid; what the policy refuses is not."""
    schema = slot.schema
    while schema["type"] in {"default", "nullable"} or (schema["type"] == "chain" and len(schema["steps"]) == 1):
        schema = schema["schema"] if schema["type"] != "chain" else schema["steps"][0]
    if schema["type"] != "any" or not slot.policy.allow_control_characters:
        raise _Undecided
    policy = slot.policy
    refused: list[Any] = [*sorted(policy.placeholders), "", [], {}, math.nan, math.inf, -math.inf]
    found = _Tests(values=[{"$in": refused}])
    if not policy.allow_white_space:
        found.values.append({"$regex": text.empty_or_invisible()})
    return found


def _forbidden(slot: Slot) -> list[Operator]:
    values = [value for each in slot.node.markers if isinstance(each, Forbid) for value in each.values]
    if not all(type(each) in {str, int, bool} for each in values):
        raise _Undecided
    if any(type(each) is int and not INT_MIN <= each <= INT_MAX for each in values):
        raise _Undecided
    return [{"$in": values}] if values else []


def _allowed(slot: Slot) -> frozenset[str]:
    """The strings that the field allows by name."""
    named = [value for each in slot.node.markers if isinstance(each, Allow) for value in each.values]
    return frozenset(each for each in named if type(each) is str and "\x00" not in each)
