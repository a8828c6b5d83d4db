"""A collection of the database is declared by no model.

## What it finds

A collection or view that no model declares. The library's own (`integrity.*`) and what was set aside by a repair
(`NAME.quarantine`) are passed over.

## Why it matters

What no model declares, nothing judges: neither a guarded write nor the audit looks at it. It may be one that was
renamed in the declarations and left behind in the database.

## Example

    DRF004 customers_old: is declared by no model.

## On a write

Nothing: it has no guard.

## In an audit

Only when it is asked for, as `--select DRF`; `integrity diff` finds it without reading a document.

## Repair

None: nothing here drops a collection. Declare it, or keep it in another database.
"""

from __future__ import annotations

from integrity.rules.rule import Fault, Rule

RULE = Rule("DRF004", "undeclared-collection", __name__)

FAULT = Fault(
    "is declared by no model.", "Declare it, or keep it in another database; `--ignore DRF004` passes over it."
)
