"""The library's own collections, beside the application's: created before the first write needs them."""

from __future__ import annotations

from integrity.declare.registry import Registry
from integrity.store.port import Store
from integrity.writes.references import condemned, pins


async def create(store: Store, registry: Registry) -> None:
    """Create what the protocols of references keep: the pin table, and the index of the condemnations.

    Does nothing where nothing refers to anything. Safe to run by many processes at once.
    """
    if not any(entry.references for entry in registry):
        return
    if await store.topology() != "standalone":
        await pins.create(store)
    await condemned.create(store)
