"""What is to be done about a document: a value, made of its violations and the choices. Pure.

Each remedy is tried on the document and judged; it is taken when its violation is gone and nothing is worse. So a
document with another fault that stays open is repaired field by field, and none is made worse than it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import ValidationError

from integrity.declare.constraint import Immutable
from integrity.declare.extract import ABSENT, Path
from integrity.declare.policy import unprintable
from integrity.declare.registry import Entry
from integrity.repair.choice import Choice, Choices
from integrity.repair.place import Spot, changed, locate
from integrity.repair.same_value import conversions
from integrity.rules import BY_CODE
from integrity.rules import remedy as remedies
from integrity.rules.derivation import derivations
from integrity.rules.judge import Judge, dotted
from integrity.rules.ownership import stale_copy, wrong_derivation
from integrity.rules.reference import wrong_key_type
from integrity.rules.unique import duplicate_value
from integrity.store.port import Document
from integrity.violation import Violation

Edit = tuple[Path, Any]

#: What the judge of a document alone sees; the others are looked at when everything of a batch is known.
_ALONE = ("EMP", "FRB", "SCH")

#: They lose a value.
_LOSING = frozenset({remedies.REMOVE, remedies.NULL, remedies.COERCE})

#: The rules of which other documents say by themselves what should stand there.
_SUPPLIED = (stale_copy.RULE.code, wrong_key_type.RULE.code)


@dataclass(frozen=True)
class Supplied:
    """What other documents say should stand somewhere.

    Args:
        value: The value; `ABSENT` where nothing should stand there.
        reason: Why it cannot be had; empty when it can.
        at: Where, when that is not where the violation is but around it; empty otherwise.
    """

    value: Any = ABSENT
    reason: str = ""
    at: Path = ()


@dataclass(frozen=True)
class Mended:
    """One value that is to be changed.

    Args:
        violation: What is wrong with it.
        remedy: How it is mended.
        path: Where, with dots.
        before: The value; `ABSENT` where there is none.
        after: The value that it gets.
    """

    violation: Violation
    remedy: remedies.Remedy
    path: str
    before: Any
    after: Any


@dataclass
class Decision:
    """What is to be done about one document.

    Args:
        id: Its ``_id``.
        before: The document.
        after: The document with the values that are mended.
        mended: These values.
        whole: What is to be done with the whole document, and for what; None when nothing.
        group: What is to be done with it as one of several equal documents, and for what; None when nothing.
        left: The violations that stay, each with the reason.
        shown: What is wrong with values that are mended: another rule, which could not be seen before.
        violations: All that is wrong with it.
    """

    id: Any
    before: Document
    after: Document
    mended: list[Mended] = field(default_factory=list)
    whole: tuple[Choice, Violation] | None = None
    group: tuple[Choice, Violation] | None = None
    violations: list[Violation] = field(default_factory=list)
    left: list[tuple[Violation, str]] = field(default_factory=list)
    shown: list[Violation] = field(default_factory=list)

    def drop(self, reason: str) -> None:
        """Do nothing about it after all."""
        self.left += [(each.violation, reason) for each in self.mended]
        self.mended, self.after, self.shown = [], self.before, []


class Decider:
    """Decides about the documents of one model.

    Args:
        entry: The model's entry.
        choices: What was chosen.
    """

    def __init__(self, entry: Entry, choices: Choices) -> None:
        self.entry = entry
        self.judge = Judge(entry)
        self._choices = choices

    def decide(self, document: Document, violations: Iterable[Violation], supplied: Mapping[str, Supplied]) -> Decision:
        """Decide about a document.

        Args:
            document: The document as it is stored.
            violations: What is wrong with it.
            supplied: What other documents say, by path.
        """
        found = Decision(document.get("_id"), document, document)
        self.go_on(found, violations, supplied)
        if found.whole is not None:
            # The document goes as it is: what was wrong with it goes with it.
            found.mended, found.after, found.left, found.group = [], document, [], None
        elif found.mended and (place := self.entry.revision) is not None:
            count = found.after.get(place.steps[-1])
            if isinstance(count, int) and not isinstance(count, bool):
                # Whoever has read the document before is to see that it was changed.
                found.after = {**found.after, place.steps[-1]: count + 1}
        return found

    def go_on(self, found: Decision, violations: Iterable[Violation], supplied: Mapping[str, Supplied]) -> None:
        """Decide about more violations of a document."""
        known = list(self.judge.stored(found.after))
        several = list(violations)
        computed = [each for each in several if each.code == wrong_derivation.RULE.code]
        # From the last element to the first: taking one out moves those behind it.
        for violation in sorted((each for each in several if each not in computed), key=_position, reverse=True):
            reason = self._mend(found, known, violation, supplied)
            if reason is not None:
                found.left.append((violation, reason))
            elif found.mended:
                known = list(self.judge.stored(found.after))
        if self.entry.derived and (computed or found.mended):
            self._recompute(found, computed)

    def _recompute(self, found: Decision, wrong: Sequence[Violation]) -> None:
        """Compute the derived fields anew, as every write does: of what has been mended by now."""
        made = derivations(self.entry, found.after)
        earlier = {each.path: each for each in found.mended if each.remedy is remedies.RECOMPUTE}
        open_ = {each.path: each for each in wrong}
        for each in made:
            path = dotted(each.path)
            if each.error or (each.agrees and path not in open_):
                continue
            violation = open_.get(path) or each.violation(self.entry.collection, found.before)
            before = each.stands
            if path in earlier:
                found.mended.remove(earlier[path])
                violation, before = earlier[path].violation, earlier[path].before
            value = ABSENT if each.agrees and each.stands is ABSENT else each.value
            found.mended.append(Mended(violation, remedies.RECOMPUTE, path, before, value))
            found.after = changed(found.after, each.path, value)
        errors = {dotted(each.path): each.error for each in made if each.error}
        mended = {each.path for each in found.mended}
        for violation in wrong:
            if violation.path in mended:
                continue
            failed = errors.get(violation.path)
            reason = f"its method fails: {failed}" if failed else "what it is computed from is to be mended first"
            found.left.append((violation, reason))

    def _mend(
        self, found: Decision, known: list[Violation], violation: Violation, supplied: Mapping[str, Supplied]
    ) -> str | None:
        """Mend one violation in `found`; return why not, or None."""
        reason = self._nothing_chosen(found, violation)
        choices: Iterable[Choice] = self._choices.of(violation)
        if violation.path in supplied and violation.code not in _SUPPLIED:
            # A copy holds what its owner holds: nothing else would be better, whatever was chosen for the value.
            choices = [Choice(remedies.FROM_OWNER), *(each for each in choices if each.remedy.whole)]
        for choice in choices:
            if choice.remedy.whole:
                if violation.code == duplicate_value.RULE.code:
                    found.group = (choice, violation)
                elif found.whole is None:
                    found.whole = (choice, violation)
                return None
            refusal = self._tried(found, known, violation, choice.remedy, supplied)
            if refusal is None:
                return None
            reason = refusal if not choice.remedy.safe or refusal.startswith("the owner") else reason
        return reason

    def _nothing_chosen(self, found: Decision, violation: Violation) -> str:
        """Return what may be chosen for a violation: no remedy that can do nothing at its place."""
        rule = BY_CODE.get(violation.code)
        spot = locate(self.entry, found.after, violation.path)
        offered = [each for each in rule.remedies if not each.safe] if rule is not None else []
        ways = [each.name for each in offered if each.whole or self._fits(each, spot, found.after)]
        return f"choose --unsafe {violation.code}={'|'.join(ways)}" if ways else "only the application can mend it"

    def _fits(self, remedy: remedies.Remedy, spot: Spot | None, document: Document) -> bool:
        if spot is None or spot.path[0] == "_id" or self._immutable(spot):
            return False
        if remedy is remedies.REMOVE and not spot.element and spot.field is not None and spot.field.required:
            return False
        return remedy is remedies.COERCE or any(True for _ in self._edits(remedy, spot, document))

    def _tried(
        self,
        found: Decision,
        known: list[Violation],
        violation: Violation,
        remedy: remedies.Remedy,
        supplied: Mapping[str, Supplied],
    ) -> str | None:
        spot = locate(self.entry, found.after, violation.path)
        if spot is None:
            return "there is no single place to mend"
        if spot.path[0] == "_id":
            return "an _id is never changed; choose delete or quarantine"
        if not remedy.safe and self._immutable(spot):
            return "it is written once (Immutable)"
        if remedy is remedies.FROM_OWNER or (remedy is remedies.CONVERT and violation.path in supplied):
            given = supplied.get(violation.path, Supplied(reason="the owner is no longer there"))
            if given.reason:
                return given.reason
            edits: Iterable[Edit] = [(given.at or spot.path, given.value)]
        else:
            edits = self._edits(remedy, spot, found.after)
        refusal = _impossible(remedy)
        for path, value in edits:
            after = changed(found.after, path, value)
            # What loses a value is to be worth it: nothing is wrong there then. An element that goes has no place.
            gone = spot.element and value is ABSENT
            clean = {violation.path, dotted(path)} if remedy in _LOSING and not gone else set()
            worse = self._worse(violation, known, after, clean)
            if worse is None:
                before = spot.value if path == spot.path else locate_value(found.after, path)
                found.mended.append(Mended(violation, remedy, dotted(path), before, value))
                found.after = after
                return None
            refusal = worse or refusal
        return refusal

    def _edits(self, remedy: remedies.Remedy, spot: Spot, document: Document) -> Iterator[Edit]:
        if remedy is remedies.CONVERT and spot.node is not None:
            for value in conversions(spot.value, spot.node):
                yield spot.path, value
        elif remedy is remedies.TRIM and spot.node is not None:
            if type(spot.value) is str and spot.value.strip() in spot.node.literals:
                yield spot.path, spot.value.strip()
        elif remedy is remedies.STRIP:
            if type(spot.value) is str:
                yield spot.path, _printable(spot.value)
        elif remedy is remedies.COERCE:
            yield from self._coerced(spot, document)
        elif remedy is remedies.NULL:
            yield from self._nulled(spot, document)
        elif remedy is remedies.REMOVE and not spot.fixed:
            yield spot.path, ABSENT
            yield from self._emptied(spot, document)

    def _nulled(self, spot: Spot, document: Document) -> Iterator[Edit]:
        if spot.element:
            if not spot.fixed:
                yield spot.path, ABSENT
                yield from self._emptied(spot, document)
            elif spot.node is not None and spot.node.nullable:
                yield spot.path, None
            return
        if spot.node is not None and spot.node.nullable:
            yield spot.path, None
        if spot.field is None or not spot.field.required:
            yield spot.path, ABSENT

    def _emptied(self, spot: Spot, document: Document) -> Iterator[Edit]:
        """Yield what becomes of an array whose last element goes, where an empty one is not allowed."""
        holder = locate(self.entry, document, dotted(spot.path[:-1])) if spot.element else None
        if holder is not None and len(holder.value) == 1:
            yield from self._nulled(holder, document)

    def _coerced(self, spot: Spot, document: Document) -> Iterator[Edit]:
        top = str(spot.path[0])
        try:
            made = self.entry.partial_validator.validate_python({top: document[top]})
        except (ValidationError, KeyError):
            return
        if top in made:
            yield (top,), made[top]

    def _immutable(self, spot: Spot) -> bool:
        return any(
            each.node.marker(Immutable) and spot.path[: len(each.steps)] == each.steps for each in self.entry.places
        )

    def _worse(self, violation: Violation, known: list[Violation], after: Document, clean: set[str]) -> str | None:
        """Return why a document is no better than it was; None when it is, ``""`` when that goes without saying."""
        judged = list(self.judge.stored(after))
        if violation.code.startswith(_ALONE) and _count(judged, violation) >= _count(known, violation):
            return ""
        left = next((each for each in judged if each.path in clean), None)
        return worse(known, judged) if left is None else would_break(left)


def worse(before: Iterable[Violation], after: Iterable[Violation]) -> str | None:
    """Return what is wrong with a document that was not before, by declared paths; None when nothing is.

    A value that was of the wrong type and is now of the right one may break another rule: that is no worse.
    """
    had = Counter(each.field for each in before)
    for each in after:
        had[each.field] -= 1
        if had[each.field] < 0:
            return would_break(each)
    return None


def shown(mended: Sequence[Mended], before: Iterable[Violation], after: Iterable[Violation]) -> list[Violation]:
    """Return what is wrong with values that are mended all the same.

    Counted by declared paths, for an element that goes moves those behind it.
    """
    was, several = list(before), list(after)
    known = {(each.code, each.path) for each in was}
    left = Counter(each.field for each in was)
    left.subtract(one.violation.field for one in mended if (one.violation.code, one.violation.path) in known)
    found = []
    # What was there before comes first: it is not what has come to light.
    for each in sorted(several, key=lambda each: (each.code, each.path) not in known):
        left[each.field] -= 1
        if left[each.field] < 0:
            found.append(each)
    return found


def persists(mended: Sequence[Mended], before: Sequence[Violation], after: Sequence[Violation]) -> bool:
    """Whether a violation that is mended is there afterwards."""
    known = {(each.code, each.path) for each in before}
    those = [one.violation for one in mended if (one.violation.code, one.violation.path) in known]
    return any(_count(after, each) > _count(before, each) - _count(those, each) for each in those)


def would_break(violation: Violation) -> str:
    """Return why a document is not changed: what would be wrong with it."""
    return f"the document would then break {violation.code} {violation.field or '(document)'}"


def locate_value(document: Document, path: Path) -> Any:
    """Return what stands at a concrete path, or `ABSENT`."""
    value: Any = document
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return value


def _count(violations: Iterable[Violation], like: Violation) -> int:
    return sum(each.code == like.code and each.field == like.field for each in violations)


def _position(violation: Violation) -> list[tuple[int, str]]:
    return [(int(each), "") if each.isdigit() else (-1, each) for each in violation.path.split(".")]


def _printable(text: str) -> str:
    while (found := unprintable(text)) is not None:
        text = text.replace(found, "")
    return text


def _impossible(remedy: remedies.Remedy) -> str:
    if remedy in {remedies.NULL, remedies.REMOVE}:
        return "it may be neither null nor absent; choose delete or quarantine"
    if remedy is remedies.COERCE:
        return "a write would refuse the value too; choose another remedy"
    return "the value is not the same in the declared type"
