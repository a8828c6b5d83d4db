"""References that stand: a document is replaced without a transaction, and goes on referring to what it refers to.

Who deletes what it refers to sees the reference before and after: it is the same one. So nothing has to be pinned, or
looked at afterwards. What must hold at the moment of the replacement stands in its filter: that the references are the
stored ones, and that the document itself is not condemned, whose flag the replacement would wipe.
"""

from __future__ import annotations

from typing import Any

from integrity.declare.registry import Entry
from integrity.store.port import Document, Filter, Store
from integrity.writes.references.condemned import FLAG
from integrity.writes.references.keys import protected


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
