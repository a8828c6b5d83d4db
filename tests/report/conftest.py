"""Results made by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from integrity.audit.result import AuditResult, CollectionResult
from integrity.violation import Violation


@pytest.fixture
def violation() -> Callable[..., Violation]:
    """Makes a violation out of what a test names."""

    def make(**given: Any) -> Violation:
        known = {"code": "EMP001", "rule": "empty-string", "collection": "things", "id": 1, "path": "name",
                 "message": "is an empty string.", "hint": "Leave it out."}  # fmt: skip
        return Violation(**{**known, **given})

    return make


class Unspooled(list[Violation]):
    """Violations that a spool could not hold: a report does not doubt what it gets."""

    add = list.append

    def close(self) -> None: ...


@pytest.fixture
def result() -> AuditResult:
    """A complete result of one collection, with nothing in it."""
    collection = CollectionResult("things", documents=3, scanned=3, complete=True)
    return AuditResult("shop", [collection], Unspooled())  # type: ignore[arg-type]  # see there
