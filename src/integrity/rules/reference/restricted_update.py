"""A key would change that other documents still refer to.

## What it finds

A change of a field that is referred to by its value, where a reference says `on_update="restrict"`, which is what a
reference says that does not say anything else. An `_id` never changes.

## Why it matters

Without it, the references would point at nothing.

## Example

    class Plane(Model, collection="planes"):
        id: int
        iata: Annotated[str, Unique()]

    class Route(Model, collection="routes"):
        id: int
        plane: Annotated[str, Ref(Plane, field="iata")]

    db[Plane].update_one({"_id": 1}, {"$set": {"iata": "77W"}})

    REF005 planes.iata: is referred to by 1 document of routes.plane (7).

## On a write

Refused as `RestrictedUpdate`; nothing is changed.

## In an audit

Not judged: nothing is wrong with what is stored.

## Repair

None is needed: nothing was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrity.rules.reference import restricted_delete
from integrity.rules.rule import Fault, Rule

RULE = Rule("REF005", "restricted-update", __name__, audited=False, repair="none")


def fault(reference: str, count: int, ids: Sequence[Any]) -> Fault:
    """Return what is wrong with a change of a key; the arguments are those of `restricted_delete.fault`."""
    found = restricted_delete.fault(reference, count, ids)
    return Fault(found.message, 'Change those first, or declare on_update="cascade".', found.values)
