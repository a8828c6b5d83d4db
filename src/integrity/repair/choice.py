"""Which remedies were chosen for what: ``REF001=null``, ``REF001@orders.customer_id=delete``, ``quarantine``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from integrity.errors import RepairError
from integrity.rules import BY_CODE, RULES
from integrity.rules.remedy import KEEP_NEWEST, KEEP_OLDEST, REMEDIES, Remedy
from integrity.violation import Violation

_BY_NAME = {each.name: each for each in REMEDIES}


@dataclass(frozen=True)
class Choice:
    """An unsafe remedy that was chosen.

    Args:
        remedy: The remedy.
        codes: The code, or its beginning; empty for every rule that has the remedy.
        place: The collection, and a declared path in it, that it is chosen for; empty for all.
        by: The field by which documents are older and newer; empty for their ``_id``.
    """

    remedy: Remedy
    codes: str = ""
    place: str = ""
    by: str = ""

    def fits(self, violation: Violation) -> bool:
        """Whether it says something of a violation."""
        rule = BY_CODE.get(violation.code)
        if rule is None or self.remedy not in rule.remedies or not violation.code.startswith(self.codes):
            return False
        return self.place in {"", violation.collection, f"{violation.collection}.{violation.field}"}

    @property
    def weight(self) -> tuple[int, int]:
        """How particular it is: a place before a code, a code before a family, a family before all."""
        return self.place.count(".") + bool(self.place), len(self.codes)

    def __str__(self) -> str:
        left = self.codes + (f"@{self.place}" if self.place else "")
        return (f"{left}=" if left else "") + self.remedy.name + (f":{self.by}" if self.by else "")


class Choices:
    """The remedies that were chosen.

    Args:
        texts: Each ``[CODE[@COLLECTION[.PATH]]=]REMEDY``, a ``keep-`` remedy also with ``:FIELD``.

    Raises:
        RepairError: One says nothing that can be done.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.chosen = tuple(map(_parsed, texts))

    def of(self, violation: Violation) -> Iterator[Choice]:
        """Yield what may be done about a violation: the safe remedies of its rule, then the most particular choice."""
        rule = BY_CODE.get(violation.code)
        for each in rule.remedies if rule is not None else ():
            if each.safe:
                yield Choice(each)
        fitting = [each for each in self.chosen if each.fits(violation)]
        if fitting:
            yield max(fitting, key=lambda each: each.weight)

    def __iter__(self) -> Iterator[Choice]:
        return iter(self.chosen)


def _parsed(text: str) -> Choice:
    left, equals, right = text.strip().rpartition("=")
    name, _, by = right.strip().partition(":")
    remedy = _BY_NAME.get(name.lower())
    codes, at, place = left.strip().partition("@")
    codes = codes.strip().upper()
    if remedy is None:
        known = ", ".join(each.name for each in REMEDIES if not each.safe)
        raise RepairError(f"--unsafe {text}: {name!r} is no remedy; write CODE=REMEDY, with one of {known}.")
    if remedy.safe:
        raise RepairError(f"--unsafe {text}: {name} is safe, and done without being asked for.")
    if (equals and not codes) or (at and not place):
        raise RepairError(f"--unsafe {text}: write CODE=REMEDY or CODE@COLLECTION.PATH=REMEDY.")
    rules = [each for each in RULES if each.code.startswith(codes)]
    if not rules:
        raise RepairError(f"--unsafe {text}: no rule has the code {codes!r}; `integrity rule` lists them.")
    if not any(remedy in each.remedies for each in rules):
        ways = sorted({each.name for rule in rules for each in rule.remedies if not each.safe})
        way = f"{codes} has {', '.join(ways)}" if ways else f"{codes} has none that can be chosen"
        raise RepairError(f"--unsafe {text}: {name} is no remedy for it; {way}.")
    if by and remedy not in {KEEP_OLDEST, KEEP_NEWEST}:
        raise RepairError(f"--unsafe {text}: only keep-oldest and keep-newest go by a field.")
    return Choice(remedy, codes, place.strip(), by.strip())
