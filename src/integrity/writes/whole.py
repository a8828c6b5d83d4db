"""Changing what no path names: a server reads a dot in a key as two steps, and a dollar as an operator.

Such a key stands in a mapping, and the document's whole top-level field is written back instead: read, changed here,
and written where it is still as it was read.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Callable, Sequence
from typing import Any

from integrity.declare.extract import ABSENT, Path, value_at
from integrity.errors import ENCODING_ERRORS, UnguardedWrite
from integrity.rules.judge import dotted
from integrity.store.port import Document, Store
from integrity.violation import quote

#: A value and where it is to stand; `ABSENT` takes away what stands there.
Edit = tuple[Path, Any]


def nameable(path: Path) -> bool:
    """Whether the server can be told a path: no step of it has a dot, begins with a dollar or is empty."""
    return not any(isinstance(step, str) and ("." in step or step.startswith("$") or not step) for step in path)


def updating(edits: Sequence[Edit]) -> Document:
    """Return the update that makes edits whose paths can be named."""
    sets = {dotted(path): value for path, value in edits if value is not ABSENT}
    unsets = {dotted(path): "" for path, value in edits if value is ABSENT}
    return _operators(sets, unsets)


def _operators(sets: Document, unsets: Document) -> Document:
    return {operator: fields for operator, fields in (("$set", sets), ("$unset", unsets)) if fields}


async def rewrite(
    store: Store,
    collection: str,
    id: Any,
    tops: Sequence[str],
    change: Callable[[Document], bool],
    counted: Document | None = None,
    beside: Sequence[str] = (),
    **session: Any,
) -> bool:
    """Change top-level fields of one document; return whether that was done.

    Args:
        store: The database.
        collection: The collection's name.
        id: The document's ``_id``.
        tops: The fields.
        change: Changes a document that has them; returns False where it is not as expected, and nothing is written.
        counted: An operator beside it: ``$inc`` of a revision.
        beside: Fields that the change reads only.
        session: PyMongo's ``session``, when there is one.
    """
    read = dict.fromkeys((*tops, *beside), 1)
    before = await store.find_one(collection, {"_id": id}, projection=read, **session)
    after = copying.deepcopy(before)
    if before is None or after is None or not change(after):
        return False
    still = [{each: {"$eq": before[each]} if each in before else {"$exists": False}} for each in read]
    sets = {each: after[each] for each in tops if each in after}
    unsets = {each: "" for each in tops if each not in after}
    update = {**_operators(sets, unsets), **(counted or {})}
    named = {"$and": [{"_id": id}, *still]}
    try:
        outcome = await store.update_one(collection, named, update, **store.exact, **session)
    except ENCODING_ERRORS:  # what another program has stored, such as a string that is no UTF-8; or it is too large
        return False
    return bool(outcome.matched_count)


async def put(store: Store, collection: str, id: Any, edits: Sequence[Edit], session: Any) -> None:
    """Change values of one document in a transaction, wherever they stand.

    Raises:
        UnguardedWrite: The document's fields cannot be written back as they are.
    """

    def change(document: Document) -> bool:
        return all(placed(document, path, value) for path, value in edits)

    tops = list(dict.fromkeys(str(path[0]) for path, _ in edits))
    if not await rewrite(store, collection, id, tops, change, session=session):
        raise UnguardedWrite(
            f"{collection}: {' and '.join(tops)} of the document {quote(id)} cannot be written back whole, as a key "
            "with a dot or a dollar in it demands; name that key without them."
        )


def placed(document: Document, path: Path, value: Any) -> bool:
    """Put a value, or `ABSENT`, at a path of a document; return whether there is what holds it."""
    holder = value_at(document, path[:-1])
    if not isinstance(holder, dict | list):
        return False
    if value is not ABSENT:
        holder[path[-1]] = value  # type: ignore[index]  # a name in an object, a position in an array
    elif isinstance(holder, dict):
        holder.pop(path[-1], None)
    return True
