"""Unique candidates: paths whose values are never there twice, asked of the server where only a sample was read."""

from __future__ import annotations

from typing import Any

from integrity.declare.policy import PLACEHOLDERS
from integrity.infer.found import CollectionFound, Found, Steps
from integrity.store.indexes import built
from integrity.store.port import Store

#: Fewer values than these prove nothing.
LEAST = 20
#: The types that a unique value has: a date or a double is seldom there twice by chance.
_TYPES = frozenset({"string", "int", "long", "objectId", "uuid"})


async def find_uniques(store: Store, found: Found) -> dict[str, set[Steps]]:
    """Return the top-level paths whose clean values are unique, by collection."""
    uniques: dict[str, set[Steps]] = {}
    for each in found.collections.values():
        declared = await _declared(store, each.name)
        for name, profile in each.profile.fields.items():
            if name == "_id" or not profile.types or not profile.types.keys() <= _TYPES:
                continue
            certain = (name,) in declared
            if not certain and profile.valid >= LEAST and profile.distinct == 1.0 and _key_like(name, profile.types):
                certain = each.whole or not await _repeated(store, each, name)
            if certain:
                uniques.setdefault(each.name, set()).add((name,))
    return uniques


def _key_like(name: str, types: object) -> bool:
    """Whether a number can be more than a measure: one that is different everywhere is so by its nature, or by luck."""
    numeric = isinstance(types, dict) and bool(types.keys() & {"int", "long"})
    return not numeric or name.lower().rstrip("0123456789_").endswith(("id", "no", "number", "code", "key", "sku"))


async def _declared(store: Store, name: str) -> set[Steps]:
    indexes = await built(store, name)
    return {(each["key"][0][0],) for each in indexes.values() if each.get("unique") and len(each["key"]) == 1}


async def _repeated(store: Store, collection: CollectionFound, name: str) -> bool:
    pipeline: list[dict[str, Any]] = [
        {
            "$match": {
                name: {"$type": ["string", "int", "long", "objectId", "binData"], "$nin": ["", *sorted(PLACEHOLDERS)]}
            }
        },
        {"$group": {"_id": f"${name}", "n": {"$sum": 1}}},
        {"$match": {"n": {"$gt": 1}}},
        {"$limit": 1},
    ]
    batches = await store.aggregate(collection.name, pipeline, allowDiskUse=True)
    return bool(await batches.next(1))
