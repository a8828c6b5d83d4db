"""The report as GitHub's workflow commands: an annotation for the first violations of each rule at each path.

Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from typing import TextIO

from integrity.audit.result import AuditResult
from integrity.report.as_text import EXAMPLES, escape, identity
from integrity.report.as_text import verdict as verdict_of
from integrity.report.examples import first


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: Show so many violations of each rule at each declared path; None for 3.
    """
    for each in first(result.violations, EXAMPLES if max_examples is None else max_examples):
        text = f"{escape(each.collection)} {identity(each.id)} {escape(each.path)}: {escape(each.message)}"
        level = "warning" if each.code in result.warned else "error"
        out.write(f"::{level} title={_property(f'{each.code} {each.rule}')}::{_data(text)}\n")
    level = "error" if result.errors or not result.done else "notice" if result.clean else "warning"
    out.writelines(f"::{level}::{_data(line)}\n" for line in verdict_of(result))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
