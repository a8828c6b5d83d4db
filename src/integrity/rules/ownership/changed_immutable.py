"""A field that is written once would change.

## What it finds

A write that would give an `Immutable()` field another value than the insert, or the first write that sets it, gave
it.

## Why it matters

An order's date or an account's number is a fact about the past. A program that changes it is wrong, and what it
overwrites is gone.

## Example

    class Order(Model, collection="orders"):
        id: int
        placed: Annotated[int, Immutable()]

    db = integrity.Database(database, models=[Order])
    db[Order].insert_one({"_id": 1, "placed": 2025})
    db[Order].update_one({"_id": 1}, {"$set": {"placed": 2026}})

    OWN004 orders.placed: is written once: it is 2025 and would become 2026.

## On a write

Refused as `ImmutableField`; nothing is stored.

## In an audit

Not judged: nothing in a stored document tells that a value was another one before.

## Repair

None is needed: nothing was stored.
"""

from __future__ import annotations

from typing import Any

from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("OWN004", "changed-immutable", __name__, audited=False, repair="none")


def fault(before: Any, after: Any) -> Fault:
    """Return what is wrong with a write.

    Args:
        before: The stored value.
        after: The value that the write would have left, or a text for what it would have done.
    """
    was, shown = quote(before), quote(after)
    return Fault(
        f"is written once: it is {was} and would become {shown}.",
        "Leave the field as it is, or insert a new document.",
        (was, shown),
    )
