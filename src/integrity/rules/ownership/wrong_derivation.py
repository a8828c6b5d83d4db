"""A derived value differs from its formula.

## What it finds

A field of a `derived` method whose stored value is not the one that the method computes from the document's other
fields.

## Why it matters

A derived value is stored so that it can be queried and indexed. Where it differs, a sum over the collection says
something else than the documents do.

## Example

    class Line(Model, collection="lines"):
        id: int
        quantity: int
        price: int

        @derived
        def total(self) -> int:
            return self.quantity * self.price

    {"_id": 1, "quantity": 2, "price": 3, "total": 5}

    OWN002 lines.total: is 5, and is computed to be 6.

## On a write

Computed at every write; a value from outside is refused unless it is equal. A replacement that hands back what is
stored is no value from outside, and neither is an instance of the model, which computes it itself.

## In an audit

Computed again for every document that is valid without it.

## Repair

Safe: store what is computed.
"""

from __future__ import annotations

from typing import Any

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("OWN002", "wrong-derivation", __name__, repair="safe", remedies=(remedy.RECOMPUTE,))


def fault(value: Any, computed: Any) -> Fault:
    """Return what is wrong with a derived value.

    Args:
        value: What stands there; None when it is null or not there.
        computed: What the method answers.
    """
    shown, found = quote(value), quote(computed)
    return Fault(
        f"is {shown}, and is computed to be {found}.",
        "Leave it out of the write, which computes it; what is stored, a repair computes anew.",
        (shown, found),
    )


def failed(error: str) -> Fault:
    """Return what is wrong with a derived field whose method raised.

    Args:
        error: What it raised.
    """
    return Fault(f"cannot be computed: {error}.", "Let the method answer for every document that is valid.", (error,))
