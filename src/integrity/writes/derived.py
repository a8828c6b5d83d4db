"""Derived fields on the write path: computed from the document's own other fields, at every write."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.declare import codec
from integrity.declare.equality import same
from integrity.declare.extract import ABSENT, value_at, values_at
from integrity.declare.registry import Entry
from integrity.rules.derivation import Derivation, derivations, put
from integrity.store.port import Document
from integrity.violation import Violation


def recompute(entry: Entry, document: Document) -> list[Violation]:
    """Compute the derived fields of a document anew, in place; return what cannot be computed."""
    found = derivations(entry, document)
    put(document, found)
    return _failed(entry, document, found)


def settle(entry: Entry, document: Document, before: Document | None = None) -> list[Violation]:
    """Compute them in place, and return what is wrong with values that a write has set.

    Args:
        entry: The model.
        document: The document as the write leaves it, or as it is offered.
        before: As it was; None for none. What is as it was, here or in an element that has moved, the write has not
            set.
    """
    found = derivations(entry, document)
    wrong = []
    for each in found:
        if each.stands is ABSENT or each.error or _equal(each):
            continue
        if before is None or not _stood(before, each):
            wrong.append(each.violation(entry.collection, document))
    put(document, found)
    return [*wrong, *_failed(entry, document, found)]


def strip(entry: Entry, document: Document) -> None:
    """Take the derived fields out of what an instance was dumped to: it has computed them, maybe some time ago."""
    for place in entry.derived:
        for path, _ in list(values_at(document, place.steps)):
            holder = value_at(document, path[:-1])
            if isinstance(holder, dict):
                del holder[path[-1]]


def without_echo(entry: Entry, violations: Sequence[Violation]) -> list[Violation]:
    """Leave out what is said of derived fields beside other faults: a document with faults computes nothing."""
    paths = {each.path for each in entry.derived}
    others = [each for each in violations if each.field not in paths]
    return others or list(violations)


def _equal(each: Derivation) -> bool:
    """Whether what was offered is what is computed, once it is coerced as a write coerces."""
    if each.agrees:
        return True
    stands = codec.encode(codec.plain(each.stands))
    return same(stands, each.value) or (type(stands) is not bool and stands == each.value)


def _stood(before: Document, each: Derivation) -> bool:
    """Whether a value stood there before, or at the same place in another element."""
    return any(same(value, each.stands) for _, value in values_at(before, each.place.steps))


def _failed(entry: Entry, document: Document, found: list[Derivation]) -> list[Violation]:
    return [each.violation(entry.collection, document) for each in found if each.error]
