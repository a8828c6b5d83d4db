"""An array or object is empty.

## What it finds

`[]` or `{}` in a field that does not say `Allow([])` or `Allow({})`, unless nothing else can stand there (`tuple[()]`).

## Why it matters

An order without items, a route without planes: most often an import that failed in the middle. Where an empty list
is a real answer ("no allergies"), the field says so.

## Example

    class Order(Model, collection="orders"):
        id: int
        items: list[str]

    orders  {"_id": 1, "items": []}

    EMP003 orders.items: is an empty array.

## On a write

Refused; nothing is stored.

## In an audit

Judged on every declared array, mapping and embedded document.

## Repair

Unsafe: set it to null or take the field out, if the field may be null or absent.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.policy import Policy
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule

RULE = Rule("EMP003", "empty-container", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, policy: Policy) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    if not value and not policy.allow_empty_containers:
        kind, allowed = ("object", "{}") if isinstance(value, dict) else ("array", "[]")
        return Fault(
            f"is an empty {kind}.",
            f"Leave it out or store null; Allow({allowed}) where it means something.",
        )
    return None
