"""Derived fields on the write path: computed from the document's own other fields, at every write."""

from __future__ import annotations

from integrity.declare.registry import Entry
from integrity.store.port import Document
from integrity.violation import Violation


def recompute(entry: Entry, document: Document) -> None:  # noqa: ARG001 - no model can declare one yet
    """Compute the derived fields of a document anew, in place."""


def settle(entry: Entry, document: Document, before: Document | None) -> list[Violation]:  # noqa: ARG001 - as above
    """Compute them, and return what is wrong with values that a write has set."""
    return []
