"""A number is NaN or infinite.

## What it finds

NaN, Infinity or -Infinity as a double or a Decimal128.

## Why it matters

NaN comes from a division by zero or from pandas' idea of a missing value. One of them turns every sum and average
over the collection into NaN; in MongoDB's order it stands below all numbers, so a range query loses it without a
word.

## Example

    class Product(Model, collection="products"):
        id: int
        price: float

    products  {"_id": 1, "price": float("nan")}

    EMP005 products.price: is nan, which is not a number.

## On a write

Refused; nothing is stored. `Allow(float("nan"))` on the field or `Policy(allow_nan=True)` lets it through.

## In an audit

Judged on every declared number.

## Repair

Unsafe: set it to null or take the field out, if the field may be null or absent.
"""

from __future__ import annotations

import enum
import math
from decimal import Decimal
from typing import Any

from bson import Decimal128

from integrity.declare.policy import Policy
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("EMP005", "not-a-number", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, policy: Policy) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    if policy.allow_nan or isfinite(value):
        return None
    return _fault(str(value))


def named(value: Any) -> Fault:
    """Return what is wrong with a text that names no number, such as ``"inf"``."""
    return _fault(quote(value))


def _fault(shown: str) -> Fault:
    hint = 'Leave it out or store null; Allow(float("nan")) where it means something.'
    return Fault(f"is {shown}, which is not a number.", hint, (shown,))


def isfinite(value: Any) -> bool:
    """Whether a float, Decimal or Decimal128, or an enum's member that is one, is a finite number."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
