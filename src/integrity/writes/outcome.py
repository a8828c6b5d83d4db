"""What has happened so far in a write of several requests, in PyMongo's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import BulkWriteError

from integrity.declare.registry import Entry
from integrity.errors import DUPLICATE_KEY, InvalidBulkWrite, InvalidDocument, TransactionRequired
from integrity.store.forgiving import decoded
from integrity.violation import Violation
from integrity.writes import oversized
from integrity.writes.refusal import by_server, duplicate_violation

#: The server's code where it has no transactions: IllegalOperation.
ILLEGAL_OPERATION = 20

_COUNTS = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")


@dataclass
class Outcome:
    """The result of a bulk, put together from its pieces.

    Args:
        entry: The model's entry.
        ordered: Whether the first failure ends it.
        joined: Whether it is part of the caller's transaction, which ends with the first thing that the server refuses:
            what were sent after that would be told of the end alone, and that is an error after which a transaction is
            run again.
    """

    entry: Entry
    ordered: bool = True
    joined: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    upserted: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    concern: list[Any] = field(default_factory=list)
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    cause: TransactionRequired | None = None
    aborted: bool = False

    @property
    def begun(self) -> bool:
        """Whether anything was done, or refused, so far."""
        return any(self.counts.values()) or bool(self.errors)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be done: something failed, and it is ordered or has no transaction any more."""
        return self.aborted or (self.ordered and bool(self.errors))

    def mark(self) -> tuple[dict[str, int], int, int, int, int]:
        """Return how far it has come, for `reset`."""
        return dict(self.counts), len(self.upserted), len(self.errors), len(self.concern), len(self.violations)

    def reset(self, mark: tuple[dict[str, int], int, int, int, int]) -> None:
        """Go back to a mark: what was done since is undone."""
        self.counts = dict(mark[0])
        del self.upserted[mark[1] :], self.errors[mark[2] :], self.concern[mark[3] :], self.violations[mark[4] :]

    def refused(self, index: int, error: InvalidDocument, request: Any) -> None:
        """Note that a request was refused.

        Args:
            index: Its index among the caller's requests.
            error: Why.
            request: The request, as ``op`` shows it.
        """
        self.aborted = self.aborted or (self.joined and by_server(error))
        self.errors.append({"index": index, "code": error.server_code, "errmsg": str(error), "op": request})
        self.violations += [(index, each) for each in error.violations]

    def unguarded(self, index: int, error: TransactionRequired, request: Any) -> None:
        """Note that a request could not be guarded; arguments as for `refused`."""
        self.errors.append({"index": index, "code": ILLEGAL_OPERATION, "errmsg": str(error), "op": request})
        self.cause = error

    def failed(
        self, error: BulkWriteError, indexes: Sequence[int], written: Sequence[Mapping[str, Any] | None]
    ) -> None:
        """Note what the server refused.

        Args:
            error: The driver's error.
            indexes: For each request that was sent, its index among the caller's.
            written: For each, what it would have written, as far as that is known.
        """
        details: Mapping[str, Any] = error.details
        self.add(details, indexes)
        self.aborted = self.aborted or (self.joined and bool(details.get("writeErrors")))
        for each in details.get("writeErrors", ()):
            index = indexes[each["index"]]
            self.errors.append({**each, "index": index})
            if each.get("code") == DUPLICATE_KEY:
                violation = duplicate_violation(self.entry, each, decoded(written[each["index"]]))
                self.violations.append((index, violation))
            elif oversized.tells(each):
                document = written[each["index"]]
                self.violations.append((index, oversized.violation(self.entry, document and decoded(document))))

    def add(self, details: Mapping[str, Any], indexes: Sequence[int]) -> None:
        """Add the counts of a piece, as PyMongo's ``bulk_api_result`` has them."""
        for name in _COUNTS:
            self.counts[name] += details.get(name, 0)
        self.upserted += [{**each, "index": indexes[each["index"]]} for each in details.get("upserted", ())]
        self.concern += details.get("writeConcernErrors", ())

    @property
    def details(self) -> dict[str, Any]:
        """The result in PyMongo's shape."""
        return {
            "writeErrors": sorted(self.errors, key=lambda each: each["index"]),
            "writeConcernErrors": self.concern,
            **self.counts,
            "upserted": sorted(self.upserted, key=lambda each: each["index"]),
        }

    def raise_failures(self) -> None:
        """Raise what failed, if anything did.

        Raises:
            InvalidBulkWrite: A rule was broken.
            BulkWriteError: Only the server or its write concern had something against it.
        """
        if self.violations or self.cause is not None:
            ordered = sorted(self.violations, key=lambda each: each[0])
            indexes, violations = [at for at, _ in ordered], [each for _, each in ordered]
            raise InvalidBulkWrite(self.details, violations, indexes) from self.cause
        if self.errors or self.concern:
            raise BulkWriteError(self.details)
