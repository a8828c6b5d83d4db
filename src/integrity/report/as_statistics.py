"""The statistics: how many violations of each rule, the most frequent first; and the verdict."""

from __future__ import annotations

from collections import Counter
from typing import TextIO

from integrity.audit.result import AuditResult
from integrity.report.as_text import escape, verdict
from integrity.report.estimates import sentences
from integrity.rules import BY_CODE


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: Not used: there are none.
    """
    del max_examples
    counts: Counter[str] = Counter()
    for collection in result.collections:
        counts.update(collection.counts)
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    out.writelines(
        f"{count:>12,} {code} {BY_CODE[code].name}{' (warning)' if code in result.warned else ''}\n"
        for code, count in frequent
    )
    out.writelines(f"{escape(line)}\n" for line in sentences(result))
    out.writelines(f"{line}\n" for line in verdict(result))
