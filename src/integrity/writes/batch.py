"""Judged documents on their way in, as columns.

Columns and not rows: tuples that are made for ten thousand documents are what the garbage collector then walks through
while they are being stored, for as long as they took to be judged.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from integrity.rules.judge import Verdict
from integrity.store.port import Document
from integrity.violation import Violation


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents that were judged.

    Args:
        indexes: For each, its index among the caller's requests.
        documents: They, as they would be stored.
        found: What is wrong with some of them, by that index.
    """

    indexes: Sequence[int] = ()
    documents: Sequence[Document] = ()
    found: Mapping[int, tuple[Violation, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.indexes)

    def part(self, start: int, until: int) -> Self:
        """Return those of some places."""
        indexes = self.indexes[start:until]
        return type(self)(indexes, self.documents[start:until], self._of(indexes))

    def only(self, indexes: Container[int]) -> Self:
        """Return those of some indexes."""
        at = [place for place, index in enumerate(self.indexes) if index in indexes]
        kept = [self.indexes[place] for place in at]
        return type(self)(kept, [self.documents[place] for place in at], self._of(kept))

    def joined(self, other: Self) -> Self:
        """Return these and others."""
        documents = [*self.documents, *other.documents]
        return type(self)([*self.indexes, *other.indexes], documents, {**self.found, **other.found})

    def verdicts(self) -> list[Verdict]:
        """Return the verdict over each."""
        return [
            Verdict(document, self.found.get(index, ()))
            for index, document in zip(self.indexes, self.documents, strict=True)
        ]

    def _of(self, indexes: Sequence[int]) -> Mapping[int, tuple[Violation, ...]]:
        return {index: self.found[index] for index in indexes if index in self.found} if self.found else self.found
