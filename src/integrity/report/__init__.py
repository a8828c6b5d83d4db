"""What an audit found, written down: one file a format."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from integrity.audit.result import AuditResult
from integrity.report import (
    as_concise,
    as_github,
    as_gitlab,
    as_html,
    as_json,
    as_jsonl,
    as_junit,
    as_markdown,
    as_sarif,
    as_statistics,
    as_text,
)

Writer = Callable[[AuditResult, TextIO, "int | None"], None]

#: The formats by name. Each takes the result, where it is written to, and how many violations of each rule at each
#: declared path are shown (None: as many as the format shows by default).
WRITERS: dict[str, Writer] = {
    "text": as_text.write,
    "concise": as_concise.write,
    "json": as_json.write,
    "jsonl": as_jsonl.write,
    "sarif": as_sarif.write,
    "junit": as_junit.write,
    "github": as_github.write,
    "gitlab": as_gitlab.write,
    "markdown": as_markdown.write,
    "html": as_html.write,
    "statistics": as_statistics.write,
}

__all__ = ["WRITERS", "Writer"]
