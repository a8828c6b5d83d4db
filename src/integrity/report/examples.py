"""Choosing the violations that are shown: the first few of each rule at each declared path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from integrity.violation import Violation

Kind = tuple[str, str, str]


def kind(violation: Violation) -> Kind:
    """What violations are told apart by: collection, code and declared path."""
    return (violation.collection, violation.code, violation.field)


def first(violations: Iterable[Violation], limit: int | None) -> Iterator[Violation]:
    """Yield the first `limit` violations of each kind, in their order; all of them when it is None.

    What is kept meanwhile grows with the declared paths, not with the violations.
    """
    if limit is None:
        yield from violations
        return
    seen: Counter[Kind] = Counter()
    for each in violations:
        at = kind(each)
        if seen[at] < limit:
            seen[at] += 1
            yield each
