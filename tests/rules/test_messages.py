"""What is wrong is said in one sentence with the value and the bound, and a second one names the way out."""

# ruff: noqa: DTZ001 - stored dates are read without a zone, and are UTC
import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
import pytest
from bson import Code, Decimal128
from pydantic import Field

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.model import Model
from integrity.rules.unique import duplicate_value
from integrity.violation import quote
from tests.declare.models import of_field


class Cat(Model):
    kind: Literal["cat"]
    lives: int


class Dog(Model):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]

STORED: list[tuple[Any, Any, str]] = [
    (int, 5.0, "is a double, 5.0; declared as an integer."),
    (int, "5", "is a string, '5'; declared as an integer."),
    (str, Code("x"), "is JavaScript code, Code('x', None); declared as a string."),
    (int | str, [1], "is an array, [1]; declared as a string or an integer."),
    (float, Decimal128("1"), "is a Decimal128, Decimal128('1'); declared as a double or an integer."),
    (str, "", "is an empty string."),
    (str, " ", "has no visible character: ' '."),
    (str, "N/A", "is the placeholder 'N/A'."),
    (list[int], [], "is an empty array."),
    (dict[str, int], {}, "is an empty object."),
    (int, None, "is null, and null is not declared."),
    (float, float("inf"), "is inf, which is not a number."),
    (Annotated[int, Field(gt=0)], 0, "is 0, and must be greater than 0."),
    (Annotated[int, Field(multiple_of=5)], 3, "is 3, and must be a multiple of 5."),
    (Annotated[str, Field(min_length=3)], "ab", "is 'ab', and must have at least 3 characters."),
    (Annotated[str, Field(pattern="^a")], "b", "is 'b', and must match the pattern '^a'."),
    (Annotated[list[int], Field(max_length=1)], [1, 2], "is [1, 2], and must have at most 1 element, not 2."),
    (Annotated[dict[str, int], Field(min_length=2)], {"a": 1}, "is {'a': 1}, and must have at least 2 fields, not 1."),
    (Annotated[set[int], Field(min_length=2)], [1, 1],
     "is [1, 1], and must have at least 2 different elements, not 1."),
    (Annotated[Decimal, Field(decimal_places=1)], Decimal128("1.25"),
     "is Decimal128('1.25'), and must have no more than 1 decimal place."),
    (tuple[int, int], [1], "is [1], and must have at least 2 elements, not 1."),
    (Literal["a", "b"], "c", "is 'c', and must be 'a' or 'b'."),
    (dt.date, dt.datetime(2026, 1, 1, 5),
     "is datetime.datetime(2026, 1, 1, 5, 0), and must be a day without a time of day."),
    (pydantic.HttpUrl, "x", "is 'x', and must be a valid URL, relative URL without a base."),
    (Pet, {"kind": "cow"}, "is 'cow', and must be 'cat' or 'dog'."),
    (Pet, {"lives": 9}, "is missing, and it is required."),
    (dict[Annotated[str, Field(pattern="^a")], int], {"b": 1}, "is 'b', and must match the pattern '^a' as a key."),
    (Annotated[str, Forbid("root")], "root", "is 'root', which is a forbidden value."),
    (Annotated[str, Allow("")], "-", "is the placeholder '-'."),
    (Cat, {"kind": "cat", "lives": 9, "live": 1}, "is not declared."),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "message"), STORED)
def test_a_stored_fault_in_words(annotation: Any, value: Any, message: str) -> None:
    (violation,) = of_field(annotation).stored({"_id": 1, "f": value})
    assert violation.message == message
    assert violation.hint.endswith((".", "?"))
    assert "input" not in violation.message.lower()


def test_an_unknown_field_that_is_almost_a_known_one_is_asked_about() -> None:
    (violation,) = of_field(Cat).stored({"_id": 1, "f": {"kind": "cat", "lives": 9, "live": 1}})
    assert (violation.path, violation.hint) == ("f.live", "Did you mean 'lives'?")


OFFERED: list[tuple[Any, Any, str]] = [
    (int, "x", "is a string, 'x'; declared as an integer."),
    (int, 2**63, "is 9223372036854775808, and must be less than or equal to 9223372036854775807."),
    (dt.datetime, "soon", "is a string, 'soon'; declared as a date."),
    (Any, dt.timedelta(1), "is datetime.timedelta(days=1): BSON has no type for timedelta."),
    (pydantic.NaiveDatetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
     "is datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezon…, and must have no time zone."),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "message"), OFFERED)
def test_an_offered_fault_in_words(annotation: Any, value: Any, message: str) -> None:
    (violation,) = of_field(annotation).offered({"_id": 1, "f": value}).violations
    assert violation.message == message


def test_the_values_of_a_compound_constraint_are_shown_however_long() -> None:
    values = {"product_id": "x" * 100, "customer_id": uuid.UUID(int=1)}
    shown = f"{{'product_id': {quote('x' * 100)}, 'customer_id': UUID('{uuid.UUID(int=1)}')}}"
    assert duplicate_value.fault(values).message == f"is {shown}, which is taken and is declared unique."
    many = duplicate_value.fault({str(each): "x" * 20 for each in range(10)}).message
    assert many.startswith("is an object with 10 fields")
