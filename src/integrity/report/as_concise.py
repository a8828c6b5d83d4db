"""The concise report: a violation a line, for grep and for editors; then one line with the verdict.

``airports 641 city: EMP001 is an empty string.``
"""

from __future__ import annotations

from typing import TextIO

from integrity.audit.result import AuditResult
from integrity.report.as_text import escape, identity
from integrity.report.as_text import verdict as verdict_of
from integrity.report.estimates import sentences
from integrity.report.examples import first


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: List so many violations of each rule at each declared path; None for all.
    """
    for each in first(result.violations, max_examples):
        path = f" {escape(each.path)}" if each.path else ""
        warning = " (warning)" if each.code in result.warned else ""
        out.write(f"{escape(each.collection)} {identity(each.id)}{path}: {each.code}{warning} {escape(each.message)}\n")
    out.writelines(f"{escape(line)}\n" for line in sentences(result))
    out.writelines(f"{line}\n" for line in verdict_of(result))
