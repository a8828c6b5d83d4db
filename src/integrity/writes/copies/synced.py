"""What a synchronisation did, and what it left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Synced:
    """What a synchronisation did.

    Args:
        finished: Changes of owners whose copies are all refreshed now.
        documents: How many documents were looked at for that.
        unknown: Copies with records that the given models do not declare; their records are left.
        misfits: Copies that cannot hold what their owner holds, with the reason; they are left as they are, and so are
            their records: the next synchronisation tells of them again.
    """

    finished: int = 0
    documents: int = 0
    unknown: set[str] = field(default_factory=set)
    misfits: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict."""
        return {
            "finished": self.finished,
            "documents": self.documents,
            "unknown": sorted(self.unknown),
            "misfits": self.misfits,
        }

    def __str__(self) -> str:
        lines = [f"finished {self.finished} changes of owners, with {self.documents} documents that copy them."]
        lines += [f"left: {copy} cannot hold what its owner holds: it {why}" for copy, why in self.misfits.items()]
        return "\n".join(lines)
