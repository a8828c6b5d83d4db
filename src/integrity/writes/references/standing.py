"""References that stand: a document is replaced without a transaction, and goes on referring to what it refers to.

Who deletes what it refers to sees the reference before and after: it is the same one. So nothing has to be pinned, or
looked at afterwards. What must hold at the moment of the replacement stands in its filter: that the references are the
stored ones, and that the document itself is not condemned, whose flag the replacement would wipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from integrity.declare.registry import Entry
from integrity.store.port import Document, Filter, Store
from integrity.writes.references.condemned import FLAG
from integrity.writes.references.keys import protected

if TYPE_CHECKING:
    from integrity.writes.guard import Guard
    from integrity.writes.references.protocol import Protocol


def held(entry: Entry) -> list[str]:
    """Return the stored names of the fields that a model's protected references are in, but for the ``_id``."""
    tops = [each.place.steps[0] for each in entry.references if protected(each)]
    return [each for each in dict.fromkeys(tops) if each != "_id"]


def conditions(entry: Entry, stored: Document, store: Store) -> list[Filter]:
    """Return what holds of a document as long as its references are the stored ones, and it is not condemned.

    Args:
        entry: The model.
        stored: The document, as it was read.
        store: The database.
    """
    found: list[Filter] = [{FLAG: {"$exists": False}}]
    there = {name: stored[name] for name in held(entry) if name in stored}
    found += [{name: {"$eq": there[name]} if name in there else {"$exists": False}} for name in held(entry)]
    if there and store.exact:
        # `$eq` compares by the collation, and finds an array within an array; `enum` does neither.
        properties: dict[str, Any] = {name: {"enum": [value]} for name, value in there.items()}
        found.append({"$jsonSchema": {"properties": properties}})
    return found


async def decided(protocol: Protocol, guard: Guard, stored: Document) -> None:
    """Wait until a stored document is condemned no more.

    Args:
        protocol: The protocol.
        guard: The model's guard.
        stored: The document, as it was read.

    Raises:
        BeingDeleted: It has taken too long.
    """
    until = protocol.timing.monotonic() + protocol.timing.patience
    flag, attempt = stored.get(FLAG), 0
    while flag is not None:
        await protocol.wait(guard, {0: flag}, until, attempt)
        attempt += 1
        flag = (await guard.store.find_one(guard.collection, {"_id": stored["_id"]}, {FLAG: 1}) or {}).get(FLAG)
