"""A string is empty.

## What it finds

The string `""` in a field whose policy does not allow it and which does not say `Allow("")`.

## Why it matters

An empty string passes every "is it there" check and holds nothing. It also splits what is unknown in two: some
queries look for null, others for `""`, and neither finds all.

## Example

    class Customer(Model, collection="customers"):
        id: int
        name: str

    customers  {"_id": 1, "name": ""}

    EMP001 customers.name: is an empty string.

## On a write

Refused; nothing is stored. `Allow("")` on the field, or `Policy(allow_empty_strings=True)` on the model or the
database, lets it through.

## In an audit

Judged on every declared string, also inside arrays, mappings and embedded documents, and also where a number or a
date is declared: importers leave it there. It comes before SCH, REF, OWN and UNQ at the same path.

## Repair

Unsafe: set it to null or take the field out, if the field may be null or absent. Whether the value is unknown or
was lost, the database cannot say.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.policy import Policy
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule

RULE = Rule("EMP001", "empty-string", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, policy: Policy) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    if value == "" and not policy.allow_empty_strings:
        return Fault("is an empty string.", 'Leave it out or store null; Allow("") where it means something.')
    return None
