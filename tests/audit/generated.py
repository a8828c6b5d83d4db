"""Generated declarations and documents, and what is wrong with them by plain Python.

The oracle is written from the rules' text, over a small language of its own, and shares no code with the library.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, Literal

from bson import Binary, Decimal128, Int64, ObjectId, Regex
from bson.datetime_ms import DatetimeMS
from hypothesis import strategies as st
from pydantic import Field, create_model

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model

PLACEHOLDERS = frozenset(
    ["\\N", "N/A", "n/a", "#N/A", "null", "NULL", "undefined", "None", "nan", "NaN", "-", "--", "?", "[object Object]"]
)
MISSING = object()
#: Stands for a code where the rules' text leaves open what is reported besides.
UNSURE = "?"
DAY = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as PyMongo reads it


@dataclass(frozen=True)
class Leaf:
    """A scalar: its kind, whether null is declared, and what else is."""

    kind: str
    null: bool = False
    low: int | None = None
    high: int | None = None
    allow: str | None = None
    forbid: str | None = None
    pattern: str | None = None
    validator: bool = False


@dataclass(frozen=True)
class Several:
    """A list of something."""

    item: Any
    null: bool = False
    most: int | None = None


@dataclass(frozen=True)
class Mapped:
    """A mapping to something."""

    value: Any
    null: bool = False


@dataclass(frozen=True)
class Nested:
    """An embedded model: names, what stands there, whether it is required."""

    fields: tuple[tuple[str, Any, bool], ...]
    null: bool = False
    open: bool = False


_TYPES: dict[str, Any] = {
    "int": int, "float": float, "str": str, "bool": bool, "decimal": Decimal, "date": dt.datetime, "oid": ObjectId,
    "uuid": uuid.UUID, "bytes": bytes, "choice": Literal["a", "N/A", "c"], "number": Literal[1, 2], "any": Any,
}  # fmt: skip
_VALID: dict[str, list[Any]] = {
    "int": [1, Int64(2), 5], "float": [1.5, 2, 0.0], "str": ["abc", "\u00e9t\u00e9", "a\nb", "\u4e2d"],
    "bool": [True, False], "decimal": [Decimal128("1.5"), Decimal128("2")], "date": [DAY],
    "oid": [ObjectId("0" * 24)], "uuid": [Binary(bytes(16), 4)], "bytes": [b"x", Binary(b"y", 5)],
    "choice": ["a", "N/A"], "number": [1, Int64(2)], "any": [1, "x", [1], {"a": ""}, DAY],
}  # fmt: skip

#: What goes wrong: of every type, and of every trap that MongoDB's query language has.
JUNK: list[Any] = [
    None, 0, 1, -1, 7, Int64(2**53 + 1), 2**62, 1.0, 1.5, -0.5, math.nan, math.inf, -math.inf, 1e300, True, False,
    "", " ", "\t", "x", "abc", "abcdefgh", "N/A", "-", "--", "?", "\\N", "nan", "Null", "!", "~", "\x7f", "\u00a0",
    "\u200b", "\u200bx", "\u2060", "\x00", "\x00a", "\u00e9", "\u3164", "\ufeff", "\U000e0001", "abc\n", "\n", "null",
    "ABC", "ABC\n", " x", "[object Object]", "#N/A",
    [], [1], ["x"], [""], ["N/A"], [None], [[]], [["x"]], [[1], []], [1, "x"], [{"a": 1}], [{}], [math.nan], [1.0],
    {}, {"a": 1}, {"a": ""}, {"a": None}, {"0": "x"}, {"zzz": 1}, {"a": [1]}, {"a": {"a": 1}},
    Decimal128("1"), Decimal128("NaN"), Decimal128("Infinity"), Decimal128("-1"), Decimal128("1E+6000"),
    DAY, DatetimeMS(10**15), DatetimeMS(-(10**15)), ObjectId("1" * 24), Binary(bytes(16), 4),
    Binary(bytes(16), 3), b"", b"x", Regex("x"), Regex("^"), [DAY], [True], [Decimal128("1")], [ObjectId("1" * 24)],
    [Binary(bytes(16), 4)], MISSING,
]  # fmt: skip

NO = st.sampled_from([False])
_NAMES = st.sampled_from(["a", "b", "c", "d0", "0", "A"])


def leaves() -> st.SearchStrategy[Leaf]:
    """Scalars with and without constraints."""
    null = st.booleans()
    bound = st.none() | st.integers(-2, 4)
    plain = st.builds(Leaf, st.sampled_from(sorted(_TYPES)), null)
    number = st.builds(Leaf, st.sampled_from(["int", "float", "decimal"]), null, bound, bound)
    length = st.none() | st.integers(0, 5)
    text = st.builds(
        Leaf,
        st.just("str"),
        null,
        length,
        length,
        st.sampled_from([None, "", "-", " ", "\u200b"]),
        st.sampled_from([None, None, "abc"]),
        st.sampled_from([None, None, "^[A-Z]{3}$", "^(?:x|abc)$", "x"]),
    )
    judged = st.builds(Leaf, st.sampled_from(["int", "str"]), null, validator=st.sampled_from([True]))
    return plain | number.map(_meetable) | text.map(_meetable) | judged


def _meetable(leaf: Leaf) -> Leaf:
    """Return a leaf with bounds that a value meets: others are refused when they are declared."""
    if leaf.low is None or leaf.high is None:
        return leaf
    return replace(leaf, high=max(leaf.high, leaf.low + (leaf.kind != "str")))


def specs() -> st.SearchStrategy[Any]:
    """Scalars, lists, mappings and embedded models of them."""
    return st.recursive(
        leaves(),
        lambda inner: (
            st.builds(Several, inner, st.booleans(), st.sampled_from([None, None, 2]))
            | st.builds(Mapped, inner, st.booleans())
            | st.builds(Nested, _fields(inner), st.booleans(), st.booleans())
        ),
        max_leaves=5,
    )


def _fields(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[tuple[str, Any, bool], ...]]:
    one = st.tuples(_NAMES, inner, st.booleans())
    return st.lists(one, min_size=1, max_size=3, unique_by=lambda each: each[0]).map(tuple)


def roots() -> st.SearchStrategy[Nested]:
    """Whole documents."""
    return st.builds(Nested, _fields(specs()), NO, st.booleans())


def annotation(spec: Any) -> Any:
    """What a model declares for a spec."""
    found: Any
    if isinstance(spec, Leaf):
        found = _TYPES[spec.kind]
        extra: list[Any] = []
        if spec.kind == "str":
            if spec.low is not None or spec.high is not None or spec.pattern is not None:
                extra.append(Field(min_length=spec.low, max_length=spec.high, pattern=spec.pattern))
        elif spec.low is not None or spec.high is not None:
            extra.append(Field(ge=spec.low, lt=spec.high))
        if spec.allow is not None:
            extra.append(Allow(spec.allow))
        if spec.forbid is not None:
            extra.append(Forbid(spec.forbid))
        if spec.validator:
            extra.append(Forbid(odd))
        for each in extra:
            found = Annotated[found, each]
    elif isinstance(spec, Several):
        found = list[annotation(spec.item)]  # type: ignore[misc]  # made at run time
        if spec.most is not None:
            found = Annotated[found, Field(max_length=spec.most)]
    elif isinstance(spec, Mapped):
        found = dict[str, annotation(spec.value)]  # type: ignore[misc]  # made at run time
    else:
        found = model("Inner", spec)
    return found | None if spec.null else found


def odd(value: Any) -> bool:
    """What a generated field's own check refuses."""
    return value in (7, "x")


def model(name: str, spec: Nested, **class_line: Any) -> type[Model]:
    """The model of a spec."""
    fields: dict[str, Any] = {}
    for index, (stored, each, required) in enumerate(spec.fields):
        # A default is for writes; what it would be plays no part here.
        has = Field(alias=stored) if required else Field(default_factory=dict, alias=stored, validate_default=False)
        fields[f"field{index}"] = (annotation(each), has)
    if class_line:
        fields["id"] = (Any, Field(default_factory=ObjectId))
    base = type("Base", (Model,), {"model_config": {"extra": "allow" if spec.open else "forbid"}})
    create: Any = create_model  # typed for fields that are known
    return create(name, __base__=base, __cls_kwargs__=class_line, **fields)  # type: ignore[no-any-return]  # as said


def values(spec: Any) -> st.SearchStrategy[Any]:
    """Mostly valid values, with something wrong now and then."""
    junk = st.sampled_from(JUNK)
    valid: st.SearchStrategy[Any]
    if isinstance(spec, Leaf):
        valid = st.sampled_from(_VALID[spec.kind])
    elif isinstance(spec, Several):
        valid = st.lists(values(spec.item).filter(lambda each: each is not MISSING), min_size=1, max_size=3)
    elif isinstance(spec, Mapped):
        inner = values(spec.value).filter(lambda each: each is not MISSING)
        valid = st.dictionaries(st.sampled_from(["k", "0", "l.m"]), inner, min_size=1, max_size=2)
    else:
        valid = st.tuples(*(values(each) for _, each, _ in spec.fields), st.integers(0, 9)).map(
            lambda found: _document(spec, found)
        )
    return st.integers(0, 9).flatmap(lambda dice: junk if dice == 0 else valid)


def documents(spec: Nested) -> st.SearchStrategy[dict[str, Any]]:
    """Whole documents, without ``_id``."""
    return st.tuples(*(values(each) for _, each, _ in spec.fields), st.integers(0, 9)).map(
        lambda found: _document(spec, found)
    )


def _document(spec: Nested, found: tuple[Any, ...]) -> dict[str, Any]:
    made = {name: value for (name, _, _), value in zip(spec.fields, found[:-1], strict=True) if value is not MISSING}
    return made | ({"unknown": ""} if found[-1] == 0 else {})


def faults(spec: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the code and path of everything that is wrong with a value."""
    if value is None:
        if not spec.null and not (isinstance(spec, Leaf) and spec.kind == "any"):
            yield "EMP004", path
        return
    if (code := _policy(spec, value)) is not None:
        yield code, path
        return
    if isinstance(spec, Leaf):
        if (spec.forbid is not None and value == spec.forbid) or (spec.validator and odd(value)):
            yield "FRB002", path
        elif not _of_type(spec.kind, value):
            # A string that is none of the choices is of the right type.
            choice = (spec.kind == "choice" and type(value) is str) or (
                spec.kind == "number" and type(value) in {int, Int64}
            )
            yield "SCH003" if choice else "SCH001", path
        elif not _within(spec, value):
            yield "SCH003", path
    elif isinstance(spec, Several):
        yield from _several(spec, value, path)
    elif not isinstance(value, dict):
        yield "SCH001", path
    elif isinstance(spec, Mapped):
        for name, each in value.items():
            yield from faults(spec.value, each, f"{path}.{name}")
    else:
        yield from _nested(spec, value, f"{path}.")


def _several(spec: Several, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield "SCH001", path
        return
    if spec.most is not None and len(value) > spec.most:
        yield UNSURE, path  # pydantic looks no further; the policy does
    for index, one in enumerate(value):
        yield from faults(spec.item, one, f"{path}.{index}")


def _nested(spec: Nested, value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, each, required in spec.fields:
        if name in value:
            yield from faults(each, value[name], f"{prefix}{name}")
        elif required:
            yield "SCH002", f"{prefix}{name}"
    if not spec.open:
        known = {name for name, _, _ in spec.fields}
        for name in value:
            if name not in known and (prefix or name != "_id"):
                yield "SCH004", f"{prefix}{name}"


def document_faults(spec: Nested, document: dict[str, Any]) -> list[tuple[str, str]]:
    """The code and path of everything that is wrong with a document."""
    return sorted(_nested(spec, document))


def _policy(spec: Any, value: Any) -> str | None:
    if isinstance(spec, Leaf):
        if spec.allow is not None and value == spec.allow and type(value) is str:
            return None
        if spec.kind == "choice" and type(value) is str and value in {"a", "N/A", "c"}:
            return None
    if isinstance(value, str):
        if value == "":
            return "EMP001"
        if value in PLACEHOLDERS:
            return "FRB001"
        return None if any(map(_draws, value)) else "EMP002"
    if isinstance(value, list | dict):
        return None if value else "EMP003"
    if isinstance(value, Decimal128):
        return None if value.to_decimal().is_finite() else "EMP005"
    if isinstance(value, float) and not math.isfinite(value):
        return "EMP005"
    return None


def _draws(character: str) -> bool:
    return not (
        character.isspace() or character in "\u200b\u2060\x00\x7f\u3164\ufeff\U000e0001" or ord(character) < 0x20
    )


def _of_type(kind: str, value: Any) -> bool:
    integer = type(value) in {int, Int64}
    return {
        "int": integer,
        "float": integer or type(value) is float,
        "str": type(value) is str,
        "bool": type(value) is bool,
        "decimal": type(value) is Decimal128,
        "date": type(value) in {dt.datetime, DatetimeMS},
        "oid": type(value) is ObjectId,
        "uuid": _uuid(value),
        "bytes": isinstance(value, bytes) or _uuid(value),
        "choice": value in ("a", "N/A", "c"),
        "number": integer and value in (1, 2),
        "any": True,
    }[kind]


def _uuid(value: Any) -> bool:
    return isinstance(value, uuid.UUID) or (isinstance(value, Binary) and value.subtype == 4 and len(value) == 16)


def _within(spec: Leaf, value: Any) -> bool:
    if spec.kind == "str":
        if not (spec.low or 0) <= len(value) <= (math.inf if spec.high is None else spec.high):
            return False
        return spec.pattern is None or _matches(spec.pattern, value)
    if spec.kind in {"int", "float", "decimal"}:
        number = value.to_decimal() if isinstance(value, Decimal128) else value
        return (spec.low is None or number >= spec.low) and (spec.high is None or number < spec.high)
    # A date beyond Python's years is a date, and not one that a datetime holds.
    return spec.kind != "date" or type(value) is dt.datetime


def _matches(pattern: str, value: str) -> bool:
    return {
        "^[A-Z]{3}$": len(value) == 3 and all("A" <= each <= "Z" for each in value),
        "^(?:x|abc)$": value in {"x", "abc"},
        "x": "x" in value,
    }[pattern]
