"""What a glance lets through without a call of Python is what the whole validator makes of it, to the value."""

# ruff: noqa: DTZ001, DTZ901 - stored dates are read without a zone, and are UTC

import datetime as dt
from typing import Annotated, Any

import pydantic
import pytest
from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from pydantic import Field, ValidationError

from integrity import Forbid, Model
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge

EAST, WEST = dt.timezone(dt.timedelta(hours=14)), dt.timezone(-dt.timedelta(hours=12))
NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 678000)
ID = ObjectId()

DATES: list[Any] = [
    NOON,
    NOON.replace(tzinfo=dt.UTC),
    NOON.replace(tzinfo=EAST),
    NOON.replace(tzinfo=WEST),
    NOON.replace(microsecond=678_123),
    dt.datetime.min,
    dt.datetime.max,
    dt.datetime.min.replace(tzinfo=EAST),
    dt.datetime.max.replace(tzinfo=WEST),
    NOON.isoformat(),
    NOON.replace(tzinfo=EAST).isoformat(),
    NOON.date(),
    "2026-01-02",
    1_767_355_200,
    1_767_355_200.5,
    Int64(1_767_355_200_000),
    DatetimeMS(1_767_355_200_000),
    DatetimeMS(2**60),
    ID,
    None,
    True,
    [NOON],
]
BEFORE, AFTER = dt.datetime(2026, 1, 2, 11), dt.datetime(2026, 1, 2, 13, tzinfo=dt.UTC)
KINDS: dict[str, Any] = {
    "any": dt.datetime,
    "or null": dt.datetime | None,
    "in a list": list[dt.datetime],
    "bounded": Annotated[dt.datetime, Field(ge=BEFORE, lt=BEFORE.replace(hour=13))],
    "bounded in a zone": Annotated[dt.datetime, Field(gt=BEFORE.replace(tzinfo=dt.UTC), le=AFTER)],
    "past": pydantic.PastDatetime,
    "future": pydantic.FutureDatetime,
    "aware": pydantic.AwareDatetime,
    "naive": pydantic.NaiveDatetime,
    "strict": Annotated[dt.datetime, Field(strict=True)],
    "anything": Any,
    "an ObjectId": ObjectId,
}


def made(judge: Judge, validator: Any, value: Any) -> Any:
    """Return what becomes of a value, or why nothing does."""
    try:
        return [(type(each), each) for each in validator.validate_python({"_id": ID, "value": value}).values()]
    except ValidationError:
        return "refused"


@pytest.mark.parametrize("kind", KINDS)
def test_dates_and_ids_are_what_the_whole_validator_makes_of_them(kind: str) -> None:
    class Kept(Model, collection="kept"):
        value: KINDS[kind]  # type: ignore[valid-type]  # a parameter of the test

    judge = Judge(Registry([Kept]).entry(Kept))
    for value in [*DATES, [NOON.replace(tzinfo=EAST), NOON], str(ID), b"123456789012", {"a": ID}]:
        whole = made(judge, judge.entry.write_validator, value)
        glanced = made(judge, judge.entry.write_glance, value)
        assert glanced == whole, (kind, value)
        for each in (whole, glanced):  # two moments may be equal, and their zones differ
            if each != "refused" and isinstance(each[1][1], dt.datetime):
                assert each[1][1].utcoffset() == whole[1][1].utcoffset()


def test_an_id_of_any_type_may_be_forbidden() -> None:
    class Listed(Model, collection="listed"):
        id: Annotated[Any, Forbid(ID)]

    judge = Judge(Registry([Listed]).entry(Listed))
    assert [each.code for each in judge.offered({"_id": ID}).violations] == ["FRB002"]
    assert not judge.offered({"_id": ObjectId()}).violations
