"""What an audit found, and how much it saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from integrity.audit.estimate import Estimate, estimate
from integrity.audit.spool import Spool
from integrity.violation import Violation


@dataclass(frozen=True)
class Progress:
    """How far an audit is.

    Args:
        collection: The collection that is being read.
        done: Its documents read so far.
        total: Its documents when it was begun.
        findings: The violations found so far, in all collections.
        finished: Whether this collection is done.
    """

    collection: str
    done: int
    total: int
    findings: int
    finished: bool = False


@dataclass
class CollectionResult:
    """What was found in one collection.

    Args:
        name: The collection's name.
        documents: The documents in it when its audit began.
        scanned: The documents that were read.
        complete: Whether every document was read and every rule that was asked for was judged.
        done: Whether what was asked for was seen: the same, or a part of the documents.
        counts: The number of violations by code.
        paths: The number of violations by ``"CODE declared.path"``.
        faulty: The number of documents with a violation by code, where a sample was read.
        known: The number of violations that the baseline knows, as `paths`, which does not have them.
    """

    name: str
    documents: int = 0
    scanned: int = 0
    complete: bool = False
    done: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    faulty: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    @property
    def judged(self) -> int:
        """The documents that its violations are a share of: those that were read, where not all were."""
        return self.documents if self.complete else self.scanned or self.documents

    def estimates(self) -> dict[str, Estimate]:
        """Return how many documents break each rule that was found broken in a sample."""
        return {code: estimate(n, self.scanned, self.documents) for code, n in sorted(self.faulty.items())}

    def add(self, violation: Violation) -> None:
        """Count a violation."""
        self.counts[violation.code] += 1
        self.paths[_place(violation)] += 1

    def recognise(self, violation: Violation) -> None:
        """Count a violation that the baseline knows."""
        self.known[_place(violation)] += 1


def _place(violation: Violation) -> str:
    return f"{violation.code} {violation.field}".rstrip()


@dataclass
class Compared:
    """An audit beside a baseline.

    Args:
        known: The violations that the baseline knows and that are still there.
        gone: Those that it knows and that are not, of the rules and collections that were audited; None where not
            everything was looked at.
        others: Those that it knows of other rules and collections.
        looked: Whether a rule's code and a collection were looked at.
    """

    known: int = 0
    gone: int | None = 0
    others: int = 0
    looked: Callable[[tuple[str, str]], bool] = field(default=lambda _: True, repr=False)


@dataclass
class AuditResult:
    """What an audit found.

    Args:
        database: The database's name.
        collections: The results by collection, in the order of the models.
        violations: Every violation, in the order in which it was found.
        seconds: How long it took.
        failure: One sentence that says why not everything was seen; None when everything was.
        compared: What a baseline made of it; `violations` and all counts are then of the new ones only.
        partial: One sentence that says what was asked for, where that is less than everything; None elsewhere.
        sampled: Whether the documents were chosen by chance.
        warned: The codes of the rules whose violations are warnings.
    """

    database: str
    collections: list[CollectionResult] = field(default_factory=list)
    violations: Spool = field(default_factory=Spool)
    seconds: float = 0.0
    failure: str | None = None
    compared: Compared | None = None
    partial: str | None = None
    sampled: bool = False
    warned: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether everything was seen, and not a part of it only."""
        return self.failure is None and self.partial is None and all(each.complete for each in self.collections)

    @property
    def done(self) -> bool:
        """Whether everything that was asked for was seen."""
        return self.failure is None and all(each.done or each.complete for each in self.collections)

    @property
    def unseen(self) -> str:
        """Why not everything was seen, in one sentence."""
        return self.failure or self.partial or "Not everything was seen."

    @property
    def warnings(self) -> int:
        """The number of violations of rules that only warn."""
        return sum(each.counts[code] for each in self.collections for code in self.warned)

    @property
    def errors(self) -> int:
        """The number of violations that make a run fail."""
        return self.total - self.warnings

    @property
    def total(self) -> int:
        """The number of violations."""
        return len(self.violations)

    @property
    def clean(self) -> bool:
        """Whether everything was seen and nothing was found."""
        return self.complete and not self.total

    def close(self) -> None:
        """Forget the violations."""
        self.violations.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
