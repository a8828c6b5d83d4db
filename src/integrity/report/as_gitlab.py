"""The report as GitLab's Code Quality JSON: a list of violations with their fingerprints.

Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from integrity.audit.baseline import fingerprint
from integrity.audit.result import AuditResult
from integrity.report.as_text import escape, identity
from integrity.report.examples import first
from integrity.violation import Violation


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found; where it did not see everything, that is the first issue of the list.
        out: Where it is written to.
        max_examples: List so many violations of each rule at each declared path; None for all.
    """
    out.write("[")
    separator = "\n"
    if not result.complete:
        out.write(f"{separator}{json.dumps(_incomplete(result))}")
        separator = ",\n"
    for each in first(result.violations, max_examples):
        out.write(f"{separator}{json.dumps(_issue(each, result.warned))}")
        separator = ",\n"
    out.write("\n]\n")


def _issue(violation: Violation, warned: frozenset[str]) -> dict[str, Any]:
    place = f"{escape(violation.path)} of _id {identity(violation.id)}"
    return {
        "description": f"{place}: {escape(violation.message)}",
        "check_name": f"{violation.code} {violation.rule}",
        "fingerprint": f"{fingerprint(violation):016x}",
        "severity": "minor" if violation.code in warned else "major",
        "location": {"path": violation.collection, "lines": {"begin": 1}},
    }


def _incomplete(result: AuditResult) -> dict[str, Any]:
    return {
        "description": result.unseen,
        "check_name": "incomplete",
        "fingerprint": "incomplete",
        "severity": "info" if result.done else "blocker",
        "location": {"path": result.database, "lines": {"begin": 1}},
    }
