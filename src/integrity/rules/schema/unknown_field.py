"""A field is not declared.

## What it finds

A field that the model, or the embedded model, does not declare, unless it says `extra="allow"`.

## Why it matters

A misspelt name stores a second truth beside the first, and reading the right name finds nothing. A field that
nobody declares has no owner and no rule.

## Example

    class Customer(Model, collection="customers"):
        id: int
        name: str

    customers  {"_id": 1, "name": "Ada", "nmae": "Ada"}

    SCH004 customers.nmae: is not declared.

## On a write

Refused, with the declared name that is closest; nothing is stored. Where undeclared fields are let in, `_condemned` is
not: it is the library's own.

## In an audit

Judged on every declared object; what stands inside an undeclared field is not looked into. Where undeclared fields are
let in, one is at fault all the same whose name is no valid UTF-8: it can be declared by no model and written by no
command, and the driver of another language has stored it.

## Repair

Unsafe: the value may be the only copy. Declare the field, rename it, or take it out.
"""

from __future__ import annotations

import difflib

from integrity.declare.shape import Object
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule

RULE = Rule("SCH004", "unknown-field", __name__, repair="unsafe", remedies=(remedy.REMOVE, *remedy.AWAY))

RESERVED = Fault("is the library's own, while a delete is under way.", "Give the field another name.")
UNREADABLE = Fault("has a name that is no valid UTF-8.", "No command can hold the name; write the document anew.")


def fault(name: str, parent: Object) -> Fault:
    """Return what is wrong with a field `name` that its object does not declare."""
    close = difflib.get_close_matches(str(name), parent.fields, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else 'Declare it, or let unknown fields in with extra="allow".'
    return Fault("is not declared.", hint)
