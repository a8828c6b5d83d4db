"""Reading: every document of a small collection, a random sample of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrity.declare.equality import key
from integrity.declare.reading import nameable
from integrity.infer.found import CollectionFound
from integrity.infer.kinds import CHOICES
from integrity.infer.profile import Profile, clean, scalars
from integrity.store.port import Store

#: Documents that are held at once.
_BATCH = 500

_OWN = ("integrity.", "system.")
_SET_ASIDE = ".quarantine"


async def collections(store: Store, names: Sequence[str] = ()) -> list[str]:
    """Return the names of the collections to look at: all but the library's own and MongoDB's, views left out."""
    listed = [each["name"] for each in await store.collections() if each.get("type", "collection") == "collection"]
    wanted = [each for each in sorted(listed) if not each.startswith(_OWN) and not each.endswith(_SET_ASIDE)]
    return [each for each in wanted if each in names] if names else wanted


async def left_out(store: Store, name: str) -> str:
    """Return why a collection is none of those to look at."""
    kinds = {each["name"]: each.get("type", "collection") for each in await store.collections()}
    if name not in kinds:
        return f"There is no collection {name!r} in {store.name!r}."
    if kinds[name] == "collection":
        return f"{name!r} is MongoDB's own, or this library's: no models are inferred for it."
    kind = "a time series" if kinds[name] == "timeseries" else f"a {kinds[name]}"
    return f"{name!r} is {kind}: models are inferred for collections. Declare its model by hand."


async def read(store: Store, name: str, sample: int) -> CollectionFound:
    """Return what stands in a collection.

    Args:
        store: The database.
        name: The collection's name.
        sample: How many documents are read at most.
    """
    found = CollectionFound(name, await store.estimated_document_count(name), Profile())
    if found.documents <= sample:
        batches = store.find(name, {}, batch_size=_BATCH)
    else:
        batches = await store.aggregate(name, [{"$sample": {"size": sample}}], batchSize=_BATCH)
    read_so_far = 0
    try:
        while read_so_far < sample and (batch := await batches.next(_BATCH)):
            for document in batch:
                found.profile.add(document)
            read_so_far += len(batch)
    finally:
        await batches.close()
    fields = found.profile.fields
    found.nameless = {name: fields.pop(name) for name in list(fields) if not nameable(name)}
    return found


async def complete(store: Store, found: CollectionFound) -> None:
    """Ask the server for the rare values of what looks like a choice in a sample.

    Only at paths without arrays: an array's elements are not grouped one by one.
    """
    if found.whole:
        return
    for steps, profile in scalars(found.profile):
        if "[]" in steps or set(profile.types) != {"string"} or len(profile.values) > CHOICES:
            continue
        path = ".".join(steps)
        group: list[dict[str, Any]] = [
            {"$match": {path: {"$type": "string"}}},
            {"$group": {"_id": f"${path}"}},
            {"$limit": 10 * CHOICES},
        ]
        batches = await store.aggregate(found.name, group)
        while batch := await batches.next():
            for each in batch:
                value = each["_id"]
                if isinstance(value, str) and key(value) not in profile.values and clean(value):
                    profile.values[key(value)] += 1
                    profile.shown[key(value)] = value
