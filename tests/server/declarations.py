"""Models and documents for the tests of what the server enforces: every kind of declaration, every kind of value."""

from __future__ import annotations

import datetime as dt
import enum
import re
import types
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from bson import Binary, Decimal128, Int64, ObjectId, Regex
from hypothesis import strategies as st
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, HttpUrl, StringConstraints

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model
from integrity.declare.registry import Registry


class Colour(enum.Enum):
    RED = "red"
    DASH = "-"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Inner(Model):
    sku: Annotated[str, Field(pattern=r"^[A-Z]{2,3}\d?$")]
    qty: Annotated[int, Field(gt=0, le=5)] = 1


class Hollow(Model):
    """It has no field."""


class Tree(Model):
    name: str
    below: list[Tree] | None = None


class Open(Model):
    model_config = ConfigDict(extra="allow")
    a: int = 0


class Stripped(Model):
    model_config = ConfigDict(str_strip_whitespace=True, str_max_length=3)
    a: str
    b: Annotated[str, StringConstraints(to_lower=True, pattern="^[A-Z]+$")] = "A"


class Cat(Model):
    kind: Literal["cat"]
    lives: Annotated[int, Field(le=9)]


class Dog(Model):
    kind: Literal["dog", "-"]
    name: str


class Pair(NamedTuple):
    annotation: Any
    values: tuple[Any, ...] = ()


_EPOCH = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - PyMongo reads naive as UTC
_TICK = dt.timedelta(milliseconds=1)
_SLUG = Annotated[str, Field(pattern="^[a-z]+(?:-[a-z]+)*$")]
_STRIPPED = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2, min_length=1)]
_FORBIDDING = Annotated[str, Forbid("x", re.compile(r"^\d+$"), lambda v: isinstance(v, str) and v.isupper())]
_TENTHS = Annotated[Decimal, Field(ge=Decimal("0.1"), multiple_of=Decimal("0.1"))]
_DEEP = {"name": "a", "below": [{"name": "b", "below": [{"name": "c", "below": [{"name": "d"}]}]}]}
_PETS = (
    {"kind": "cat", "lives": 9},
    {"kind": "cat", "lives": 11},
    {"kind": "dog", "name": "x"},
    {"kind": "-", "name": "x"},
    {"kind": "dog", "lives": 1},
)


def _split(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


#: What a field may be declared as, with values that lie on both sides of its border.
FIELDS: dict[str, Pair] = {
    "str": Pair(str),
    "str_none": Pair(str | None),
    "str_len": Pair(Annotated[str, Field(min_length=2, max_length=4)], ("a", "ab", "abcd", "abcde", "😀😀", "éééé")),
    "str_pattern": Pair(Annotated[str, Field(pattern=r"^\d+-\w*$")], ("1-", "12-a", "٣-é", "1-\n", "-", "x1-")),
    "str_slug": Pair(_SLUG, ("a-b", "a--b", "a-" * 3000 + "a", "a" * 9999)),
    "str_search": Pair(Annotated[str, Field(pattern="a.c")], ("xabcx", "a\nc", "abd")),
    "str_dollar": Pair(Annotated[str, Field(pattern="^a$")], ("a", "a\n", "aa")),
    "str_re": Pair(Annotated[str, Field(pattern=re.compile(r"^a\s?$"))], ("a", "a\n", "a\x1c", "a\u2003", "b")),
    "str_bounded_word": Pair(Annotated[str, Field(pattern=r"\bfoo\b")], ("a foo", "food")),
    "str_strip": Pair(_STRIPPED, ("  ab  ", "abc", " a")),
    "str_lower": Pair(Annotated[str, StringConstraints(to_lower=True, max_length=2)], ("AB", "İİ", "ABC")),
    "str_allow": Pair(Annotated[str, Allow("", "-")], ("", "-", "--", " ")),
    "str_forbid": Pair(_FORBIDDING, ("x", "12", "٣", "AB", "y1")),
    "int": Pair(int, (1, 2**40, 2**63 - 1, -(2**63), 1.0, True, "5")),
    "int_range": Pair(Annotated[int, Field(ge=0, lt=10)], (0, 9, 10, -1, Int64(3), "3")),
    "int_multiple": Pair(Annotated[int, Field(multiple_of=3)], (3, 4, -3, 2**62, 9223372036854775806)),
    "int_forbid": Pair(Annotated[int, Forbid(0)], (0, 1)),
    "float": Pair(float, (1.5, 2, 2**40, float("nan"), float("inf"), True, "1.5")),
    "float_range": Pair(Annotated[float, Field(gt=0.1, le=1e300)], (0.1, 0.2, 1, 1e301, float("nan"))),
    "float_nan": Pair(Annotated[float, Allow(float("nan"))], (float("nan"), float("inf"), 1.0)),
    "float_inf": Pair(Annotated[float, Field(allow_inf_nan=True, ge=0)], (float("nan"), float("inf"), -0.5)),
    "decimal": Pair(
        _TENTHS,
        (Decimal("0.1"), Decimal128("0.3"), Decimal128("NaN"), 0.1, Decimal("0.05")),
    ),
    "bool": Pair(bool, (True, False, 0, 1, "yes")),
    "datetime": Pair(dt.datetime, (_EPOCH, "2020-01-01T00:00:00", 0)),
    "datetime_range": Pair(
        Annotated[dt.datetime, Field(gt=_EPOCH, lt=_EPOCH + 5 * _TICK + dt.timedelta(microseconds=500))],
        tuple(_EPOCH + n * _TICK + us * dt.timedelta(microseconds=1) for n in (-1, 0, 1, 5, 6) for us in (0, 300, 700)),
    ),
    "date": Pair(Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))], (dt.date(2020, 1, 1), dt.date(2019, 1, 1), _EPOCH)),
    "dates": Pair(list[Annotated[dt.datetime, Field(le=_EPOCH)]], ([_EPOCH], [_EPOCH, _EPOCH + _TICK])),
    "bytes": Pair(Annotated[bytes, Field(max_length=2)], (b"a", b"abc", Binary(b"x", 5))),
    "uuid": Pair(uuid.UUID, (uuid.UUID(int=5), str(uuid.UUID(int=5)), b"x")),
    "object_id": Pair(ObjectId, (ObjectId(b"0" * 12), "0" * 24, "x")),
    "regex": Pair(Regex, (Regex("a"), re.compile("b"))),
    "literal": Pair(Literal["a", 1, "-"] | None, ("a", 1, 1.0, True, "-", "b")),
    "colour": Pair(Colour, ("red", "-", Colour.RED, "blue")),
    "level": Pair(Level | None, (1, 2, 3, Level.LOW)),
    "list": Pair(Annotated[list[str], Field(max_length=2)], ([], ["a"], ["a", ""], ["a", "b", "c"])),
    "list_allow": Pair(Annotated[list[int], Allow([])], ([], [1], [None])),
    "list_none": Pair(Annotated[list[int], Field(max_length=0)], ([], [1])),
    "tuple_none": Pair(tuple[()], ([], [1])),
    "mapping_none": Pair(Annotated[dict[str, int], Field(max_length=0)], ({}, {"a": 1})),
    "hollow": Pair(list[Hollow], ([{}], [{"a": 1}])),
    "set": Pair(Annotated[set[int], Field(max_length=2)], ([1, 1, 1], {1, 2}, [1, 2, 3])),
    "tuple": Pair(tuple[int, str], ([1, "a"], (1, "a", 2), [1], ["1", "a"])),
    "tuple_more": Pair(tuple[int, ...], ([1, 2], [], [1, "x"])),
    "mapping": Pair(dict[str, Annotated[int, Field(ge=0)]], ({"a": 1}, {}, {"a": -1}, {"b": "2"})),
    "any": Pair(Any, ("", "-", [], {}, 0, float("nan"), {"x": ""}, [""])),
    "inner": Pair(Inner, ({"sku": "AB"}, {"sku": "AB1", "qty": 9}, {"sku": "ab"}, {"sku": "AB", "x": 1})),
    "inners": Pair(list[Inner] | None, ([{"sku": "AB", "qty": 5}], [{"sku": "AB", "qty": 6}])),
    "tree": Pair(Tree, (_DEEP, {"name": ""})),
    "open": Pair(Open, ({"a": 1, "x": ""}, {"a": "x"})),
    "stripped": Pair(Stripped, ({"a": " ab "}, {"a": "abcd"}, {"a": "a", "b": "ABC"})),
    "pet": Pair(Annotated[Cat | Dog, Field(discriminator="kind")], _PETS),
    "pet_plain": Pair(Cat | Dog, _PETS),
    "union": Pair(
        Annotated[int, Field(ge=10)] | Annotated[str, Field(max_length=1)], ("50", 50, 5, "x", "xx", 1.5)
    ),
    "union_list": Pair(str | list[str] | None, ("a", ["a"], [""], "", [])),
    "before": Pair(Annotated[list[str], BeforeValidator(_split)], ("a,b", ["a"])),
    "before_len": Pair(Annotated[str, Field(max_length=2), BeforeValidator(_strip)], (" a  ", "abc")),
    "after": Pair(Annotated[str, Field(max_length=2), AfterValidator(lambda v: v * 2)], ("ab", "abc")),
    "url": Pair(HttpUrl, ("https://example.org/", "http://x", "nope")),
}  # fmt: skip

#: What anything may turn out to be.
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=5),
    st.sampled_from(["", " ", "\u200b", "\u3164", "N/A", "-", "\\N", "null", "Null", "a\x07", "\U000e0001"]),
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1)),  # noqa: DTZ001 - as PyMongo decodes
    st.decimals(allow_nan=True, places=2)
    .filter(lambda d: len(d.as_tuple().digits) <= 34)  # what a Decimal128 holds
    .map(lambda d: Decimal128(str(d).replace("sNaN", "NaN"))),
    st.just(ObjectId(b"1" * 12)), st.binary(max_size=3), st.uuids(),
    st.lists(st.one_of(st.none(), st.integers(0, 9), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.sampled_from(["a", "name"]), st.one_of(st.integers(0, 9), st.text(max_size=2)), max_size=2),
)  # fmt: skip

#: The same, as a list: what importers leave behind, and what looks like something else.
NASTY: tuple[Any, ...] = (
    None, True, 0, 1, -5, 2**40, 1.0, 1.5, float("nan"), float("inf"), "", " ", "\u200b", "N/A", "-", "null", "x", "5",
    "abcdefghij", "a\x07", _EPOCH, Decimal128("1.5"), Decimal128("NaN"), ObjectId(b"1" * 12), b"abc", uuid.UUID(int=1),
    [], [None], [""], [1], ["x"], [1, 2, 3, 4], {}, {"a": 1}, {"a": ""}, {"name": "x"}, {"sku": "AB", "qty": 0},
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[Registry, list[dict[str, Any]]]:
    """A model of a few fields, and documents for it, most of them valid in all fields but one."""
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=4, unique=True))
    optional = draw(st.sets(st.sampled_from(names)))
    model = declared({name: FIELDS[name].annotation for name in names}, optional)
    documents = []
    for number in range(12):
        document: dict[str, Any] = {"_id": number}
        for name in names:
            values = st.sampled_from(FIELDS[name].values) if FIELDS[name].values else ANYTHING
            value = draw(st.one_of(values, values, values, ANYTHING, st.just(...)))
            if value is not ...:
                document[name] = value
        documents.append(document)
    return Registry([model]), documents


def declared(fields: dict[str, Any], optional: set[str] | None = None, **options: Any) -> type[Model]:
    """Return a model with these fields."""
    annotations: dict[str, Any] = {"id": int}
    namespace: dict[str, Any] = {"__module__": __name__}
    for name, annotation in fields.items():
        annotations[name] = annotation | None if optional and name in optional else annotation
        if optional and name in optional:
            namespace[name] = None
    namespace["__annotations__"] = annotations
    made = types.new_class("Case", (Model,), {"collection": "cases", **options}, lambda body: body.update(namespace))
    assert issubclass(made, Model)
    return made
