r"""A string stands for "nothing".

## What it finds

One of `\N  N/A  n/a  #N/A  null  NULL  undefined  None  nan  NaN  -  --  ?  [object Object]`, compared with the
whole value, so that the surname "Null" is a name. `Policy(placeholders=...)` has another list.

## Why it matters

They are what CSV files, spreadsheets and careless programs write for a missing value. The database takes them for
real ones: a thousand airlines whose code is `-` are a thousand duplicates, and `\N` in a column of numbers is a
string.

## Example

    class Customer(Model, collection="customers"):
        id: int
        city: str | None = None

    customers  {"_id": 1, "city": "N/A"}

    FRB001 customers.city: is the placeholder 'N/A'.

## On a write

Refused; nothing is stored. `Allow("-")` on a field lets that one value through there.

## In an audit

Judged on every string at a declared path, whatever type is declared: `\N` in a field of integers is FRB001 and not
SCH001, because its cure is another one. Placeholders are not compared for uniqueness.

## Repair

Unsafe: set it to null or take the field out, if the field may be null or absent.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.policy import Policy
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("FRB001", "placeholder", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, policy: Policy) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    if str.__str__(value) not in policy.placeholders:  # JavaScript code is a string that has no hash
        return None
    shown = quote(value)
    return Fault(
        f"is the placeholder {shown}.",
        f"Leave it out or store null; Allow({value!r}) where it is a real value.",
        (shown, repr(value)),
    )
