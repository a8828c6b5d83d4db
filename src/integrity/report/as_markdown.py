"""The report as Markdown, for a pull request's comment or a wiki: tables of counts, and a few examples."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TextIO

from integrity.audit.result import AuditResult, CollectionResult
from integrity.report.as_text import EXAMPLES, escape, identity
from integrity.report.as_text import verdict as verdict_of
from integrity.report.estimates import sentences
from integrity.report.examples import Kind, first, kind
from integrity.rules import BY_CODE
from integrity.violation import Violation

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~@:])")


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
    out.write(f"# Audit of {plain(result.database)}\n\n")
    out.writelines(f"{plain(line)}\n\n" for line in verdict_of(result))
    out.writelines(f"{plain(line)}\n\n" for line in sentences(result))
    for collection in result.collections:
        out.writelines(f"{line}\n" for line in _collection(collection, shown, result.warned))


def _collection(result: CollectionResult, shown: dict[Kind, list[Violation]], warned: frozenset[str]) -> Iterator[str]:
    yield f"## {plain(result.name)}"
    yield ""
    seen = "all read" if result.complete else f"{result.scanned:,} read, **not complete**"
    yield f"{result.documents:,} documents, {seen}."
    yield ""
    if not result.paths:
        return
    yield "| rule | path | violations | for example |"
    yield "|---|---|---:|---|"
    for key, count in sorted(result.paths.items(), key=lambda item: (-item[1], item[0])):
        code, _, path = key.partition(" ")
        examples = [
            f"{plain(identity(each.id))}: {plain(each.message)}" for each in shown.get((result.name, code, path), [])
        ]
        rule = f"{code} {BY_CODE[code].name}{' (warning)' if code in warned else ''}"
        yield f"| {plain(rule)} | {plain(path) or '(document)'} | {count:,} | {'<br>'.join(examples)} |"
    yield ""


def plain(text: str) -> str:
    """Return a text as Markdown that means nothing but itself."""
    return html.escape(_SPECIAL.sub(r"\\\1", escape(text)), quote=False)
