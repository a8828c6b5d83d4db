"""A declared unique index is missing or different, or there is an index that nothing declares.

## What it finds

A `Unique` without its index, or with one whose key, collation, partial filter or other options are not what is
declared; and, apart from these, an index that no declaration asks for. An index of another name that does the same
work is as good.

## Why it matters

Without its index a unique constraint is a wish: two writers at once both find the value free. An index that nothing
declares costs every write its time.

## Example

    class Customer(Model, collection="customers"):
        id: int
        email: Annotated[str, Unique()]

    db.customers.dropIndex("integrity_unique_email")

    DRF001 customers.email: is missing: nothing keeps email unique.

## On a write

Nothing: guarded writes create the index before the first write, or refuse the write, as `unique=` of the database
says.

## In an audit

Only when it is asked for, as `--select DRF`; `integrity diff` finds it without reading a document.

## Repair

Safe: `integrity apply` creates what is missing and mends what is different. What is extra may be somebody's: it is
dropped only with `--prune`, and hidden first.
"""

from __future__ import annotations

from collections.abc import Sequence

from integrity.rules.rule import Fault, Rule

RULE = Rule("DRF001", "index-drift", __name__, repair="safe")

EXTRA = Fault("is declared by nothing.", "`integrity apply --prune` hides and drops it; keep it if somebody needs it.")


#: Of a collection of this library's own.
OWN = Fault("is missing: a reference is then looked up among all deletions.", "`integrity apply` creates it.")


def missing(keys: Sequence[str]) -> Fault:
    """Return the fault of a unique index that is not there."""
    return Fault(f"is missing: nothing keeps {', '.join(keys)} unique.", "`integrity apply` creates it.")


def different(differences: Sequence[str]) -> Fault:
    """Return the fault of an index that is not as declared."""
    return Fault(f"is different: {'; '.join(differences)}.", "`integrity apply` mends it.")
