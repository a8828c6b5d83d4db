"""The report as JUnit's XML: a suite a collection, a case a rule at a declared path, a failure with examples.

A collection without a violation has one case that passes; one that was not seen whole has an error.
"""

from __future__ import annotations

import re
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from integrity.audit.result import AuditResult, CollectionResult
from integrity.report.as_text import EXAMPLES, identity
from integrity.report.examples import Kind, first, kind
from integrity.rules import BY_CODE
from integrity.violation import Violation

# What XML 1.0 has no way to write: https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: Show so many violations of each rule at each declared path; None for 3.
    """
    shown: dict[Kind, list[Violation]] = {}
    for each in first(result.violations, EXAMPLES if max_examples is None else max_examples):
        shown.setdefault(kind(each), []).append(each)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="integrity">\n')
    for collection in result.collections:
        _suite(collection, shown, result, out)
    out.write("</testsuites>\n")


def _suite(result: CollectionResult, shown: dict[Kind, list[Violation]], whole: AuditResult, out: TextIO) -> None:
    name = _attribute(result.name)
    # What was asked for and seen is no error, even where it is less than everything; nor is a rule that only warns.
    errors, skipped = (0 if result.complete or result.done else 1), int(result.done and not result.complete)
    failures = sum(each.partition(" ")[0] not in whole.warned for each in result.paths)
    skipped += len(result.paths) - failures
    cases = max(len(result.paths) + (not result.complete), 1)
    out.write(f'<testsuite name={name} tests="{cases}" failures="{failures}" errors="{errors}" skipped="{skipped}">\n')
    for key, count in sorted(result.paths.items()):
        code, _, path = key.partition(" ")
        title = f"{code} {BY_CODE[code].name} {path}".strip()
        out.write(f"<testcase classname={name} name={_attribute(title)}>")
        if code in whole.warned:
            out.write(f"<skipped message={_attribute(f'{count:,} violations, a warning')}/></testcase>\n")
            continue
        out.write(f'<failure type="{code}" message={_attribute(f"{count:,} violations")}>')
        examples = shown.get((result.name, code, path), [])
        out.writelines(_text(f"_id {identity(each.id)} {each.path}: {each.message}\n") for each in examples)
        out.write("</failure></testcase>\n")
    if not result.complete:
        out.write(f'<testcase classname={name} name="everything was seen">')
        out.write('<error type="incomplete" ' if errors else "<skipped ")
        out.write(f"message={_attribute(whole.unseen)}/></testcase>\n")
    elif not result.paths:
        out.write(f'<testcase classname={name} name="no violation"/>\n')
    out.write("</testsuite>\n")


def _text(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))
