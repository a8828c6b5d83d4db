"""What the derived fields of a document are computed to be. Pure: the document itself says all of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from integrity.declare import codec
from integrity.declare.equality import same
from integrity.declare.extract import ABSENT, Path, value_at, values_at
from integrity.declare.registry import Entry
from integrity.declare.shape import Place
from integrity.declare.slot import VALUE, slot_at
from integrity.rules.judge import Judge, dotted
from integrity.rules.ownership import wrong_derivation
from integrity.rules.rule import At
from integrity.violation import Violation

Document = dict[str, Any]


@dataclass(frozen=True)
class Derivation:
    """What one derived field is computed to be.

    Args:
        place: The declared place.
        path: Where it stands in the document.
        value: Its value as it is stored; `ABSENT` where it cannot be computed.
        stands: What stands there; `ABSENT` where nothing does.
        error: What the method raised; empty when it answered.
    """

    place: Place
    path: Path
    value: Any
    stands: Any
    error: str = ""

    @property
    def agrees(self) -> bool:
        """Whether what stands there is what is computed."""
        return not self.error and (same(self.stands, self.value) or (self.stands is ABSENT and self.value is None))

    def violation(self, collection: str, document: Document) -> Violation:
        """Return what is wrong, where it does not agree."""
        at = At(collection, document.get("_id"), dotted(self.path), self.place.path)
        stands = None if self.stands is ABSENT else self.stands
        fault = wrong_derivation.failed(self.error) if self.error else wrong_derivation.fault(stands, self.value)
        return wrong_derivation.RULE.violation(at, fault)


def derivations(entry: Entry, document: Document) -> list[Derivation]:
    """Return what the derived fields of a document are computed to be.

    Args:
        entry: The model.
        document: The document, as it is stored or is offered.

    Returns:
        One for each place; none for a document that is no valid one without them: that is a fault of its own.
    """
    if not entry.derived:
        return []
    try:
        made = entry.reader.validate_python(_without(entry, document))
    except ValidationError:
        return []
    return [each for place in entry.derived for each in _at(entry, place, document, made)]


def put(document: Document, derived: list[Derivation]) -> None:
    """Put computed values where they belong, in place."""
    for each in derived:
        holder = value_at(document, each.path[:-1])
        if not each.error and not each.agrees and isinstance(holder, dict):
            holder[each.path[-1]] = each.value


def _at(entry: Entry, place: Place, document: Document, made: Any) -> Iterator[Derivation]:
    name = place.steps[-1]
    for path, holder in values_at(document, place.steps[:-1]):
        if not isinstance(holder, dict):
            continue
        instance = made
        for step in path:
            instance = _step(instance, step)
        method = _method(instance, name)
        if method is None:  # another model of a union
            continue
        stands = holder.get(name, ABSENT)
        try:
            value = _stored(entry, place, method.function(instance))
        except Exception as error:  # noqa: BLE001 - the method is the user's
            yield Derivation(place, (*path, name), ABSENT, stands, f"{type(error).__name__}: {error}")
        else:
            yield Derivation(place, (*path, name), value, stands)


def _step(instance: Any, step: str | int) -> Any:
    if isinstance(instance, BaseModel):
        names = {stored: attribute for attribute, stored in codec.stored_names(type(instance))}
        return getattr(instance, names.get(str(step), str(step)), None)
    try:
        return instance[step]
    except (TypeError, KeyError, IndexError):
        return None


def _method(instance: Any, name: str) -> Any:
    if not isinstance(instance, BaseModel):
        return None
    for attribute, stored in codec.stored_names(type(instance)):
        if stored == name:
            return getattr(type(instance), "__integrity_derived__", {}).get(attribute)
    return None


def _stored(entry: Entry, place: Place, value: Any) -> Any:
    """Return a computed value as it is stored: as a write would coerce it."""
    verdict = _judge(entry, place).offered({VALUE: value})
    return codec.encode(codec.plain(value)) if verdict.violations else verdict.document[VALUE]


def _judge(entry: Entry, place: Place) -> Judge:
    known: dict[tuple[str, ...], Judge] = entry.__dict__.setdefault("_derived_judges", {})
    found = known.get(place.steps)
    if found is None:
        found = known[place.steps] = Judge(slot_at(entry, place.steps).judged)
    return found


def _without(entry: Entry, document: Document) -> Document:
    """Return a document without its derived fields: what it is computed from."""
    if all(len(each.steps) == 1 for each in entry.derived):
        names = {each.steps[0] for each in entry.derived}
        return {name: value for name, value in document.items() if name not in names}
    bare = copy.deepcopy(document)
    for place in entry.derived:
        for path, _ in list(values_at(bare, place.steps)):
            holder = value_at(bare, path[:-1])
            if isinstance(holder, dict):
                del holder[path[-1]]
    return bare
