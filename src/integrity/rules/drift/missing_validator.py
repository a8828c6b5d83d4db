"""A collection's validator is missing, or is not the one that its model makes.

## What it finds

A collection without a validator, with one that differs from what its model and its stage make, or with another
`validationLevel` or `validationAction`.

## Why it matters

Without it the server takes anything from a program that does not use this library.

## Example

    db.runCommand({collMod: "customers", validationLevel: "off"})

    DRF002 customers: is different: validationLevel is off, not strict.

## On a write

Nothing: guarded writes judge by the model itself.

## In an audit

Only when it is asked for, as `--select DRF`; `integrity diff` finds it without reading a document.

## Repair

Safe: `integrity apply` sets it. A validator that this library did not make is replaced only with `--prune`.
"""

from __future__ import annotations

from collections.abc import Sequence

from integrity.rules.rule import Fault, Rule

RULE = Rule("DRF002", "validator-drift", __name__, repair="safe")

FAULT = Fault("is missing: the server takes any document.", "`integrity apply` sets it.")


def different(differences: Sequence[str], *, foreign: bool = False) -> Fault:
    """Return the fault of a validator that is not as declared; `foreign` is one that somebody else has made."""
    hint = "`integrity apply --prune` replaces it." if foreign else "`integrity apply` mends it."
    return Fault(f"is different: {'; '.join(differences)}.", hint)
