"""The HTML report: one file for a browser, that loads nothing and runs nothing but its own two hundred lines.

The first screen has the verdict, what was seen, a table of rules and collections, the graph of references and when the
documents at fault were written; then each rule, with examples. It is at most 3 MB, whatever was found.

Its content security policy names the style and the script by their hashes: should a value of the database ever get
past the escaping, the browser runs and loads nothing of it.
Source: https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from importlib import resources
from string import Template
from typing import TextIO
from urllib.parse import quote

from integrity.audit.result import AuditResult
from integrity.report.as_html.element import Html, element, quoted, text
from integrity.report.as_html.findings import Findings
from integrity.report.as_html.overview import header, heat_map
from integrity.report.as_html.references import references
from integrity.report.as_html.written import written
from integrity.report.evidence import Evidence, survey

__all__ = ["LIMIT", "write"]

#: The most bytes of a report.
LIMIT = 3_000_000
_FOOTER = 20_000
_BODY = "\ue000"  # a private character, which no escaped text has


def write(
    result: AuditResult, out: TextIO, max_examples: int | None = None, *, evidence: Evidence | None = None
) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: Show so many violations of each rule at each declared path; None for 3. Counts are of all
            in either case.
        evidence: What the database tells besides, by `integrity.report.evidence.gather`; without it there are no
            documents and no graph of references.
    """
    evidence = evidence or survey(result, max_examples)
    made = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
    before, after = _frame(result)
    findings = Findings(result, evidence)
    start = Html('<section id="findings" aria-labelledby="findings-title">')
    parts = [
        Html(before),
        header(result, evidence, made),
        Html('<main id="main" tabindex="-1">'),
        heat_map(result),
        element("div", references(evidence), written(evidence), class_="two"),
        start,
        element("h2", "Findings", id="findings-title"),
        element("p", quoted(evidence.note), class_="warn") if evidence.note else None,
        element("p", "Values are left out.", class_="quiet") if evidence.redacted else None,
        _full(evidence),
        findings.filter(),
    ]
    room = LIMIT - _FOOTER - len(after.encode())
    for each in parts:
        if each is not None:
            room -= len(each.encode())
            out.write(each)
    out.writelines(findings.rules(room))
    out.write("</section></main>")
    out.write(after)


def _full(evidence: Evidence) -> Html | None:
    if evidence.full is None:
        return None
    link = element("a", quoted(evidence.full), href=f"./{quote(evidence.full, safe='', errors='surrogatepass')}")
    return element("p", "Examples only; every violation is in ", link, ", beside this file.", class_="quiet")


def _frame(result: AuditResult) -> tuple[str, str]:
    """Return what stands before and after the content."""
    page = resources.files(__name__)
    style, script = (page.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    filled = Template(page.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        policy=policy, style=style, script=script, body=_BODY, title=text(f"Audit of {result.database[:200]}")
    )
    before, _, after = filled.partition(_BODY)
    return before, after


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"
