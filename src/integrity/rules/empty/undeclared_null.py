"""A value is null and null is not declared.

## What it finds

Null in a field, an array's element or a mapping's value whose type is not `... | None`.

## Why it matters

In SQL this is NOT NULL. In MongoDB null sorts before everything, matches `{field: null}` together with absent
fields, and turns every sum and comparison in the application into a special case.

## Example

    class Order(Model, collection="orders"):
        id: int
        total: float

    orders  {"_id": 1, "total": None}

    EMP004 orders.total: is null, and null is not declared.

## On a write

Refused; nothing is stored.

## In an audit

Judged by the stored BSON null. A field that is not there at all is SCH002, or nothing where it has a default.

## Repair

Unsafe: only the application knows the value. Where null is a real answer, declare it.
"""

from __future__ import annotations

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule

RULE = Rule("EMP004", "undeclared-null", __name__, repair="unsafe", remedies=(remedy.REMOVE, *remedy.AWAY))

FAULT = Fault("is null, and null is not declared.", "Give it a value, or declare the type as `... | None`.")
