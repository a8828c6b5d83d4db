"""The index that a unique constraint stands on.

MongoDB's own unique index takes an absent field for null and refuses a second one. With ``nulls="distinct"`` the
index covers only documents in which every field of the constraint has a value of a declared type. That is said by
a comparison where one suffices: MongoDB uses a partial index only for queries that it can prove to lie inside its
filter, and proves ``{f: "x"}`` to be in ``{f: {$gte: ""}}``, not in ``{f: {$type: "string"}}`` (6.0: a full scan).

Sources: https://www.mongodb.com/docs/manual/core/index-unique/ and
https://www.mongodb.com/docs/manual/core/index-partial/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from bson.datetime_ms import DatetimeMS

from integrity.declare.bson_type import NAMES
from integrity.declare.registry import Entry, UniqueKey
from integrity.declare.shape import Place

#: Letters are compared without their case, accents with theirs apart.
CASE_INSENSITIVE = {"locale": "en", "strength": 2}

#: How the names of the indexes that this library creates begin.
PREFIX = "integrity_"

#: The least value of each kind of values that MongoDB compares with one another.
_LEAST: tuple[tuple[frozenset[str], Any], ...] = (
    (frozenset({"string"}), ""),
    (frozenset({"int", "long", "double", "decimal"}), float("-inf")),
    (frozenset({"date"}), DatetimeMS(-(2**63))),
    (frozenset({"objectId"}), ObjectId(bytes(12))),
    (frozenset({"binData", "uuid"}), b""),
    (frozenset({"bool"}), False),
)

_EVERYTHING = sorted(set(NAMES) - {"null", "uuid"})


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index that a model needs.

    Args:
        collection: The collection's name.
        keys: The dotted names of the fields.
        collation: The collation; None for the plain order of bytes, whatever the collection's own is.
        partial: The partial filter, or None.
    """

    collection: str
    keys: tuple[str, ...]
    collation: Mapping[str, Any] | None = None
    partial: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def name(self) -> str:
        """The name that the index is created under."""
        return f"{PREFIX}unique_{'_'.join(self.keys)}"

    def arguments(self) -> tuple[list[tuple[str, int]], dict[str, Any]]:
        """Return the arguments of PyMongo's ``create_index``."""
        options: dict[str, Any] = {"unique": True, "name": self.name}
        if self.collation is not None:
            options["collation"] = dict(self.collation)
        if self.partial is not None:
            options["partialFilterExpression"] = dict(self.partial)
        return [(each, 1) for each in self.keys], options

    def kept_by(self, index: Mapping[str, Any]) -> bool:
        """Whether an index, as ``index_information`` describes it, refuses every duplicate that this one does.

        The order and direction of the keys are free; a stricter index without a partial filter will do.
        """
        if not index.get("unique") or {name for name, _ in index["key"]} != set(self.keys):
            return False
        partial = index.get("partialFilterExpression")
        if partial is not None and dict(partial) != self.partial:
            return False
        collation = index.get("collation") or {}
        if self.collation is None:
            return not collation
        return all(collation.get(name) == value for name, value in self.collation.items())

    def __str__(self) -> str:
        return f"{self.collection} ({', '.join(self.keys)})"


def unique_indexes(entry: Entry) -> tuple[UniqueIndex, ...]:
    """Return the unique indexes that a model's constraints stand on; ``_id`` has one of its own."""
    return tuple(_index(entry, each) for each in entry.uniques if [p.steps for p in each.places] != [("_id",)])


def _index(entry: Entry, unique: UniqueKey) -> UniqueIndex:
    partial = None
    if unique.unique.nulls == "distinct" and not all(map(_always, unique.places)):
        partial = {_dotted(each): _covered(each) for each in unique.places}
    return UniqueIndex(
        entry.collection,
        tuple(_dotted(each) for each in unique.places),
        CASE_INSENSITIVE if unique.unique.case_insensitive else None,
        partial,
    )


def _always(place: Place) -> bool:
    """Whether the field stands in every valid document, and is never null."""
    return len(place.steps) == 1 and place.field is not None and place.field.required and not place.node.nullable


def _dotted(place: Place) -> str:
    return ".".join(step for step in place.steps if step != "[]")


def _covered(place: Place) -> dict[str, Any]:
    """Return the condition for values that are compared: of a declared type, which null and nothing are not."""
    node = place.node
    if node.anything:
        return {"$type": _EVERYTHING}
    not_a_number = not node.finite or node.admits(math.nan)  # which is below every number
    for kinds, least in _LEAST:
        if node.types <= kinds and not (not_a_number and "double" in kinds):
            return {"$gte": least}
    return {"$type": sorted({"binData" if each == "uuid" else each for each in node.types})}
