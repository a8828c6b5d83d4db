"""A value has another type than the declared one.

## What it finds

A stored BSON type that the declaration does not take. `int` is int or long, `float` is double, int or long,
`Decimal` is Decimal128, `str` is string only, `datetime` is date, `bytes` binary, `UUID` binary of subtype 4.

## Why it matters

MongoDB compares within a type: `{qty: {$gt: 3}}` does not find `"5"`, an index on a date does not order strings of
dates, and `"5"` and `5` are two keys.

## Example

    class Product(Model, collection="products"):
        id: int
        stock: int

    products  {"_id": 1, "stock": "5"}

    SCH001 products.stock: is a string, '5'; declared as an integer.

## On a write

Converted where pydantic converts without loss (the string `"5"` to the integer 5, text to an ObjectId), and what it
was converted to is stored. Refused otherwise; so is an array or a regular expression as `_id`, which MongoDB does not
take.

## In an audit

Judged strictly by what is stored, without any conversion: an integral double such as `5.0` where `int` is declared
is SCH001 too.

## Repair

Safe where the value is the same in the declared type (5.0 as 5); unsafe otherwise.
"""

from __future__ import annotations

from typing import Any

from integrity.declare import bson_type
from integrity.declare.shape import Node
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("SCH001", "wrong-type", __name__, repair="safe", remedies=(remedy.CONVERT, remedy.COERCE, *remedy.EMPTIED))

#: Of a value that is gone once it is read: what was judged would not be what is stored.
ONCE = Fault("can be read only once, as a generator can.", "Give a list.")


def fault(value: Any, node: Node) -> Fault:
    """Return what is wrong with a `value` whose type the node does not take."""
    shown = quote(value)
    hint = "Store the declared type, or declare the type that is stored."
    if isinstance(value, float) and value.is_integer() and node.scalars & bson_type.INTEGERS:
        hint = "Store the same number as an integer: the repair is safe."
    found = bson_type.NAMES.get(bson_type.alias(value), f"of Python's type {type(value).__name__}")
    return Fault(f"is {found}, {shown}; declared as {bson_type.name(node.types)}.", hint, (shown,))
