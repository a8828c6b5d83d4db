"""Conditions that name documents by ``_id``, whatever the collation of the operation.

Under a collation that ignores case, ``{"_id": "abc"}`` matches "ABC" too: another document than the one that was
looked at. `$jsonSchema` compares without the operation's collation.
Source: https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrity.store.port import Filter


def exactly(ids: Sequence[Any], collation: Any = None) -> Filter:
    """Return a condition for the documents with these ``_id``s and no others.

    Args:
        ids: The ``_id``s.
        collation: The collation of the operation, if it has one.
    """
    named: dict[str, Any] = {"_id": ids[0] if len(ids) == 1 else {"$in": list(ids)}}
    if collation is not None and ids:
        named["$jsonSchema"] = {"properties": {"_id": {"enum": list(ids)}}}
    return named
