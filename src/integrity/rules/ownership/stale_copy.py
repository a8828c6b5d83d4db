"""A copy differs from its owner.

## What it finds

A `CopyOf(...)` field whose value is not the one of the document that its reference names.

## Why it matters

A copy saves a look-up and has to be kept. When the owner changes and the copy does not, there are two truths, and
which of them is shown depends on the page.

## Example

    class Product(Model, collection="products"):
        id: int
        name: str

    class Line(Model, collection="lines"):
        id: int
        product_id: Annotated[int, Ref(Product)]
        product: Annotated[str, CopyOf(Product, "name", via="product_id")]

    products  {"_id": 1, "name": "Kettle 2"}
    lines     {"_id": 7, "product_id": 1, "product": "Kettle"}

    OWN001 lines.product: is 'Kettle', a copy of products.name, which is 'Kettle 2'.

## On a write

A copy is filled from its owner; one that is written by hand and differs is refused (or replaced, by
`Policy(copies="fill")`).

## In an audit

Compared only where the reference resolves: a dangling one is REF001. A value of the same number in another BSON
type is no faithful copy.

## Repair

Safe: copy the value from its owner.
"""

from __future__ import annotations

from typing import Any

from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("OWN001", "stale-copy", __name__, repair="safe", remedies=(remedy.FROM_OWNER,))


def fault(value: Any, original: Any, owner: str) -> Fault:
    """Return what is wrong with a copy.

    Args:
        value: The copy's value; None when it is null or not there.
        original: The owner's value.
        owner: What owns it, such as ``"airports.iata"``.
    """
    shown, found = quote(value), quote(original)
    return Fault(f"is {shown}, a copy of {owner}, which is {found}.", f"Copy {found} from its owner.", (shown, found))
