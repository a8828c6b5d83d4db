"""How far each constraint has come: its stage, its violations, and whether the server is as its stage says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from integrity.adopt.enforce import stages_now
from integrity.adopt.findings import find
from integrity.adopt.selection import chosen
from integrity.audit.engine import OnProgress
from integrity.declare.registry import Registry
from integrity.declare.stage import Constraint, Stage
from integrity.server.apply import diff, failed
from integrity.store.port import Store


@dataclass(frozen=True)
class Row:
    """One constraint.

    Args:
        constraint: Which.
        stage: Its stage.
        violations: How many the audit found; None when nobody looked, or not everything was seen.
        drift: ``"missing"``, ``"different"``, ``"extra"``, or ``""`` where the server is as the stage says.
        unseen: Why the audit did not see everything that the constraint is about, in one sentence; ``""`` where it
            did, or was not to look.
    """

    constraint: Constraint
    stage: Stage
    violations: int | None
    drift: str
    unseen: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON-ready dict."""
        return {
            "constraint": self.constraint.name,
            "stage": str(self.stage),
            "violations": self.violations,
            "drift": self.drift or None,
            "unseen": self.unseen or None,
        }


async def status(
    store: Store, registry: Registry, *, audited: bool = True, progress: OnProgress | None = None
) -> tuple[Row, ...]:
    """Return one row for each constraint, in the order of the declarations. Reads only.

    Args:
        store: The database.
        registry: The declarations.
        audited: Whether the audit counts the violations, which reads the collections.
        progress: Called now and then with how far the audit is.

    Raises:
        AuditError: The database cannot be audited.
        EnforcementError: The database cannot be read.
    """
    constraints = chosen(registry)
    try:
        stages = await stages_now(store, registry)
    except PyMongoError as error:
        raise failed(error, store) from error
    drifts = {each.constraint: each.how for each in await diff(store, registry) if each.constraint is not None}
    found = await find(store, registry, constraints, progress=progress) if audited else None

    def row(constraint: Constraint) -> Row:
        unseen = found.unseen.get(constraint.collection, "") if found is not None else ""
        count = None if found is None or unseen else found.counts[constraint]
        return Row(constraint, stages[constraint], count, drifts.get(constraint, ""), unseen)

    return tuple(map(row, constraints))
