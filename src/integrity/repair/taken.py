"""Whether another document has a value that is declared unique: also where no index would refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from integrity.audit.folding import COLLATION
from integrity.declare.extract import ABSENT, value_at, values_at
from integrity.declare.registry import Entry, UniqueKey
from integrity.store.port import Document, Store


async def taken(
    store: Store,
    entry: Entry,
    document: Document,
    exact: Mapping[str, Any],
    session: Any = None,
    *,
    fields: AbstractSet[str] | None = None,
) -> UniqueKey | None:
    """Return a constraint by which another document has a value of this one, or None.

    Args:
        store: The database.
        entry: The model's entry.
        document: The document, as it is to be stored.
        exact: PyMongo's options by which a filter compares strings exactly.
        session: The session of the transaction that stores it; None for none.
        fields: The fields that count, by the first step of their path; None for all.
    """
    options = {} if session is None else {"session": session}
    for unique in entry.uniques:
        if fields is not None and not fields & {each.steps[0] for each in unique.places}:
            continue
        same = _same(unique, document)
        if same is None:
            continue
        how = {"collation": COLLATION} if unique.unique.case_insensitive else exact
        other = {**same, "_id": {"$ne": document["_id"]}}
        if await store.find_one(entry.collection, other, {"_id": 1}, **how, **options) is not None:
            return unique
    return None


def _same(unique: UniqueKey, document: Document) -> Document | None:
    """Return the condition that a document has a value of this one; None where it can have none."""
    steps = [each.steps for each in unique.places]
    distinct = unique.unique.nulls == "distinct"
    if any("*" in each for each in steps) or (len(steps) > 1 and any("[]" in each for each in steps)):
        return None  # there the index alone tells
    if "[]" in steps[0]:
        values = [value for _, value in values_at(document, steps[0]) if value is not None or not distinct]
        return {".".join(each for each in steps[0] if each != "[]"): {"$in": values}} if values else None
    found = {".".join(each): value_at(document, each) for each in steps}
    if distinct and any(each is None or each is ABSENT for each in found.values()):
        return None
    return {name: {"$eq": None if each is ABSENT else each} for name, each in found.items()}
