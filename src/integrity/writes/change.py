"""A change: a document before and after a write."""

from __future__ import annotations

from dataclasses import dataclass

from integrity.store.port import Document


@dataclass(frozen=True)
class Change:
    """A document before and after a write.

    Args:
        before: None where the write inserted it.
        after: As it stands in the transaction.
    """

    before: Document | None
    after: Document

    @property
    def back(self) -> Change:
        """The change that takes it back."""
        return Change(self.after, self.before or {})
