"""A document would be deleted that others still refer to.

## What it finds

A delete of a document to which other documents refer, where their reference says `on_delete="restrict"`, which is
what a reference says that does not say anything else. Documents that the same delete takes with it do not count.

## Why it matters

Without it, the references would point at nothing.

## Example

    class Airline(Model, collection="airlines"):
        id: int

    class Flight(Model, collection="flights"):
        id: int
        airline_id: Annotated[int, Ref(Airline)]

    db[Airline].delete_one({"_id": 24})

    REF004 airlines: is referred to by 2 documents of flights.airline_id (1, 2).

## On a write

Refused as `RestrictedDelete`, which names the references, how many documents there are and a few of their `_id`s;
nothing is deleted.

## In an audit

Not judged: nothing is wrong with what is stored.

## Repair

None is needed: nothing was deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrity.rules.rule import Fault, Rule
from integrity.violation import IDENTITY, quote

RULE = Rule("REF004", "restricted-delete", __name__, audited=False, repair="none")


def fault(reference: str, count: int, ids: Sequence[Any]) -> Fault:
    """Return what is wrong with a delete.

    Args:
        reference: The reference that refuses it, such as ``"routes.source_id"``.
        count: How many documents refer to what would be deleted.
        ids: The ``_id``s of a few of them.
    """
    shown = ", ".join(quote(each, IDENTITY) for each in ids)
    more = ", …" if count > len(ids) else ""
    documents = "1 document" if count == 1 else f"{count} documents"
    return Fault(
        f"is referred to by {documents} of {reference} ({shown}{more}).",
        'Delete or change those first, or declare on_delete="cascade" or "set_null".',
    )
