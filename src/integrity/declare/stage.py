"""Stages: how far a declared constraint has been introduced into a running system.

::

    declared   the audit alone knows of it
    warn       the server logs what breaks it, guarded writes log it
    moderate   the server and guarded writes refuse new faults; documents that are already at fault can be updated
    enforced   the server and guarded writes refuse every fault

PostgreSQL's ``NOT VALID`` is moderate, and its ``VALIDATE CONSTRAINT`` is what leads from there to enforced.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from integrity.declare.registry import Entry, Registry
from integrity.violation import Violation

Kind = Literal["schema", "unique", "reference", "copy"]

#: The collection that keeps the stages.
COLLECTION = "integrity.stages"

_FAMILIES: Mapping[str, Kind] = {
    "SCH": "schema", "EMP": "schema", "FRB": "schema", "UNQ": "unique", "REF": "reference", "OWN": "copy",
}  # fmt: skip

#: The rules of the family OWN that are about a value; the others are about who writes, and are never staged.
_OF_COPIES = frozenset({"OWN001", "OWN002"})


class Stage(enum.StrEnum):
    """How far a constraint has been introduced."""

    DECLARED = "declared"
    WARN = "warn"
    MODERATE = "moderate"
    ENFORCED = "enforced"

    @property
    def rank(self) -> int:
        """The number of steps from `DECLARED`."""
        return list(Stage).index(self)


@dataclass(frozen=True)
class Constraint:
    """What is introduced as one.

    Args:
        collection: The collection's name.
        kind: ``"schema"`` is everything that one document breaks alone: SCH, EMP and FRB.
        path: The declared path of a unique constraint (several joined by ``", "``), reference or copy; ``""`` for
            the schema.
    """

    collection: str
    kind: Kind
    path: str = ""

    @property
    def name(self) -> str:
        """How it is called: ``"airports.schema"``, ``"routes.reference(source_id)"``."""
        return f"{self.collection}.{self.kind}" + (f"({self.path})" if self.path else "")

    @property
    def codes(self) -> tuple[str, ...]:
        """The families of rules that say whether it is broken."""
        return tuple(family for family, kind in _FAMILIES.items() if kind == self.kind)

    def broken_by(self, violation: Violation) -> bool:
        """Whether a violation is one of this constraint."""
        if violation.collection != self.collection or _FAMILIES.get(violation.code[:3]) != self.kind:
            return False
        if self.kind == "copy" and violation.code not in _OF_COPIES:
            return False
        return self.kind == "schema" or violation.field == self.path

    def __str__(self) -> str:
        return self.name


def constraints(registry: Registry) -> Iterator[Constraint]:
    """Yield every constraint of the declarations, collection by collection."""
    for entry in registry:
        yield from of_entry(entry)


def of_entry(entry: Entry) -> Iterator[Constraint]:
    """Yield the constraints of one model."""
    yield Constraint(entry.collection, "schema")
    for unique in entry.uniques:
        yield Constraint(entry.collection, "unique", unique.path)
    for reference in entry.references:
        yield Constraint(entry.collection, "reference", reference.path)
    for copy in entry.copies:
        yield Constraint(entry.collection, "copy", copy.path)


@dataclass(frozen=True)
class Stages:
    """The stages that are recorded.

    Args:
        recorded: The stages by the constraints' names.
        staged: The names of those that somebody set; the others were found out by applying the declarations.
    """

    recorded: Mapping[str, Stage]
    staged: frozenset[str] = frozenset()

    def of(self, constraint: Constraint) -> Stage | None:
        """Return the recorded stage, or None."""
        return self.recorded.get(constraint.name)

    def refuses(self, constraint: Constraint) -> bool:
        """Whether guarded writes refuse what breaks a constraint: unless somebody staged it lower."""
        stage = self.of(constraint)
        return stage is None or constraint.name not in self.staged or stage.rank >= Stage.MODERATE.rank
