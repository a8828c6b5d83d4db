"""The library's own collections, beside the application's: created before the first write needs them."""

from __future__ import annotations

from collections.abc import Mapping

from integrity.declare.registry import Registry
from integrity.server.actual import Collection
from integrity.store.port import Store
from integrity.writes.references import condemned, pins


def missing(registry: Registry, own: Mapping[str, Collection]) -> list[tuple[str, str]]:
    """Return the collection and name of each index that is not there.

    Args:
        registry: The declarations.
        own: The library's own collections that exist, by name.
    """
    name = f"{condemned.INDEXED}_1"
    there = own.get(condemned.COLLECTION)
    if not any(entry.references for entry in registry) or (there is not None and name in there.indexes):
        return []
    return [(condemned.COLLECTION, name)]


async def create(store: Store, registry: Registry) -> None:
    """Create what the protocols of references keep: the pin table, and the index of the condemnations.

    Does nothing where nothing refers to anything. Safe to run by many processes at once.
    """
    if not any(entry.references for entry in registry):
        return
    if await store.topology() != "standalone":
        await pins.create(store)
    await condemned.create(store)
