"""Two values are equal to us exactly when they are to MongoDB: asked of the server, both ways."""

# ruff: noqa: DTZ001 - stored dates are read without a zone, and are UTC
import datetime as dt
import re
import uuid
from typing import Any

import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database

from integrity.declare.equality import equal, key, same
from integrity.store.codecs import CODEC

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)
ID = ObjectId("0123456789abcdef01234567")

SCALARS: list[Any] = [
    0, -0.0, 0.0, 1, Int64(1), 1.0, True, False, Decimal128("1"), Decimal128("1.00"), Decimal128("-0"), 0.1, 0.5,
    Decimal128("0.1"), Decimal128("0.5"), Decimal128("0.1000000000000000055511151231257827"), 1e308,
    Decimal128("0.1000000000000000055511151231257827021181583404541015625"[:36]), 2**53, 2**53 + 1, float(2**53),
    Decimal128("9007199254740993"), 2**63 - 1, float(2**63), Decimal128("9223372036854775807"), float("nan"),
    Decimal128("NaN"), Decimal128("sNaN"), Decimal128("-NaN"), float("inf"), Decimal128("Infinity"), float("-inf"),
    Decimal128("-Infinity"), None, "", "1", "a", "A", "\u00e9", "e\u0301",
    Code("a"), Code("a", {}), Code("a", {"b": 1}),
    Code("Code('a', None)"), "Code('a', None)", b"", b"a", Binary(b"a", 2), Binary(b"a", 128), uuid.UUID(int=0),
    Binary(bytes(16), 4), bytes(16), Regex("a"), Regex("a", "i"), re.compile("a"), ID, str(ID), ID.binary,
    Timestamp(1, 2), Timestamp(2, 1), MinKey(), MaxKey(), dt.datetime(1970, 1, 1), DatetimeMS(0), DatetimeMS(2**60),
    dt.datetime(1970, 1, 1, 0, 0, 0, 999), dt.datetime(1970, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    DBRef("a", 1), {"$ref": "a", "$id": 1}, DBRef("a", 1.0), DBRef("a", 1, "db"),
]  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.decimals(places=3, min_value=-(10**12), max_value=10**12).map(Decimal128),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda each: Decimal128(f"{each:.17g}")),
    st.integers(-(2**54), 2**54).map(lambda each: Decimal128(str(each))),
    st.integers(-(2**54), 2**54).map(float),
)
VALUES = st.recursive(
    st.one_of(st.sampled_from(SCALARS), NUMBERS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=4,
)


def stored(value: Any) -> Any:
    return bson.decode(bson.encode({"v": value}, codec_options=OPTIONS), codec_options=OPTIONS)["v"]


def servers(database: Database[dict[str, Any]], values: list[Any]) -> list[list[bool]]:
    """Ask the server which of the values are equal to which."""
    equals = [{"$eq": ["$v", {"$literal": each}]} for each in values]
    found = database.aggregate([
        {"$documents": [{"n": index, "v": {"$literal": each}} for index, each in enumerate(values)]},
        {"$project": {"n": 1, "equal": equals}},
        {"$sort": {"n": 1}},
    ])  # fmt: skip
    return [each["equal"] for each in found]


def test_every_kind_of_value_against_every_other(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    wanted = servers(client.get_database(database_name, codec_options=OPTIONS), SCALARS)
    ours = [[equal(first, second) for second in SCALARS] for first in SCALARS]
    wrong = [
        (first, second, wanted[row][column])
        for row, first in enumerate(SCALARS)
        for column, second in enumerate(SCALARS)
        if ours[row][column] is not wanted[row][column]
    ]
    assert wrong == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(VALUES, min_size=2, max_size=14))
def test_equal_is_what_the_server_calls_equal(
    client: MongoClient[dict[str, Any]], database_name: str, values: list[Any]
) -> None:
    database = client.get_database(database_name, codec_options=OPTIONS)
    wanted = servers(database, values)
    for first, row in zip(values, wanted, strict=True):
        for second, answer in zip(values, row, strict=True):
            assert equal(stored(first), stored(second)) is answer, (first, second)
            assert equal(first, second) is answer, (first, second)


@given(VALUES)
def test_a_key_is_hashable_and_the_same_after_storing(value: Any) -> None:
    assert {key(value)} == {key(stored(value))}


@given(VALUES)
def test_what_is_stored_is_the_same_as_itself(value: Any) -> None:
    assert same(stored(value), stored(value))


def test_the_same_is_equal_and_of_one_type_throughout() -> None:
    assert same(1, Int64(1))
    assert not same(1, 1.0)
    assert not same(True, 1)  # noqa: FBT003 - a value
    assert not same({"a": 1}, {"a": 1.0})
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same([1], [1, 2])
    assert same({"a": [ID, None]}, {"a": [ID, None]})
    assert not same("a", Code("a"))
