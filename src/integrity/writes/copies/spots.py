"""Where a copy stands in a document, and which owner it follows there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from integrity.declare import bson_type
from integrity.declare.extract import ABSENT, Path, values_at
from integrity.declare.registry import Copy
from integrity.rules.reference.wrong_key_type import alternatives
from integrity.store.port import Document


@dataclass(frozen=True)
class Spot:
    """One copy in one document.

    Args:
        path: Where the copy stands.
        parent: The object that holds it.
        name: Its name there.
        via: The value of its reference.
    """

    path: Path
    parent: Document
    name: str
    via: Any

    @property
    def value(self) -> Any:
        """What stands there, or `ABSENT`."""
        return self.parent.get(self.name, ABSENT)


def spots(copy: Copy, document: Document) -> Iterator[Spot]:
    """Yield where the copy may stand, each with the reference that is nearest to it.

    Where the reference is null or not there, the copy follows nobody, and nothing is yielded.
    """
    parent, via = copy.place.steps[:-1], copy.via.place.steps
    shared = 0
    while shared < min(len(parent), len(via)) and parent[shared] == via[shared]:
        shared += 1
    for path, common in values_at(document, copy.place.steps[:shared]):
        keys = [value for _, value in values_at(common, via[shared:]) if value is not None]
        if len(keys) != 1:
            continue
        value = _coerced(copy, keys[0])
        for inner, holder in values_at(common, parent[shared:], path):
            if isinstance(holder, dict):
                yield Spot((*inner, copy.place.steps[-1]), holder, copy.place.steps[-1], value)


def _coerced(copy: Copy, value: Any) -> Any:
    """Return the key as the write will store it: an ObjectId that was offered as text, say."""
    types = copy.via.place.node.scalars
    if bson_type.alias(value) in types:
        return value
    return next((each for each in alternatives(value) if bson_type.alias(each) in types), value)
