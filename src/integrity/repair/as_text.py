"""A repair for a terminal: what is changed in a few documents of each kind, then every rule in sum."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, TextIO

from bson import json_util

from integrity.declare.extract import ABSENT
from integrity.repair.result import Outcome, Summary
from integrity.violation import REDACTED, extended_json

#: Documents shown of each kind of change.
EXAMPLES = 3

_LONGEST = 70


class AsText:
    """Writes outcomes as they come, and the summary at the end.

    Args:
        out: Where to.
        examples: How many documents of each kind of change are shown; None for all.
        redact: Whether values are left out.
    """

    def __init__(self, out: TextIO, *, examples: int | None = EXAMPLES, redact: bool = False) -> None:
        self._out = out
        self._examples = examples
        self._redact = redact
        self._shown: Counter[tuple[str, ...]] = Counter()

    def tell(self, outcome: Outcome) -> None:
        """Show what became of a document, if not enough of its kind were shown."""
        if outcome.away is None and not outcome.changes:
            return
        kind = (
            outcome.collection,
            str(outcome.away),
            *sorted({f"{each.code}{each.remedy}" for each in outcome.changes}),
        )
        if outcome.why is not None:
            kind = (*kind, outcome.why.code)
        self._shown[kind] += 1
        if self._examples is not None and self._shown[kind] > self._examples:
            return
        self._line(f"{outcome.collection} _id {shown(outcome.id)}")
        for each in outcome.changes:
            before, after = (REDACTED if self._redact else shown(value) for value in (each.before, each.after))
            self._line(f"  {each.path}: {before} → {after}  ({each.code} {each.remedy})")
        if outcome.away is not None and outcome.why is not None:
            why = outcome.why.redacted() if self._redact else outcome.why
            self._line(f"  {outcome.away}: {why.code} {why.path} {why.message}")

    def end(self, summary: Summary) -> None:
        """Write the summary."""
        more = sum(max(0, many - self._examples) for many in self._shown.values()) if self._examples is not None else 0
        if more:
            self._line(f"... and {more:,} more documents; --max-examples shows more of them.")
        if self._shown:
            self._line("")
        done = "repaired" if summary.made else "would be repaired"
        for code in sorted(summary.found):
            parts = [f"{summary.found[code]:,} found", f"{summary.mended[code]:,} {done}"]
            if summary.gone[code]:
                parts.append(f"{summary.gone[code]:,} no longer there")
            self._line(f"{code}  {', '.join(parts)}")
            for (one, path, reason), many in sorted(summary.left.items()):
                if one == code:
                    self._line(f"        {many:,} left at {path}: {reason}")
        self._line(_sentence(summary))

    def _line(self, text: str) -> None:
        self._out.write("".join(each if each.isprintable() else ascii(each)[1:-1] for each in text) + "\n")


def _sentence(summary: Summary) -> str:
    """Return the last line: what happened."""
    if not summary.found:
        return "Nothing is to be repaired."
    away = "".join(f", {many:,} of them by {name}" for name, many in sorted(summary.away.items()))
    documents = f"{summary.documents:,} document{'s' if summary.documents != 1 else ''}"
    if summary.made:
        return f"{documents} changed{away}; {summary.remaining:,} violations left."
    return f"{documents} would be changed{away}; {summary.remaining:,} violations would be left. Nothing was changed."


def shown(value: Any) -> str:
    """Return a value in extended JSON, in one line and not too long."""
    if value is ABSENT:
        return "(absent)"
    try:
        text = json.dumps(extended_json(value), ensure_ascii=False)
    except (TypeError, ValueError):
        text = json_util.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}… ({len(text)} characters)"
