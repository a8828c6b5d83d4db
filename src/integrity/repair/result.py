"""What a repair did, or would do: one document at a time, and in sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from integrity.declare.extract import ABSENT
from integrity.rules.remedy import Remedy
from integrity.violation import Violation, extended_json


@dataclass(frozen=True)
class Changed:
    """One value of a document, before and after.

    Args:
        code: The rule that it broke.
        remedy: How it is mended.
        path: Where.
        before: The value; `ABSENT` where there was none.
        after: The value; `ABSENT` where there is none.
    """

    code: str
    remedy: Remedy
    path: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict; a value that is not there has no key."""
        found = {"code": self.code, "remedy": self.remedy.name, "path": self.path}
        values = {"before": self.before, "after": self.after}
        return found | {name: extended_json(each) for name, each in values.items() if each is not ABSENT}


@dataclass(frozen=True)
class Outcome:
    """What became of one document.

    Args:
        collection: Its collection.
        id: Its ``_id``.
        changes: The values that are changed.
        away: What is done with the whole document; None when nothing.
        mended: The violations that are gone by it.
        left: Those that stay, each with the reason.
        gone: Those that were there no more.
        why: For a document that goes, why: one of its violations.
    """

    collection: str
    id: Any
    changes: Sequence[Changed] = ()
    away: Remedy | None = None
    mended: Sequence[Violation] = ()
    left: Sequence[tuple[Violation, str]] = ()
    gone: Sequence[Violation] = ()
    why: Violation | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        return {
            "collection": self.collection,
            "id": extended_json(self.id),
            "action": self.away.name if self.away is not None else "change" if self.changes else "none",
            "changes": [each.to_json() for each in self.changes],
            "repaired": [{"code": each.code, "path": each.path} for each in self.mended],
            "left": [{"code": each.code, "path": each.path, "reason": reason} for each, reason in self.left],
        }


@dataclass
class Summary:
    """A repair in sum.

    Args:
        database: The database.
        made: Whether anything was to be changed; else it is a plan.
        run: The name that `integrity undo` knows it by; empty where nothing was changed.
        found: The violations by code.
        mended: Those that are gone, or would be.
        left: Those that stay, by code and reason.
        gone: Those that were there no more when they were to be repaired.
        documents: How many documents were changed, or would be.
        away: How many went away as a whole, by remedy.
        failure: One sentence that says what was not seen, or not done; None when all was.
    """

    database: str
    made: bool
    run: str = ""
    found: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    left: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    away: Counter[str] = field(default_factory=Counter)
    failure: str | None = None

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        for each in outcome.mended:
            self.found[each.code] += 1
            self.mended[each.code] += 1
        for each, reason in outcome.left:
            self.found[each.code] += 1
            self.left[each.code, f"{each.collection}.{each.field}".rstrip("."), reason] += 1
        for each in outcome.gone:
            self.found[each.code] += 1
            self.gone[each.code] += 1
        if outcome.away is not None:
            self.away[outcome.away.name] += 1
        if outcome.changes or outcome.away is not None:
            self.documents += 1

    @property
    def remaining(self) -> int:
        """How many violations stay."""
        return sum(self.left.values())

    @property
    def repaired(self) -> int:
        """How many violations are gone by it, or would be."""
        return sum(self.mended.values())

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        return {
            "database": self.database,
            "applied": self.made,
            "run": self.run or None,
            "complete": self.failure is None,
            "failure": self.failure,
            "documents": self.documents,
            "away": dict(self.away),
            "rules": [
                {
                    "code": code,
                    "found": self.found[code],
                    "repaired": self.mended[code],
                    "gone": self.gone[code],
                    "left": [
                        {"path": path, "reason": reason, "count": many}
                        for (one, path, reason), many in sorted(self.left.items())
                        if one == code
                    ],
                }
                for code in sorted(self.found)
            ],
        }
