"""A validator of the model refuses the value.

## What it finds

A value, or a whole document, for which a pydantic validator of the model raises: ``ValueError`` and
``AssertionError``, and also what Python raises where a value is not what the function expects (``TypeError``,
``AttributeError``, ``LookupError``, ``ArithmeticError``), so that one value does not end an audit. Any other exception
goes through in a write, and leaves an audit incomplete: a service that is away is no fault of the value.

## Why it matters

What types and ranges cannot say (an end after its start, a check digit) stands in the model once, and holds for
writes and for what is stored already.

## Example

    class Booking(Model, collection="bookings"):
        id: int
        start: int
        end: int

        @model_validator(mode="after")
        def ordered(self):
            if self.end <= self.start:
                raise ValueError("end must be after start")
            return self

    bookings  {"_id": 1, "start": 9, "end": 8}

    SCH005 bookings: the model's validator refuses it: end must be after start.

## On a write

Refused; nothing is stored.

## In an audit

The same validators run over the stored values. Those of a whole document run when its fields are valid, as pydantic
does it.

## Repair

Unsafe: only the application knows the value.
"""

from __future__ import annotations

from typing import Any

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("SCH005", "own-validator", __name__, repair="unsafe", remedies=remedy.EMPTIED)


def fault(value: Any, reason: str, *, whole: bool) -> Fault:
    """Return what is wrong with `value`.

    Args:
        value: The value.
        reason: What the validator said.
        whole: Whether the validator judges the document as a whole.
    """
    reason = reason.strip().removesuffix(".")
    hint = "Store a value that the model's validator accepts."
    if whole:
        return Fault(f"the model's validator refuses it: {reason}.", hint, (reason,))
    shown = quote(value)
    return Fault(f"is {shown}: {reason}.", hint, (shown, reason))
