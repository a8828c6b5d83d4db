"""A required field is not there.

## What it finds

A document, or an embedded one, without a field that is declared and has no default.

## Why it matters

Code that reads the field fails, or takes the absence for a value. MongoDB's `{field: null}` finds null and absent
alike, so nobody notices which it is.

## Example

    class Order(Model, collection="orders"):
        id: int
        total: float

    orders  {"_id": 1}

    SCH002 orders.total: is missing, and it is required.

## On a write

Refused; nothing is stored. A field with a default is filled with it.

## In an audit

Judged on every declared object. A field with a default may be absent: the model reads the default.

## Repair

Unsafe: only the application knows the value.
"""

from __future__ import annotations

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule

RULE = Rule("SCH002", "missing-field", __name__, repair="unsafe", remedies=remedy.AWAY)

FAULT = Fault("is missing, and it is required.", "Give it a value, or declare a default.")
