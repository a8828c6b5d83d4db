"""What an update's operators find out, gathered while they are read one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import PydanticCustomError

from integrity.declare import codec, shape
from integrity.declare.constraint import Marker, Unique
from integrity.declare.slot import VALUE
from integrity.rules.judge import Judge
from integrity.rules.rule import At, Fault, Rule
from integrity.rules.schema import wrong_type
from integrity.violation import Violation, quote
from integrity.writes.updates.conditions import Conditions, read
from integrity.writes.updates.plan import UNKNOWN, Change, Touched
from integrity.writes.updates.target import Target, Targets


class Draft:
    """A plan in the making.

    Args:
        targets: The model's targets.
        filter: The filter.
        upsert: Whether the update inserts where nothing matches.
    """

    def __init__(self, targets: Targets, filter: Mapping[str, Any] | None, *, upsert: bool) -> None:
        self.targets = targets
        self.entry = targets.entry
        self.filter = filter
        self.upsert = upsert
        self._conditions: Conditions | None = None
        self.violations: list[Violation] = []
        self.reasons: list[str] = []
        self.stops: list[str] = []
        self.unclear: list[str] = []
        self.touched: list[Touched] = []
        self.markers: set[type[Marker]] = set()
        self._created: list[tuple[str, frozenset[str]]] = []
        self._given: dict[str, set[str]] = {}

    @property
    def conditions(self) -> Conditions:
        """What the filter says; read when it is first asked for, which most updates do not."""
        if self._conditions is None:
            self._conditions = read(self.filter)
        return self._conditions

    def refuse(self, rule: Rule, fault: Fault, path: str, steps: tuple[str, ...]) -> None:
        """Note what is wrong whatever the document is."""
        at = At(self.entry.collection, self.conditions.id, path, shape.declared_path(steps))
        self.violations.append(rule.violation(at, fault))

    def doubt(self, reason: str) -> None:
        """Note why the outcome is not proved."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def stop(self, reason: str) -> None:
        """Note why the server may refuse the update for one document and not for another."""
        if reason not in self.stops:
            self.stops.append(reason)

    def touch(
        self, operator: str, target: Target, change: Change, value: Any = UNKNOWN, *, on_insert: bool = False
    ) -> None:
        """Note that a place changes."""
        self.touched.append(Touched(operator, target.path, target.steps, change, value, on_insert))
        if target.markers:
            self.markers |= target.markers
            if Unique in target.markers and not on_insert:
                self.stop(f"another document may have the unique value of {target.path}")

    def enter(self, target: Target, *, creates: bool) -> None:
        """Note what the way to a place leaves open.

        Args:
            target: The place.
            creates: Whether the operator creates what is not there.
        """
        if target.plain:
            return
        for each in target.stops:
            self.stop(each)
        for each in target.reasons:
            self.doubt(each)
        if target.positional is not None and not self._matched_in(target.positional):
            self.doubt(f"the filter does not say that $ is the index of an element of {target.positional}")
        elif target.positional is not None and not self._sets_position(target.positional):
            self.stop(f"$ may be of no element of {target.positional}")
        if creates and target.creates:
            self._created += target.creates
            parts = target.path.split(".")
            for end in range(1, len(parts)):
                self._given.setdefault(".".join(parts[:end]), set()).add(parts[end])

    def _matched_in(self, array: str) -> bool:
        """Whether ``$``, wherever the filter sets it, is the index of an element of `array`."""
        inside = False
        for path in self.conditions.paths:
            passed = self.targets.arrays(path)
            if (path == array or path.startswith(f"{array}.")) and passed == 1:
                inside = True
            elif passed != 0:
                return False
        return inside and not self.conditions.nested

    def _sets_position(self, array: str) -> bool:
        """Whether every document that matches has an element for ``$``.

        A filter on null matches without one, and one on an array may match the whole.
        """
        equal = self.conditions.equal
        return any(
            value is not None and not isinstance(value, list | tuple) and f"{path}.".startswith(f"{array}.")
            for path, value in equal.items()
        )

    def settle(self) -> None:
        """Note which objects the update may create without a field that they must have."""
        for path, lacking in self._created:
            missing = sorted(lacking - self._given.get(path, set()))
            if missing:
                self.doubt(f"where {path} is not there, it would be created without {', '.join(missing)}")

    def offered(self, target: Target, value: Any) -> Any:
        """Judge a value for a place and return it coerced."""
        known = len(self.violations)
        found = (
            self.judged(target.judge, value, target.path, target.steps) if target.known else self.encoded(target, value)
        )
        if target.path == "_id" and len(self.violations) == known:
            self.violations += self.targets.judge.key({"_id": found})
        return found

    def judged(self, judge: Judge, value: Any, path: str, steps: tuple[str, ...]) -> Any:
        """Judge a value by the judge of a slot, and return it coerced.

        Args:
            judge: The slot's judge.
            value: What is offered.
            path: The path that a violation names.
            steps: The slot's declared steps.
        """
        verdict = judge.offered({VALUE: value})
        if verdict.violations:
            field = shape.declared_path(steps)
            for each in verdict.violations:
                self.violations.append(
                    replace(
                        each,
                        id=self.conditions.id,
                        path=path + each.path.removeprefix(VALUE),
                        field=field + each.field.removeprefix(VALUE),
                    )
                )
            return value
        return verdict.document[VALUE]

    def encoded(self, target: Target, value: Any) -> Any:
        """Return a value as PyMongo encodes it, where only the outcome can be judged."""
        if target.slot.schema is not None and not target.known:
            self.unclear.append(f"what {target.path} is stored as is a matter of other fields")
        try:
            return codec.encode(codec.plain(value))
        except PydanticCustomError as error:
            fault = Fault(f"is {quote(value)}: {error}.", "Store a type that BSON has.", (quote(value),))
            self.refuse(wrong_type.RULE, fault, target.path, target.steps)
            return value
