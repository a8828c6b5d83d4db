"""A repair as one JSON object, written as it comes: ``repairs``, a document each, and ``summary``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TextIO

from integrity.declare.extract import ABSENT
from integrity.repair.result import Outcome, Summary
from integrity.violation import REDACTED


class AsJson:
    """Writes outcomes as they come, and the summary at the end.

    Args:
        out: Where to.
        examples: How many documents are written; None for all.
        redact: Whether values are left out.
    """

    def __init__(self, out: TextIO, *, examples: int | None = None, redact: bool = False) -> None:
        self._out = out
        self._examples = examples
        self._redact = redact
        self._written = 0
        out.write('{"repairs": [')

    def tell(self, outcome: Outcome) -> None:
        """Write what became of a document."""
        if self._examples is not None and self._written >= self._examples:
            return
        if self._redact:
            hidden = [
                replace(
                    each,
                    before=ABSENT if each.before is ABSENT else REDACTED,
                    after=ABSENT if each.after is ABSENT else REDACTED,
                )
                for each in outcome.changes
            ]
            outcome = replace(outcome, changes=hidden)
        self._out.write("," if self._written else "")
        self._out.write("\n  " + json.dumps(outcome.to_json(), ensure_ascii=False))
        self._written += 1

    def end(self, summary: Summary) -> None:
        """Write the summary."""
        self._out.write("\n],\n" + '"summary": ' + json.dumps(summary.to_json(), ensure_ascii=False) + "}\n")
