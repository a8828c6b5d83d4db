"""The violations as JSON lines, each as in the JSON report; the last line is ``{"summary": {...}}``.

The summary has the JSON report's other keys, so that what was not seen is not taken for clean.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TextIO

from integrity.audit.result import AuditResult
from integrity.report.as_json import summary
from integrity.report.examples import first


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: List so many violations of each rule at each declared path; None for all.
    """
    shown = (each.to_json() for each in first(result.violations, max_examples))
    out.writelines(f"{json.dumps(each, allow_nan=False)}\n" for each in chain(shown, [{"summary": summary(result)}]))
