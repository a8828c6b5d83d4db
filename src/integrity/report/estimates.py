"""What a sample tells of the whole, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from integrity.audit.estimate import estimate
from integrity.audit.result import AuditResult, CollectionResult
from integrity.rules import BY_CODE


def sentences(result: AuditResult) -> Iterator[str]:
    """Yield what the sample of each collection tells, by rule."""
    if result.sampled:
        for each in result.collections:
            if each.done:
                yield from of_collection(each)


def of_collection(result: CollectionResult) -> Iterator[str]:
    """Yield what the sample of a collection tells."""
    for code, found in result.estimates().items():
        yield (
            f"{result.name}: about {found.documents:,} of {result.documents:,} documents break {code} "
            f"{BY_CODE[code].name} (between {found.low:,} and {found.high:,}, with a confidence of 95 %)."
        )
    most = estimate(0, result.scanned, result.documents).high
    yield (
        f"{result.name}: every other rule that was asked for is broken by {most:,} of {result.documents:,} documents "
        "at most (with a confidence of 95 %)."
    )
