"""A reference has the right value in another BSON type.

## What it finds

A reference to nothing whose value exists as a key of another BSON type: `"5"` for `5`, the text of an ObjectId or
UUID for the ObjectId or UUID, or the other way round.

## Why it matters

MongoDB calls them different, so every join and every look-up by this reference finds nothing, although whoever
prints both sides sees the same thing.

## Example

    class Customer(Model, collection="customers"):
        id: int

    class Order(Model, collection="orders"):
        id: int
        customer_id: Annotated[int | str, Ref(Customer)]

    customers  {"_id": 5}
    orders     {"_id": 7, "customer_id": "5"}

    REF002 orders.customer_id: refers to customers._id '5', a string; what exists is 5, an integer.

## On a write

A reference whose declared type is the key's is converted to it; otherwise refused as REF001 or REF002.

## In an audit

Looked for only where a key is missing. A value whose type is not declared at all is SCH001, which comes first.

## Repair

Safe: store the key in the type that exists.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from bson import ObjectId

from integrity.declare import bson_type
from integrity.declare.bson_type import INT_MAX, INT_MIN
from integrity.rules import remedy
from integrity.rules.rule import Fault, Rule
from integrity.violation import quote

RULE = Rule("REF002", "wrong-key-type", __name__, repair="safe", remedies=(remedy.CONVERT, *remedy.EMPTIED))


def fault(key: Any, target: str, existing: Any) -> Fault:
    """Return what is wrong with a reference.

    Args:
        key: The reference's value.
        target: What it refers to, such as ``"airports._id"``.
        existing: The key of the same text that does exist.
    """
    shown, found = quote(key), quote(existing)
    return Fault(
        f"refers to {target} {shown}, {bson_type.NAMES[bson_type.alias(key)]}; "
        f"what exists is {found}, {bson_type.NAMES[bson_type.alias(existing)]}.",
        f"Store {found}, or mend the key where that is what has the wrong type.",
        (shown, found),
    )


def alternatives(key: Any) -> list[Any]:
    """Return the keys of other BSON types that are written alike: what a wrong importer would have meant."""
    found: list[Any] = []
    if isinstance(key, str):
        if _INTEGER.fullmatch(key) and INT_MIN <= int(key) <= INT_MAX:
            found.append(int(key))
        if ObjectId.is_valid(key):
            found.append(ObjectId(key))
        if _UUID.fullmatch(key):
            found.append(uuid.UUID(key))
    elif isinstance(key, ObjectId | uuid.UUID) or (isinstance(key, int) and not isinstance(key, bool)):
        found.append(str(key))
    elif isinstance(key, float) and key.is_integer():
        found.append(str(int(key)))
    return found


_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
