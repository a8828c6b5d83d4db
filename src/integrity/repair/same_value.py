"""The same value in another BSON type: what may be converted without losing or guessing anything. Pure.

Two values are the same when each says exactly what the other says:

* numbers that MongoDB calls equal: the double 5.0 and the integer 5, but not the double 0.1 and Decimal128("0.1"),
  which differ in the twentieth digit;
* a text and the value that is written like it: "5" and 5, "0.10" and Decimal128("0.10"), but not "05" and 5, whose
  text is "5", and not "1e3" and 1000;
* an ObjectId or UUID and its hexadecimal digits, whatever their case;
* a date and its text in ISO 8601 with a time and a zone, to the millisecond; a text without a zone could mean another
  moment, and one without a time has less to say;
* true and false and these words.

A number is no text by itself: that 1234 was "01234" once, nobody can see any more.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from bson import Decimal128, ObjectId

from integrity.declare.bson_type import INT_MAX, INT_MIN, INTEGERS
from integrity.declare.equality import equal
from integrity.declare.shape import Node

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)")
_WORDS = {"true": True, "false": False}


def conversions(value: Any, node: Node) -> Iterator[Any]:
    """Yield what a value is in the types that a node declares, the most exact first; nothing where it is none.

    Args:
        value: The stored value.
        node: What is declared where it stands.
    """
    if type(value) is str:  # JavaScript code is a str to Python, and no text
        yield from _of_text(value, node)
    elif isinstance(value, float | Decimal128) or (isinstance(value, int) and not isinstance(value, bool)):
        yield from (each for each in _of_number(value, node) if equal(each, value))


def _of_number(value: Any, node: Node) -> Iterator[Any]:
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if not math.isfinite(number):
        return
    if node.scalars & INTEGERS and number == int(number) and INT_MIN <= int(number) <= INT_MAX:
        yield int(number)
    if "decimal" in node.scalars and (exact := _decimal(number)) is not None:
        yield exact
    if "double" in node.scalars:
        yield float(number)


def _decimal(number: float | Decimal | str) -> Decimal128 | None:
    """Return the finite Decimal128 of exactly this number, or None.

    Of a float every digit counts: most of its fractions have more than the 34 that fit.
    """
    try:
        found = Decimal128(Decimal(number))
    except (decimal.DecimalException, ValueError):
        return None
    return found if found.to_decimal().is_finite() else None


def _of_text(text: str, node: Node) -> Iterator[Any]:
    scalars = node.scalars
    if scalars & INTEGERS and (found := _integer(text)) is not None:
        yield found
    if "decimal" in scalars and (number := _decimal(text)) is not None and str(number) == text:
        yield number
    if "double" in scalars and (real := _real(text)) is not None:
        yield real
    if "bool" in scalars and text in _WORDS:
        yield _WORDS[text]
    if "objectId" in scalars and ObjectId.is_valid(text):
        yield ObjectId(text)
    if "uuid" in scalars and (unique := _uuid(text)) is not None:
        yield unique
    if "date" in scalars and (date := _date(text)) is not None:
        yield date


def _integer(text: str) -> int | None:
    try:
        found = int(text)
    except ValueError:
        return None
    return found if str(found) == text and INT_MIN <= found <= INT_MAX else None


def _real(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and repr(found) == text else None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return found if text.lower() in {str(found), found.hex} else None


def _date(text: str) -> dt.datetime | None:
    """Return the moment that a text says, in UTC."""
    if not _ISO.fullmatch(text):
        return None
    try:
        found = dt.datetime.fromisoformat(text).astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return found if found.microsecond % 1000 == 0 else None
