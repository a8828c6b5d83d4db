"""Guarded writes while constraints are being introduced: what breaks one that is staged lower is logged, not refused.

The stages are read when a write would be refused, and not before: a valid write never pays for them. They are kept
for a moment, so that a stage which is moved by ``integrity enforce`` is seen by every process soon after.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError
from pymongo.errors import OperationFailure

from integrity.declare import codec
from integrity.declare.registry import Entry
from integrity.declare.stage import COLLECTION, Constraint, Stage, Stages, of_entry
from integrity.errors import IntegrityError
from integrity.rules.judge import Verdict
from integrity.store.port import Store
from integrity.violation import Violation

if TYPE_CHECKING:
    from integrity.writes.guard import Guard

#: Seconds for which the stages are kept: so long an enforcement waits for other processes before its last look.
KEPT = 1.0

_UNAUTHORIZED = 13
_LOGGER = logging.getLogger("integrity.writes")


async def read(store: Store) -> Stages:
    """Return the recorded stages.

    Raises:
        IntegrityError: What is recorded is no stage: another program, or a newer version, has written it.
    """
    recorded: dict[str, Stage] = {}
    staged = set()
    batches = store.find(COLLECTION, {})
    while batch := await batches.next():
        for each in batch:
            if "claim" in each and "stage" not in each:
                continue  # an enforcement has begun, and recorded nothing yet
            try:
                recorded[each["_id"]] = Stage(each["stage"])
            except (KeyError, ValueError):
                raise IntegrityError(
                    f"{COLLECTION} holds {each!r}, which is no stage of this version; upgrade, or delete the document."
                ) from None
            if each.get("staged"):
                staged.add(each["_id"])
    return Stages(recorded, frozenset(staged))


@dataclass(eq=False)
class Staging:
    """What a database's handles know of the stages."""

    stages: Stages | None = None
    read_at: float = 0.0

    async def now(self, store: Store) -> Stages:
        """Return the stages, read again when they are old."""
        if self.stages is None or time.monotonic() - self.read_at > KEPT:
            try:
                self.stages = await read(store)
            except OperationFailure as error:
                if error.code != _UNAUTHORIZED:
                    raise
                self.stages = Stages({})  # who may not read them is refused as if there were none
            self.read_at = time.monotonic()
        return self.stages

    def forget(self) -> None:
        """Have the stages read again: this process has moved some."""
        self.stages = None

    async def refuses(self, store: Store, constraint: Constraint) -> bool:
        """Whether guarded writes refuse what breaks a constraint."""
        return (await self.now(store)).refuses(constraint)

    async def enforces(self, store: Store, constraint: Constraint) -> bool:
        """Whether the server is to refuse what breaks a constraint: its index is to be unique."""
        stages = await self.now(store)
        stage = stages.of(constraint)
        return stage is None or constraint.name not in stages.staged or stage is Stage.ENFORCED


async def tolerate(guard: Guard, violations: Sequence[Violation]) -> list[Violation]:
    """Log the violations of constraints that are staged lower, and return the others.

    Nothing is logged when something is left: then nothing is stored either.
    """
    if not violations:
        return []
    tolerated: dict[Constraint, bool] = {}
    left = []
    for violation in violations:
        constraint = _constraint(guard.entry, violation)
        if constraint is not None and constraint not in tolerated:
            tolerated[constraint] = not await guard.staging.refuses(guard.store, constraint)
        if constraint is None or not tolerated[constraint]:
            left.append(violation)
    if left:
        return list(violations)
    for violation in violations:
        _LOGGER.warning("stored although it breaks %s (_id %r)", violation.redacted(), violation.id)
    return []


async def tolerated(guard: Guard, verdict: Verdict) -> Verdict:
    """Return the verdict over a document without what is tolerated; the document is then made what BSON can hold."""
    if not verdict.violations:
        return verdict
    try:
        document: Any = codec.encode(verdict.document)
    except PydanticCustomError:
        return verdict  # it could not be stored at all
    if await tolerate(guard, verdict.violations):
        return verdict
    if "_id" not in document and "id" in document and "id" in guard.entry.key_names:
        document = {"_id": document["id"], **{name: each for name, each in document.items() if name != "id"}}
    return Verdict(document)


def _constraint(entry: Entry, violation: Violation) -> Constraint | None:
    return next((each for each in of_entry(entry) if each.broken_by(violation)), None)
