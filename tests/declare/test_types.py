"""Every type that BSON has, or that has a faithful form in it, comes back as it went; every other is refused."""

# ruff: noqa: DTZ001 - stored dates are read without a zone, and are UTC
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar

import bson
import pydantic
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue, RootModel
from typing_extensions import TypeAliasType, TypedDict

from integrity.declare import codec, convert
from integrity.declare.model import Model
from integrity.errors import DeclarationError
from integrity.store.codecs import CODEC
from tests.declare.models import of_field

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)
NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 678000)
UTC_NOON = NOON.replace(tzinfo=dt.UTC)
ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")


class Color(enum.StrEnum):
    RED = "red"
    CRIMSON = "red"


class Level(enum.Enum):
    LOW = 1
    HIGH = "high"


class Part(Model):
    id: int
    s: str


class Plain(BaseModel):
    n: int
    part: Part


class Tree(Model):
    s: str
    kids: list["Tree"] | None = None


class Typed(TypedDict):
    n: int
    s: NotRequired[str]


@dataclasses.dataclass
class Point:
    x: int
    y: Decimal = Decimal("1.5")


@pydantic.dataclasses.dataclass
class Named:
    x: int = Field(alias="ix")


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int


@dataclasses.dataclass(slots=True)
class SlottedBelow(Slotted):
    y: int = 2


@dataclasses.dataclass
class OpenBelow(Slotted):
    z: int = 3


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="allow"))
class More:
    x: int


class Several(BaseModel):
    x: int = Field(validation_alias=pydantic.AliasChoices("old", "x"))


class Numbers(RootModel[list[int]]):
    pass


V = TypeVar("V")


class Box(BaseModel, Generic[V]):
    value: V


class Cat(Model):
    kind: Literal["cat"]
    n: int


class Dog(Model):
    kind: Literal["dog"]
    s: str


Count = NewType("Count", int)
Many = TypeAliasType("Many", list[int])
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]

#: Declared type, what is offered, what is stored; what is read is what was offered, unless a fourth says otherwise.
KEPT: dict[str, tuple[Any, ...]] = {
    "int": (int, 2**63 - 1, 2**63 - 1),
    "int from text": (int, "5", 5, 5),
    "Int64": (Int64, 5, 5),
    "float": (float, 1.5, 1.5),
    "float from int": (float, 5, 5.0),
    "ByteSize": (pydantic.ByteSize, "1 KiB", 1024, 1024),
    "bool": (bool, True, True),
    "str": (str, "a\tb", "a\tb"),
    "bytes": (bytes, b"\x00a", b"\x00a"),
    "bytes of a UUID": (bytes, ID, ID, Binary.from_uuid(ID)),
    "Binary": (Binary, Binary(b"x", 128), Binary(b"x", 128)),
    "datetime": (dt.datetime, NOON, NOON),
    "datetime with a zone": (
        dt.datetime, NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))), NOON.replace(hour=10),
        NOON.replace(hour=10),
    ),
    "AwareDatetime": (pydantic.AwareDatetime, UTC_NOON, NOON),
    "NaiveDatetime": (pydantic.NaiveDatetime, NOON, NOON),
    "PastDatetime": (pydantic.PastDatetime, dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1)),
    "DatetimeMS": (DatetimeMS, DatetimeMS(2**60), DatetimeMS(2**60)),
    "DatetimeMS in range": (DatetimeMS, NOON, NOON, DatetimeMS(NOON)),
    "date": (dt.date, dt.date(1, 1, 1), dt.datetime(1, 1, 1)),
    "Decimal": (Decimal, Decimal("-1.50"), Decimal128("-1.50")),
    "Decimal of a Decimal128": (Decimal, Decimal128("1E+3"), Decimal128("1E+3"), Decimal("1E+3")),
    "Decimal128": (Decimal128, Decimal128("1.5"), Decimal128("1.5")),
    "Decimal in a plain model": (
        Box[Decimal], {"value": Decimal(1)}, {"value": Decimal128("1")}, Box[Decimal](value=Decimal(1)),
    ),
    "ObjectId": (ObjectId, "0123456789abcdef01234567", ObjectId("0123456789abcdef01234567"),
                 ObjectId("0123456789abcdef01234567")),
    "UUID": (uuid.UUID, str(ID), ID, ID),
    "Regex": (Regex, Regex("a", "i"), Regex("a", "i")),
    "Regex of a pattern": (Regex, re.compile("a"), Regex("a", re.UNICODE), Regex("a", re.UNICODE)),
    "Timestamp": (Timestamp, Timestamp(1, 2), Timestamp(1, 2)),
    "Code": (Code, Code("f()", {"a": 1}), Code("f()", {"a": 1})),
    "MinKey": (MinKey, MinKey(), MinKey()),
    "MaxKey": (MaxKey, MaxKey(), MaxKey()),
    "Literal": (Literal["a", 1, None], None, None),  # noqa: PYI061 - as users write it
    "Literal of a member": (Literal[Color.RED], "red", "red", Color.RED),
    "Literal of a member that is no string": (Literal[Level.LOW, "b"], Level.LOW, 1),
    "Literal of a member by its value": (Literal[Level.LOW, "b"] | None, 1, 1, Level.LOW),
    "enum": (Color, Color.CRIMSON, "red"),
    "enum of several types": (Level, Level.HIGH, "high"),
    "enum by value": (Level, 1, 1, Level.LOW),
    "NewType": (Count, 3, 3),
    "TypeAliasType": (Many, [1], [1]),
    "optional": (int | None, None, None),
    "union": (int | str | list[int], [1], [1]),
    "list": (list[Decimal], [Decimal(1)], [Decimal128("1")]),
    "list of anything": (list, [1, "a"], [1, "a"]),
    "dict": (dict[str, dt.date], {"a": dt.date(2026, 1, 1)}, {"a": dt.datetime(2026, 1, 1)}),
    "dict by members": (dict[Color, int], {Color.RED: 1}, {"red": 1}),
    "set": (set[int], {3, 1}, [1, 3]),
    "frozenset of members": (frozenset[Level], frozenset({Level.LOW}), [1]),
    "tuple": (tuple[int, Decimal], (1, Decimal(2)), [1, Decimal128("2")]),
    "tuple of any length": (tuple[str, ...], ("a", "b"), ["a", "b"]),
    "sets in a list": (list[set[int]], [{1}], [[1]]),
    "embedded model": (Part, Part(id=1, s="a"), {"id": 1, "s": "a"}),
    "plain model": (Plain, Plain(n=1, part=Part(id=1, s="a")), {"n": 1, "part": {"id": 1, "s": "a"}}),
    "model in itself": (Tree, Tree(s="a", kids=[Tree(s="b")]), {"s": "a", "kids": [{"s": "b", "kids": None}]}),
    "models in a list": (list[Part], [{"id": 1, "s": "a"}], [{"id": 1, "s": "a"}], [Part(id=1, s="a")]),
    "TypedDict": (Typed, {"n": 1}, {"n": 1}),
    "dataclass": (Point, Point(1), {"x": 1, "y": Decimal128("1.5")}),
    "dataclass of pydantic": (Named, Named(ix=1), {"ix": 1}),
    "dataclass with slots above it": (SlottedBelow, SlottedBelow(1), {"x": 1, "y": 2}),
    "dataclass with slots above it, and none": (OpenBelow, OpenBelow(1), {"x": 1, "z": 3}),
    "dataclass of more fields": (More, {"x": 1, "more": [1]}, {"x": 1, "more": [1]}, More(x=1, more=[1])),  # type: ignore[call-arg]
    "model of several names": (Several, {"x": 1}, {"x": 1}, Several(x=1)),
    "RootModel": (Numbers, Numbers([1, 2]), [1, 2]),
    "generic": (Box[Part], Box[Part](value=Part(id=1, s="a")), {"value": {"id": 1, "s": "a"}}),
    "tagged union": (Pet, Dog(kind="dog", s="a"), {"kind": "dog", "s": "a"}),
    "tagged unions in a list": (list[Pet], [Cat(kind="cat", n=1)], [{"kind": "cat", "n": 1}]),
    "union of models": (Cat | Dog, {"kind": "dog", "s": "a"}, {"kind": "dog", "s": "a"}, Dog(kind="dog", s="a")),
    "Any": (Any, {"a": [Decimal(1), {1}]}, {"a": [Decimal128("1"), [1]]}, {"a": [Decimal(1), [1]]}),
    "JsonValue": (JsonValue, {"a": [1, None, {"b": [True]}]}, {"a": [1, None, {"b": [True]}]}),
    "URL": (pydantic.HttpUrl, "http://a.b/c", "http://a.b/c", pydantic.HttpUrl("http://a.b/c")),
    "URL of many hosts": (pydantic.MongoDsn, "mongodb://a:1,b:2/c", "mongodb://a:1,b:2/c",
                          pydantic.MongoDsn("mongodb://a:1,b:2/c")),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_is_offered_is_stored_is_clean_and_comes_back(name: str) -> None:
    annotation, offered, expected, *read = KEPT[name]
    judge = of_field(annotation)
    verdict = judge.offered({"_id": 1, "f": offered})
    assert verdict.violations == ()
    stored = bson.decode(bson.encode(verdict.document, codec_options=OPTIONS), codec_options=OPTIONS)
    assert stored["f"] == expected
    assert judge.stored(stored) == ()
    instance = judge.entry.reader.validate_python(stored)
    assert instance.f == (read[0] if read else offered)
    again = judge.offered(instance)
    assert again.violations == ()
    raw = bson.encode(verdict.document, codec_options=OPTIONS)
    assert bson.encode(again.document, codec_options=OPTIONS) == raw
    aware = bson.decode(raw, codec_options=OPTIONS.with_options(tz_aware=True))
    assert judge.entry.reader.validate_python(aware).id == 1


class Pair(NamedTuple):
    a: int


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Rate(enum.Enum):
    HALF = 0.5


class Odd(enum.Enum):
    PAIR = (1, 2)


@dataclasses.dataclass
class Aliased:
    x: Annotated[int, Field(alias="y")]


class TwoNames(BaseModel):
    x: int = Field(validation_alias="y")


class OtherName(BaseModel):
    x: int = Field(serialization_alias="y")


class Renamed(TypedDict):
    x: Annotated[int, Field(alias="y")]


REFUSED: dict[str, tuple[Any, str]] = {
    "time": (dt.time, "store a datetime"),
    "timedelta": (dt.timedelta, "store the seconds"),
    "Path": (pathlib.Path, "Path"),
    "SecretStr": (pydantic.SecretStr, "SecretStr"),
    "Secret": (pydantic.Secret[int], "Secret[int]"),
    "complex": (complex, "store two floats"),
    "IPv4Address": (ipaddress.IPv4Address, "IPv4Address"),
    "re.Pattern": (re.Pattern, "Pattern"),
    "re.Pattern of str": (re.Pattern[str], "re.Pattern[str]"),
    "Callable": (Callable[[], int], "callables"),
    "dict by int": (dict[int, str], "keys are strings, not an integer"),
    "dict by UUID": (dict[uuid.UUID, str], "keys are strings"),
    "a class": (type[int], "store a name"),
    "Iterable": (Iterable[int], "declare a list"),
    "NamedTuple": (Pair, "declare a model, or a tuple"),
    "deque": (collections.deque[int], "declare a list"),
    "OrderedDict": (collections.OrderedDict[str, int], "declare a dict"),
    "Counter": (collections.Counter[str], "declare dict[str, int]"),
    "defaultdict": (collections.defaultdict[str, int], "defaultdict"),
    "Fraction": (fractions.Fraction, "store a Decimal"),
    "Json": (pydantic.Json[list[int]], "declare what is in it"),
    "Base64Str": (pydantic.Base64Str, "decoded whenever it is validated"),
    "ZoneInfo": (zoneinfo.ZoneInfo, "ZoneInfo"),
    "ImportString": (pydantic.ImportString, "declare a type that BSON has"),
    "DBRef": (DBRef, "DBRef"),
    "range": (range, "range"),
    "an enum of tuples": (Odd, "no single value"),
    "a flag": (Access, "an int"),
    "a set of dicts": (set[dict[str, int]], "declare a list"),
    "a set without hashes": (set[Decimal128], "no sets of Decimal128"),
    "a dataclass with an alias": (Aliased, "pydantic.dataclasses.dataclass"),
    "read by another name": (TwoNames, "a stored field has one name"),
    "stored by another name": (OtherName, "stored as 'y', and is not read by that name"),
    "a TypedDict with an alias": (Renamed, "name the key 'y'"),
    "one of them deep inside": (dict[str, list[tuple[int, dt.time | None]]], "store a datetime"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_type_that_bson_has_not_is_refused_when_it_is_declared(name: str) -> None:
    annotation, words = REFUSED[name]
    with pytest.raises(DeclarationError) as refused:
        of_field(annotation)
    assert re.match(r"(Thing\d+\.f(\.x)?: |(Aliased|TwoNames|OtherName)\.x(:| is) ).*\.$", str(refused.value)), str(
        refused.value
    )
    assert words in str(refused.value)


#: What no BSON type holds, in a field whose type does: declared type, value, code, path below ``f``.
BEYOND: dict[str, tuple[Any, Any, str, str]] = {
    "an int of 64 bits and more": (int, 2**63, "SCH003", ""),
    "a negative one": (int, -(2**63) - 1, "SCH003", ""),
    "an int in a tuple": (tuple[int, int], (1, 2**63), "SCH003", ".1"),
    "an int in anything": (Any, {"a": [1, 2**64]}, "SCH003", ".a.1"),
    "a class of Python's in anything": (Any, {"a": [dt.timedelta(1)]}, "SCH001", ".a.0"),
    "digits beyond 34": (Decimal, Decimal("1" * 35), "SCH003", ""),
    "an exponent beyond Decimal128": (Decimal, Decimal("1E+7000"), "SCH003", ""),
    "a year before the first": (
        dt.datetime, dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))), "SCH003", "",
    ),
    "a year after the last": (
        dt.datetime, dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=1))), "SCH003", "",
    ),
    "a key with NUL": (dict[str, int], {"a\x00": 1}, "SCH003", ""),
    "a key that is no string": (Any, {"a": {1: 2}}, "SCH001", ".a"),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_a_value_that_bson_cannot_hold_is_refused_at_its_place(name: str) -> None:
    annotation, value, code, path = BEYOND[name]
    found = of_field(annotation).offered({"_id": 1, "f": value}).violations
    assert [(each.code, each.path) for each in found] == [(code, f"f{path}")]


@pytest.mark.parametrize("annotation", [dt.datetime, dt.date, pydantic.AwareDatetime, dt.datetime | int])
def test_a_stored_date_beyond_pythons_years_is_a_date_out_of_range(annotation: Any) -> None:
    stored = bson.decode(bson.encode({"_id": 1, "f": DatetimeMS(2**60)}), codec_options=OPTIONS)
    (violation,) = of_field(annotation).stored(stored)
    assert (violation.code, violation.path) == ("SCH003", "f")
    assert "9999" in violation.message or "valid date" in violation.message


def test_the_text_of_a_size_is_offered_and_never_stored() -> None:
    (violation,) = of_field(pydantic.ByteSize).stored({"_id": 1, "f": "1 KiB"})
    assert (violation.code, violation.message) == ("SCH001", "is a string, '1 KiB'; declared as an integer.")


def test_a_member_of_another_enum_is_refused_with_its_words() -> None:
    """Also where it holds a number, which the policy looks at."""
    for annotation in (Literal["a"], uuid.UUID):
        verdict = of_field(annotation).offered({"_id": 1, "f": Rate.HALF, "other": 1})
        assert {each.path for each in verdict.violations} == {"f", "other"}


class Hollow(Model):
    pass


@pytest.mark.parametrize(
    ("annotation", "empty"),
    [
        (tuple[()], []),
        (tuple[()] | None, []),
        (Annotated[list[int], Field(max_length=0)], []),
        (Annotated[dict[str, int], Field(max_length=0)], {}),
        (Hollow, {}),
        (list[Hollow], [{}]),
    ],
)
def test_an_empty_one_is_valid_where_no_other_is_declared(annotation: Any, empty: Any) -> None:
    judge = of_field(annotation)
    assert judge.offered({"_id": 1, "f": empty}).violations == ()
    assert judge.stored({"_id": 1, "f": empty}) == ()
    assert judge.stored({"_id": 1, "f": [1]}) != ()


@pytest.mark.parametrize("annotation", [list[str] | int, list[set[dt.date]] | ObjectId | None, list[int] | str])
def test_a_set_that_no_branch_of_a_union_takes_is_refused(annotation: Any) -> None:
    (violation,) = of_field(annotation).offered({"_id": 1, "f": {1.5}}).violations
    assert (violation.code, violation.path) == ("SCH001", "f")


def test_what_each_branch_of_a_union_refuses_at_another_place_is_refused() -> None:
    judge = of_field(list[dt.date | str] | tuple[int, str])
    for value in ([[[1]]], [Regex("a")], [None]):
        assert judge.offered({"_id": 1, "f": value}).violations, value


def test_a_set_is_stored_in_one_order_whatever_its_own_is() -> None:
    values = [Decimal("-0.01"), Decimal("0.33"), Decimal("0.01")]  # two of them meet in a set's table
    one, other = set(values), set(values[2:] + values[1::-1])
    assert list(one) != list(other)
    assert codec.encode(one) == codec.encode(other) == list(map(Decimal128, ["-0.01", "0.01", "0.33"]))


def test_an_object_that_looks_like_a_dbref_is_written_as_the_object_it_is() -> None:
    read = DBRef("a", 1)
    assert of_field(dict[str, Any]).offered({"_id": 1, "f": read}).document == {"_id": 1, "f": {"$ref": "a", "$id": 1}}
    assert [each.path for each in of_field(Part).offered({"_id": 1, "f": read}).violations].count("f.$ref") == 1


def test_an_object_that_looks_like_a_dbref_is_judged_as_the_object_it_is() -> None:
    stored = bson.decode(bson.encode({"_id": 1, "f": {"$ref": "a", "$id": 1}}), codec_options=OPTIONS)
    assert type(stored["f"]) is DBRef
    assert of_field(dict[str, Any]).stored(stored) == ()
    assert of_field(Any).stored(stored) == ()
    assert {(each.code, each.path) for each in of_field(Part).stored(stored)} == {
        ("SCH002", "f.id"), ("SCH002", "f.s"), ("SCH004", "f.$ref"), ("SCH004", "f.$id"),
    }  # fmt: skip


def test_text_that_is_no_utf8_is_refused() -> None:
    raw = bytearray(bson.encode({"_id": 1, "f": "abc"}))
    raw[raw.index(b"abc")] = 0xFF
    (violation,) = of_field(str).stored(bson.decode(bytes(raw), codec_options=OPTIONS))
    assert (violation.code, violation.message) == ("SCH003", r"is '\udcffbc', and must be valid UTF-8.")


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(map(int, digits)), exponent)),
    st.integers(0, 1), st.text("0123456789", min_size=1, max_size=36), st.integers(-6200, 6150),
))  # fmt: skip
def test_a_decimal_is_stored_as_pymongo_stores_it(value: Decimal) -> None:
    try:
        expected = Decimal128(value)
    except (decimal.DecimalException, ValueError):
        with pytest.raises(Exception, match="must fit Decimal128"):
            convert.to_decimal128(value)
        return
    assert convert.to_decimal128(value).bid == expected.bid
    assert convert.is_finite(expected) is expected.to_decimal().is_finite()
    assert convert.from_decimal128(expected).compare_total(expected.to_decimal()) == 0


@given(st.binary(min_size=16, max_size=16))
def test_any_decimal128_is_read_as_pymongo_reads_it(bid: bytes) -> None:
    value = Decimal128.from_bid(bid)
    assert convert.from_decimal128(value).compare_total(value.to_decimal()) == 0
    assert convert.is_finite(value) is value.to_decimal().is_finite()
