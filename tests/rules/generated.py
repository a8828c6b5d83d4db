"""Declarations of every kind, and documents that are as declared or are not, for hypothesis to draw."""

# ruff: noqa: DTZ001 - stored dates are read without a zone, and are UTC
import datetime as dt
import enum
import re
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import strategies as st
from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

from tests.rules.reference import (
    NAMES,
    NOTHING,
    TEXTS,
    AnyType,
    Choice,
    Document,
    Either,
    Fixed,
    Mapping,
    Marked,
    Null,
    Record,
    Scalar,
    Sequence,
    Type,
)

JUNK: st.SearchStrategy[Any] = st.sampled_from([
    None, True, False, 0, 5, -3, 2**40, Int64(7), 2.0, 1.5, float("nan"), float("inf"), -0.0,
    Decimal128("1.50"), Decimal128("NaN"), Decimal128("-Infinity"), Decimal128("1E+6000"),
    [], [[]], [None], [1], ["a", 1], [[1], "x"], {}, {"a": 1}, {"kind": "cat"}, {"": None},
    ObjectId("0123456789abcdef01234567"), dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, 3), DatetimeMS(2**55),
    uuid.UUID(int=5), b"", b"bytes", Binary(b"x", 128), Regex("a"), Timestamp(1, 2), Code("a"), *NOTHING, *NAMES,
])  # fmt: skip

WORDS = st.sampled_from([f"f{number}" for number in range(6)])


class Color(enum.Enum):
    RED = "red"
    NONE = ""
    CRIMSON = "red"  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def _short(value: str) -> str:
    if len(value) > 6:
        raise ValueError("too long for me")
    return value


def _wrapped(value: Any, handler: Any) -> Any:
    return handler(value)


INTS = (int, Int64)
BYTES = (bytes, Binary, uuid.UUID)
_DATES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
    lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000)
)
_CENTS = st.integers(-9999, 9999).map(lambda each: Decimal128(Decimal(each).scaleb(-2)))

SCALARS: list[Scalar] = [
    Scalar(int, INTS, st.integers(-(2**63), 2**63 - 1)),
    Scalar(Annotated[int, Field(gt=0)], INTS, st.integers(1, 2**40), lambda each: each > 0),
    Scalar(Annotated[int, Field(multiple_of=5)], INTS, st.integers(-9, 9).map(lambda n: 5 * n), lambda n: n % 5 == 0),
    Scalar(float, (float, *INTS), st.floats(allow_nan=False, allow_infinity=False)),
    Scalar(Annotated[float, Field(le=2)], (float, *INTS), st.floats(-9, 2), lambda each: each <= 2),
    Scalar(bool, (bool,), st.booleans()),
    Scalar(str, (str,), TEXTS),
    Scalar(Annotated[str, Field(min_length=2)], (str,), TEXTS.map("yy".__add__), lambda each: len(each) >= 2),
    Scalar(Annotated[str, Field(pattern="^[a-z]+$")], (str,), st.sampled_from(["ab", "xyz"]),
           lambda each: re.fullmatch("[a-z]+", each) is not None),
    Scalar(Annotated[str, AfterValidator(_short)], (str,), st.sampled_from(["ab", "xyz"]), lambda s: len(s) <= 6,
           "SCH005"),
    Scalar(Annotated[str, BeforeValidator(lambda each: each)], (str,), TEXTS),
    Scalar(Annotated[int, WrapValidator(_wrapped)], INTS, st.integers(0, 9)),
    Scalar(Decimal, (Decimal128,), _CENTS),
    Scalar(Annotated[Decimal, Field(max_digits=4, decimal_places=2)], (Decimal128,), _CENTS,
           lambda each: abs(each.to_decimal()) < 100),
    Scalar(dt.datetime, (dt.datetime,), _DATES),
    Scalar(dt.date, (dt.datetime,), st.dates(dt.date(1, 1, 1)).map(lambda d: dt.datetime(d.year, d.month, d.day)),
           lambda each: each.time() == dt.time()),
    Scalar(uuid.UUID, (uuid.UUID,), st.uuids()),
    Scalar(bytes, BYTES, st.binary(max_size=4)),
    Scalar(ObjectId, (ObjectId,), st.binary(min_size=12, max_size=12).map(ObjectId)),
    Scalar(Int64, INTS, st.integers(-5, 5).map(Int64)),
    Scalar(Decimal128, (Decimal128,), _CENTS),
    Scalar(Timestamp, (Timestamp,), st.builds(Timestamp, st.integers(0, 9), st.integers(0, 9))),
    Scalar(Regex, (Regex,), st.sampled_from([Regex("a", 2), Regex("^b")])),
]  # fmt: skip
# A date beyond Python's years is a date, and not one that a datetime holds.
for each in SCALARS:
    if each.annotation in (dt.datetime, dt.date):
        each.types = (*each.types, DatetimeMS)
        each.meets = lambda value, inner=each.meets: isinstance(value, dt.datetime) and inner(value)

CHOICES = [
    Choice(Literal["a", "", "null"], ("a", "", "null")),
    Choice(Literal[1, 2], (1, 2)),
    Choice(Literal[1, "a", True], (1, "a", True)),
    Choice(Color, ("red", "")),
    Choice(Level, (1, 2)),
]

TEXT, INTEGER, NUMBER = SCALARS[6], SCALARS[0], SCALARS[3]
_MARKED = st.sampled_from([
    Marked(TEXT, ("", "-")),
    Marked(Null(TEXT), (" ",)),
    Marked(TEXT, (), (re.compile("x"), "a")),
    Marked(NUMBER, (float("nan"),)),
    Marked(Sequence(TEXT), ([],)),
    Sequence(Marked(TEXT, ("",))),
    Mapping(Marked(TEXT, ("",), ("b",))),
])  # fmt: skip
_TAGGED = st.tuples(st.sampled_from(SCALARS), st.sampled_from(SCALARS)).map(
    lambda two: Either((Record({"f": (two[0], True)}, tag="cat"), Record({"f": (two[1], False)}, tag="dog")))
)
_SIMPLE: st.SearchStrategy[Type] = st.one_of(
    st.sampled_from(SCALARS), st.sampled_from(CHOICES), st.just(AnyType()), _MARKED
)
_HASHABLE = [each for each in SCALARS if each.annotation not in (Regex, Decimal128)]


def _records(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.builds(
        Record,
        st.dictionaries(WORDS, st.tuples(inner, st.booleans()), min_size=1, max_size=4),
        st.sampled_from(["model", "model", "pydantic", "instance"]),
        st.booleans(),
    )


def _more(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.one_of(
        st.builds(Sequence, inner),
        st.builds(Sequence, inner, st.integers(0, 2), st.integers(2, 3)),
        st.builds(Sequence, st.sampled_from(_HASHABLE), st.integers(0, 2), st.integers(2, 3), st.just(True)),  # noqa: FBT003 - a strategy's value
        st.builds(Fixed, st.tuples(inner, inner)),
        st.builds(Mapping, inner),
        st.builds(Null, inner.filter(lambda each: not each.nullable)),
        _records(inner),
        _TAGGED,
        st.builds(lambda one: Either((INTEGER, one, Sequence(TEXT))), st.sampled_from([TEXT, *SCALARS[7:9]])),
        st.builds(lambda one: Either((TEXT, one)), _records(st.sampled_from(SCALARS))),
    )


TYPES: st.SearchStrategy[Type] = st.recursive(_SIMPLE, _more, max_leaves=6)

DOCUMENTS = st.builds(
    Document,
    st.dictionaries(WORDS, st.tuples(TYPES, st.booleans()), min_size=1, max_size=4),
    st.sampled_from(["model", "model", "instance"]),
    st.booleans(),
)


def spoiled(draw: st.DrawFn, value: Any) -> Any:
    """Return `value` with something in it changed, left out or put in."""
    act = draw(st.sampled_from(["junk", "inside", "inside", "inside", "wrap"]))
    if act == "junk" or not isinstance(value, list | dict) or not value:
        return draw(JUNK)
    if act == "wrap":
        return [value]
    if isinstance(value, list):
        index = draw(st.integers(0, len(value) - 1))
        change = draw(st.sampled_from(["spoil", "drop", "add"]))
        if change == "spoil":
            return [*value[:index], spoiled(draw, value[index]), *value[index + 1 :]]
        return value[:index] + value[index + 1 :] if change == "drop" else [*value, draw(JUNK)]
    name = draw(st.sampled_from(list(value)))
    change = draw(st.sampled_from(["spoil", "spoil", "drop", "add"]))
    if change == "spoil":
        return {**value, name: spoiled(draw, value[name])}
    if change == "drop":
        return {other: each for other, each in value.items() if other != name}
    return {**value, draw(st.sampled_from(["zz", "kind", "f0", "_extra"])): draw(JUNK)}
