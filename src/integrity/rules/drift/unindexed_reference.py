"""A reference has no index.

## What it finds

A `Ref` whose field begins no index that covers every document that refers to something.

## Why it matters

Whoever deletes what is referred to, or changes its key, looks for the documents that refer to it: without an index
that is a scan of the whole collection, inside a transaction. The audit reads a reference's keys in order over its
index, too.

## Example

    class Order(Model, collection="orders"):
        id: int
        customer_id: Annotated[int, Ref("Customer")]

    db.orders.dropIndex("integrity_reference_customer_id")

    DRF003 orders.customer_id: is missing: looking for what refers by customer_id reads the whole collection.

## On a write

Nothing: it is slow, and right.

## In an audit

Only when it is asked for, as `--select DRF`; `integrity diff` finds it without reading a document.

## Repair

Safe: `integrity apply` creates the index. For the values of a mapping MongoDB has none that helps, so none is missed
here: `integrity check` says so of the declaration. Keep such references in a list of embedded documents.
"""

from __future__ import annotations

from collections.abc import Sequence

from integrity.rules.rule import Fault, Rule

RULE = Rule("DRF003", "unindexed-reference", __name__, repair="safe")


def missing(keys: Sequence[str]) -> Fault:
    """Return the fault of a reference without an index."""
    return Fault(
        f"is missing: looking for what refers by {', '.join(keys)} reads the whole collection.",
        "`integrity apply` creates it.",
    )
