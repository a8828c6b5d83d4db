r"""A string holds a control or unassigned character.

## What it finds

A character of Unicode's categories Cc (but tab, line feed and carriage return), Cn or Cs in a string, where
`Policy(allow_control_characters=False)` asks for it. By default the rule is off: names of the real world carry
them.

## Why it matters

A NUL ends a string early in other programs, an escape character rewrites the terminal of whoever looks at it, an
unassigned code point is most often a broken encoding.

## Example

    class Customer(Model, collection="customers", policy=Policy(allow_control_characters=False)):
        id: int
        name: str

    customers  {"_id": 1, "name": "Ada\x07"}

    FRB003 customers.name: holds the control or unassigned character U+0007: 'Ada\x07'.

## On a write

Refused where the policy asks for it; nothing is stored.

## In an audit

Judged on every string of the models whose policy asks for it. Format characters (the joiners inside an emoji) and
pictographs that are newer than the Python in use are text.

## Repair

Safe: take the character out.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.policy import Policy, unprintable
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("FRB003", "control-character", __name__, repair="safe", remedies=(remedy.STRIP, *remedy.EMPTIED))


def fault(value: Any, policy: Policy) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    if policy.allow_control_characters:
        return None
    found = unprintable(value)
    if found is None:
        return None
    shown = quote(value)
    return Fault(
        f"holds the control or unassigned character U+{ord(found):04X}: {shown}.",
        "Take the character out.",
        (shown,),
    )
