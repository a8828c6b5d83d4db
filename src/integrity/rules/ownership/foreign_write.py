"""An actor writes what it does not own.

## What it finds

A write by a handle whose `actor` is not the owner of the model, or of a field whose value the write would change. Not
a fault of what is stored: an audit cannot see who wrote.

## Why it matters

Every stored fact has one source of truth. When two services write one field, the last one wins, and nobody can say
which was right.

## Example

    class Price(Model, collection="prices", owner="pricing"):
        id: int
        amount: float

    db = integrity.Database(database, models=[Price], actor="shop")
    db[Price].insert_one({"_id": 1, "amount": 4.5})

    OWN003 prices: is inserted by 'shop', and belongs to 'pricing'.

## On a write

Refused as `ForeignWrite`; nothing is stored. What a write mentions and leaves as it was is no change; only on a
standalone server, which has no transaction to look at the outcome in, an update counts by what it mentions.
`actor="*"` is unrestricted, and says so openly.

## In an audit

Not judged.

## Repair

None is needed: nothing was stored.
"""

from __future__ import annotations

from integrity.rules.rule import Fault, Rule

RULE = Rule("OWN003", "foreign-write", __name__, audited=False, repair="none")


def fault(actor: str | None, owners: tuple[str, ...], act: str) -> Fault:
    """Return what is wrong with a write.

    Args:
        actor: The handle's actor; None when it has none.
        owners: The actors that may.
        act: What was tried, such as ``"written"`` or ``"inserted"``.
    """
    listed = " or ".join(repr(each) for each in owners)
    who = "a handle without an actor" if actor is None else f"{actor!r}"
    return Fault(
        f"is {act} by {who}, and belongs to {listed}.",
        f'Connect with actor={owners[0]!r}, or actor="*" to be unrestricted openly.',
    )
