"""A value is one that its field forbids.

## What it finds

A value that the field's `Forbid(...)` names: an exact value, a pattern that is found in the string, or a value for
which a function returns true.

## Why it matters

Some values are well-formed and wrong: test accounts, retired codes, `1970-01-01`, script tags.

## Example

    class Customer(Model, collection="customers"):
        id: int
        email: Annotated[str, Forbid(re.compile("@example[.]com$"))]

    customers  {"_id": 1, "email": "test@example.com"}

    FRB002 customers.email: is 'test@example.com', which matches the forbidden pattern '@example[.]com$'.

## On a write

Refused; nothing is stored.

## In an audit

Judged on every value of the field. It comes after the policy's rules (EMP, FRB001, FRB003) and before SCH.

## Repair

Unsafe: only the application knows what should stand there.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.shape import Node
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("FRB002", "forbidden-value", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, node: Node) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    found = node.forbids(value)
    if found is None:
        return None
    reason, quoted = found
    shown = quote(value)
    hint = "Store a value that the field's Forbid(...) lets through."
    return Fault(f"is {shown}, which {reason}.", hint, (shown, quoted) if quoted else (shown,))
