"""A value is of the declared type and outside of what is declared.

## What it finds

A value that breaks a constraint of pydantic's: a range (`Field(gt=0)`), a length, a pattern, a `Literal`'s or an
enum's choice, a number of decimal places.

## Why it matters

In SQL this is CHECK. A negative stock or an unknown status is a bug that was stored.

## Example

    class Product(Model, collection="products"):
        id: int
        price: Annotated[float, Field(gt=0)]

    products  {"_id": 1, "price": -4.5}

    SCH003 products.price: is -4.5, and must be greater than 0.

## On a write

Refused; nothing is stored. So is an `_id` with a name that begins with a dollar in it, which MongoDB does not take.

## In an audit

Judged by the same pydantic constraint as on a write.

## Repair

Unsafe: only the application knows the value.
"""

from __future__ import annotations

from typing import Any

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("SCH003", "constraint-not-met", __name__, repair="unsafe", remedies=(remedy.TRIM, *remedy.EMPTIED))


def fault(value: Any, reason: str) -> Fault:
    """Return what is wrong with `value`.

    Args:
        value: The value.
        reason: The constraint, after "is ... and", such as ``"must be greater than 0"``; or a clause of its own.
    """
    shown = quote(value)
    joint = ", and" if reason.startswith("must ") else ":"
    return Fault(
        f"is {shown}{joint} {reason.removesuffix('.')}.", "Store a value that meets the declared constraint.", (shown,)
    )
