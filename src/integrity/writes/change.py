"""A change: a document before and after a write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from integrity.store.port import Document


@dataclass(frozen=True)
class Change:
    """A document before and after a write.

    Args:
        before: None where the write inserted it.
        after: As it stands in the transaction.
        stored: The bytes that it was, where it may have to be put back.
    """

    before: Document | None
    after: Document
    stored: Any = None

    @property
    def original(self) -> Any:
        """What puts it back: bytes keep what a decoded document has lost, such as a type that is out of use."""
        return self.stored if self.stored is not None else (self.before or {})

    @property
    def back(self) -> Change:
        """The change that takes it back."""
        return Change(self.after, self.before or {})
