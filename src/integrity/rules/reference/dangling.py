"""A reference names a document that is not there.

## What it finds

A value at a `Ref(...)` that is no key of any document of the target. Null and absent refer to nothing and are fine;
of an array every element is judged.

## Why it matters

In SQL this is FOREIGN KEY. MongoDB has none: an insert that comes too late, a delete that comes too early, and the
order of a customer who never existed stays for ever.

## Example

    class Customer(Model, collection="customers"):
        id: int

    class Order(Model, collection="orders"):
        id: int
        customer_id: Annotated[int, Ref(Customer)]

    customers  {"_id": 1}
    orders     {"_id": 7, "customer_id": 2}

    REF001 orders.customer_id: refers to customers._id 2, which does not exist.

## On a write

Refused; nothing is stored.

## In an audit

The keys of each batch are looked up once each, without `$lookup`; what is missing is read a second time before it
is reported. Equality is MongoDB's: the long 5 and the double 5.0 are one key, `"5"` is another.

## Repair

Unsafe: insert what is missing, correct the reference, or set it to null where it may be null.
"""

from __future__ import annotations

from typing import Any

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("REF001", "dangling-reference", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(key: Any, target: str) -> Fault:
    """Return what is wrong with a reference.

    Args:
        key: The reference's value.
        target: What it refers to, such as ``"airports._id"``.
    """
    shown = quote(key)
    return Fault(
        f"refers to {target} {shown}, which does not exist.",
        "Insert what it refers to first, or correct the reference.",
        (shown,),
    )
