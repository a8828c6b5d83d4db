"""What a protocol is given to store documents with, and to know what was stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from integrity.errors import InvalidDocument
from integrity.store.port import Document, Store
from integrity.violation import Violation

T_co = TypeVar("T_co", covariant=True)

#: What is wrong with each document's references.
Faults = Sequence[tuple[Violation, ...]]


class Storing(Protocol[T_co]):
    """Stores documents, given their faults and the session to do it in.

    It returns what happened and raises nothing for a document that is at fault, so that what is around it can commit
    first. It may be called several times, and changes nothing outside of the database that it does not change again.
    """

    async def __call__(self, faults: Faults, session: Any, store: Store | None = None, /) -> T_co:
        """Store them; in `store` when one is given."""
        ...


class Work(Protocol):
    """Documents on their way in: what is left to be inserted, and what the last act has inserted of it."""

    @property
    def documents(self) -> Sequence[Document]:
        """What is left: the documents that the next act is given the faults of."""
        ...

    @property
    def more(self) -> bool:
        """Whether an act has left documents that belong into its transaction."""
        ...

    async def complete(self) -> None:
        """Have all documents left, before the first act: it is the only one."""
        ...

    def inserted(self, outcome: Any) -> Sequence[Document]:
        """Return what the last act has inserted, in the order of the requests."""
        ...

    def restart(self) -> None:
        """Forget what was done since the work began: its transaction begins again."""
        ...

    def take_back(self, documents: Sequence[Document]) -> None:
        """Count documents as left: they were inserted, and are deleted again."""
        ...


class Whole:
    """One document: inserted unless the act returned its refusal.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self.documents: Sequence[Document] = (document,)
        self.more = False

    async def complete(self) -> None:
        """There is nothing but the document."""

    def inserted(self, outcome: Any) -> Sequence[Document]:
        """Return the document, unless it was refused."""
        return () if isinstance(outcome, InvalidDocument) else self.documents

    def restart(self) -> None:
        """Nothing was counted."""

    def take_back(self, documents: Sequence[Document]) -> None:
        """Nothing was counted."""
