"""An owner is given a value that its copies cannot hold.

## What it finds

A change of a field that others copy, to a value that is valid for the owner and not for a copy: null where the copy
has none, a text that is longer than the copy may be. Not a fault of what is stored: it is refused before.

## Why it matters

A copy follows its owner in the owner's own transaction. A value that it cannot hold would leave it either stale or
invalid, and both are what a copy must never be.

## Example

    class Airport(Model, collection="airports"):
        id: int
        iata: str | None

    class Route(Model, collection="routes"):
        id: int
        source_id: Annotated[int, Ref(Airport)]
        source: Annotated[str, CopyOf(Airport, "iata", via="source_id")]

    db[Airport].update_one({"_id": 1}, {"$set": {"iata": None}})

    OWN006 airports.iata: would be null, and its copy routes.source cannot: it is null, and null is not declared.

## On a write

Refused; nothing is stored. Where nothing copies this document, the write goes through.

## In an audit

Not judged: a copy that differs is OWN001, one that is invalid is a fault of its own.

## Repair

None is needed: nothing was stored.
"""

from __future__ import annotations

from typing import Any

from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("OWN006", "unfit-copy", __name__, audited=False, repair="none")


def fault(value: Any, copy: str, reason: str) -> Fault:
    """Return what is wrong with a new value of an owner.

    Args:
        value: The value; None when it is null or taken away.
        copy: The copy, such as ``"routes.source"``.
        reason: Why the copy cannot hold it: the message of its own violation.
    """
    shown = quote(value)
    return Fault(
        f"would be {shown}, and its copy {copy} cannot: it {reason}",
        f"Declare {copy} as wide as its owner, or give the owner another value.",
        (shown,),
    )
