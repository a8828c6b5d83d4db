"""Violations without the values that their messages quote."""

from __future__ import annotations

from collections.abc import Iterator

from integrity.audit.spool import Spool
from integrity.violation import Violation


class Redacted(Spool):
    """The violations of a spool, each redacted when it is read.

    Args:
        spool: The violations.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def add(self, violation: Violation) -> None:
        """Append a violation."""
        self._spool.add(violation)

    def __len__(self) -> int:
        return len(self._spool)

    def __iter__(self) -> Iterator[Violation]:
        return (each.redacted() for each in self._spool)

    def close(self) -> None:
        """Forget the violations."""
        self._spool.close()
