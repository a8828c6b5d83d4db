"""The plan of an update: what will be sent, what it touches, and whether the declarations prove its outcome.

A plan is a value: it is made by `integrity.writes.update_plan.plan_update` without a look at the database, and
printing it explains it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from integrity.declare.constraint import Marker
from integrity.declare.extract import values_at
from integrity.declare.shape import Place, declared_path
from integrity.violation import Violation, quote

#: Stands for a value that only the server will know, such as the outcome of ``$inc``.
UNKNOWN: Any = type("Unknown", (), {"__repr__": lambda _: "UNKNOWN", "__bool__": lambda _: False})()

#: What happens at a place: its value is ``set``, the field is ``unset``, elements are ``added`` to or ``removed``
#: from the array there, or the value is ``computed`` by the server.
Change = Literal["set", "unset", "added", "removed", "computed"]


class Touched(NamedTuple):
    """A place that an update changes.

    Args:
        operator: The operator, such as ``"$set"``; a stage's name for a pipeline.
        path: The path as the update writes it, such as ``"items.$[x].qty"``; ``""`` is the whole document.
        steps: The declared path's steps, such as ``("items", "[]", "qty")``; empty for the whole document.
        change: What happens there.
        value: The new value, coerced; for ``added``, the list of the new elements; `UNKNOWN` where only the server
            will know it, and for ``unset`` and ``removed``.
        on_insert: Whether it happens only when an upsert inserts.
    """

    operator: str
    path: str
    steps: tuple[str, ...]
    change: Change
    value: Any = UNKNOWN
    on_insert: bool = False

    def __str__(self) -> str:
        where = declared_path(self.steps) or "the whole document"
        outcome = "" if self.value is UNKNOWN else f": {quote(self.value)}"
        return f"{self.operator} {where} is {self.change}{outcome}{' on insert' if self.on_insert else ''}"

    def reaches(self, steps: tuple[str, ...]) -> bool:
        """Whether the change is at, above or below a declared place."""
        shorter = min(len(steps), len(self.steps))
        return self.steps[:shorter] == steps[:shorter]


class UpdatePlan(NamedTuple):
    """What is known of an update before anything is sent.

    Args:
        collection: The collection's name.
        update: What is to be sent: the operators with coerced values, or the pipeline.
        violations: What is certainly wrong, whatever the document is: the update is refused with them.
        reasons: Why the outcome for a document that exists is not proved, in words; empty when it is.
        stops: Why the server may refuse the update for one document and not for another: an update of many would
            stop half-way, with the documents before that one changed.
        touched: Every place that the update changes.
        markers: The kinds of markers at, above or below a touched place: what needs more than a proof of validity.
        upsert: Whether the update inserts where nothing matches.
        upsert_document: The document that it would insert then; None where that is not known exactly. Without an
            ``_id``, the server generates an ObjectId.
        upsert_violations: What is wrong with that document.
        upsert_reasons: Why what would be inserted is not known exactly.
    """

    collection: str
    update: Any
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    touched: tuple[Touched, ...] = ()
    markers: frozenset[type[Marker]] = frozenset()
    upsert: bool = False
    upsert_document: Mapping[str, Any] | None = None
    upsert_violations: tuple[Violation, ...] = ()
    upsert_reasons: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether every valid document is valid afterwards, an inserted one too: one round trip will do."""
        return not (self.violations or self.reasons or self.upsert_violations or self.upsert_reasons)

    @property
    def proved_for_existing(self) -> bool:
        """Whether every valid document that exists is valid afterwards, whatever an upsert would insert."""
        return not (self.violations or self.reasons)

    def values(self, place: Place | tuple[str, ...]) -> tuple[tuple[str, Any], ...] | None:
        """Return the new values at a declared place, each with the path that an error names.

        Args:
            place: A declared place, or its steps.

        Returns:
            The values; none where the update leaves the place alone or only takes away; None where only the
            server will know them.
        """
        steps = place if isinstance(place, tuple) else place.steps
        found: list[tuple[str, Any]] = []
        for each in self.touched:
            if not each.reaches(steps) or each.change in {"unset", "removed"}:
                continue
            if each.value is UNKNOWN or len(each.steps) > len(steps):
                return None
            found += _values(each, steps)
        return tuple(found)

    def touches(self, steps: tuple[str, ...]) -> tuple[Touched, ...]:
        """Return the changes at, above or below a declared place."""
        return tuple(each for each in self.touched if each.reaches(steps))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"update of {self.collection}: {self._verdict()}"
        yield from (f"  refused: {each}" for each in self.violations)
        yield from (f"  not proved: {each}" for each in self.reasons)
        yield from (f"  may stop half-way in many: {each}" for each in self.stops)
        yield from (f"  upsert not proved: {each}" for each in self.upsert_reasons)
        yield from (f"  an upsert would insert: {each}" for each in self.upsert_violations)
        yield from (f"  {each}" for each in self.touched)

    def _verdict(self) -> str:
        if self.violations:
            return "refused"
        if self.proved:
            return "proved, one round trip"
        if self.proved_for_existing and not self.upsert_reasons:
            return "proved for documents that exist; refused when it would insert"
        return "not proved, the outcome is judged in a transaction"


def _values(each: Touched, steps: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield what a change writes at a place at or below it; the list of added elements reads as an array."""
    for path, found in values_at(each.value, steps[len(each.steps) :]):
        yield ".".join([each.path, *map(str, path)]) if path else each.path, found
