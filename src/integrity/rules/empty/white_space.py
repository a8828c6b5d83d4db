"""A string has no visible character.

## What it finds

A string that is not empty and draws nothing: spaces, tabs, line ends, non-breaking and zero-width spaces, soft
hyphens, byte order marks, the Hangul and Braille blanks, in any mixture.

## Why it matters

It looks empty on every screen and is equal to neither `""` nor null, so no query for missing values finds it.

## Example

    class Customer(Model, collection="customers"):
        id: int
        name: str

    customers  {"_id": 1, "name": "   "}

    EMP002 customers.name: has no visible character: '   '.

## On a write

Refused; nothing is stored. White space around visible text is none of this rule's business.

## In an audit

Judged like EMP001, and by the same Unicode tables as on a write.

## Repair

Unsafe: as for EMP001.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.policy import Policy, visible
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("EMP002", "white-space", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, policy: Policy) -> Fault | None:
    """Return what is wrong with `value`, or None."""
    if value and not policy.allow_white_space and not visible(value):
        shown = quote(value)
        return Fault(
            f"has no visible character: {shown}.",
            "Leave it out or store null.",
            (shown,),
        )
    return None
