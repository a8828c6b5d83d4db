"""The verdict over one document, by every rule that needs nothing but the document.

A clean document is told by a fast validator that has the policy in it, and a quick look at what that does not see
through; only what fails is walked, to say what is wrong in words.
"""

from __future__ import annotations

import copy as copying
import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from bson import ObjectId
from pydantic import BaseModel
from pydantic_core import ValidationError

from integrity.declare import codec, shape
from integrity.declare.object_ids import object_ids
from integrity.declare.registry import Entry
from integrity.declare.reserved import CONDEMNED
from integrity.rules import key as keys
from integrity.rules.quick import checker, unlooked
from integrity.rules.rule import At
from integrity.rules.schema import unknown_field, wrong_type
from integrity.rules.translation import faulty_fields, from_pydantic
from integrity.rules.walk import Found, Walk, dotted, encodable, policy_fault
from integrity.violation import Violation

__all__ = ["Judge", "Verdict", "dotted", "policy_fault"]

#: What is an ``_id`` like any other.
_KEYS = frozenset({ObjectId, int, str, uuid.UUID, dt.datetime})
_OFFERED, _STORED = Walk(stored=False), Walk(stored=True)


class Verdict(NamedTuple):  # and no data class: ten thousand are made in a bulk
    """What is known of one document.

    Args:
        document: The document as it would be stored (a write), or as it is stored (an audit).
        violations: What is wrong with it; empty when nothing is.
    """

    document: dict[str, Any]
    violations: tuple[Violation, ...] = ()


class Judge:
    """Judges the documents of one model.

    Args:
        entry: The model's entry in the registry.

    Attributes:
        told: Whether the fast validator tells everything of what it passes.
        told_ids: The types of an ``_id`` with which it does.
        generates: Whether no ``_id`` becomes a new ObjectId, and no function sees that none was given.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        # Where any name is let in, the library's own is not.
        self._open = not entry.document.closed
        declared = entry.document.fields.get("_id")
        # Where an _id of any type may stand, or an object: what MongoDB refuses as one is refused here.
        self._any_id = declared is not None and (declared.node.anything or bool(declared.node.objects))
        self._write_check = checker(entry.document, entry.policy, stored=False, whole=entry.loose)
        self._stored_check = checker(entry.document, entry.policy, stored=True, whole=entry.loose_stored)
        self.told = self._write_check is None and not (self._open or self._any_id)
        told = frozenset[type]() if self._open else unlooked(entry.document, entry.policy, whole=entry.loose)
        self.told_ids = told & _KEYS
        self.generates = _generates(entry)

    @cached_property
    def look(self) -> Callable[[Any], Any]:
        """The fast validator: makes a mapping what is stored, or raises pydantic's ``ValidationError``."""
        return self.entry.write_glance.validate_python

    def offered(self, document: Mapping[str, Any] | BaseModel) -> Verdict:
        """Judge a document that is to be written, and make it what is stored.

        Args:
            document: A mapping, or an instance of the model (or of any model with these fields).
        """
        # Before anything reads it: the second look would find it empty, and let that pass.
        if (path := codec.read_once(document)) is not None:
            given = codec.plain(document)
            return Verdict(
                given, self._violations(given, [(wrong_type.RULE, wrong_type.ONCE, path, tuple(map(_step, path)))])
            )
        made = self.glance(document)
        if made is not None:
            return Verdict(made)
        # Models inside a dict: dicts are validated, not instances. What PyMongo read as a DBRef is an object.
        given = codec.plain(document)
        if codec.holds_reference(given):
            given = codec.objects(given)
        try:
            made = self.entry.write_validator.validate_python(given)
        except ValidationError as error:
            return Verdict(given, self._refused(given, error))
        found = list(_STORED.object(made, self.entry.document, (), (), self.entry.policy))
        if self._open and CONDEMNED in made:
            found.append((unknown_field.RULE, unknown_field.RESERVED, (CONDEMNED,), (CONDEMNED,)))
        return Verdict(made, self._violations(made, self._keyed(made, found)))

    def key(self, document: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Say what MongoDB would refuse in the ``_id`` of a document that is to be stored."""
        return self._violations(document, self._key_faults(document))

    def _keyed(self, document: Mapping[str, Any], found: Iterable[Found]) -> list[Found]:
        """Return what is found in a document that is to be stored, and what MongoDB would refuse in its ``_id``."""
        found = list(found)
        known = {path for _, _, path, _ in found}
        return [*found, *(each for each in self._key_faults(document) if each[2] not in known)]

    def _key_faults(self, document: Mapping[str, Any]) -> list[Found]:
        offered = document.get("_id")
        return [] if not self._any_id or type(offered) in _KEYS else list(keys.faults(offered))

    def glance(self, document: Mapping[str, Any] | BaseModel) -> dict[str, Any] | None:
        """Make a document that is to be written what is stored, if the fast validator tells it to be clean.

        None says nothing: it is to be judged by `offered`.
        """
        try:
            made: dict[str, Any] = self.look(document if type(document) is dict else codec.plain(document))
        except ValidationError:
            return None
        return made if self.told or type(made.get("_id")) in self.told_ids or self.passes(made) else None

    def passes(self, made: dict[str, Any]) -> bool:
        """Whether nothing is wrong in what the fast validator has passed and does not see through."""
        if self._write_check is not None and not self._write_check(made):
            return False
        if self._open and CONDEMNED in made:
            return False
        # Most ids are told by their type, without a call.
        return not (self._any_id and type(made.get("_id")) not in _KEYS and self._key_faults(made))

    def clean(self, documents: Sequence[Mapping[str, Any] | BaseModel]) -> list[dict[str, Any]] | None:
        """Make documents that are to be written what is stored, all at once.

        Returns:
            What is stored; None where any of them is not told to be clean by the fast validator, so that each is to
            be judged by `offered`.
        """
        given = [each if type(each) is dict else codec.plain(each) for each in documents]
        if self.generates:
            self._identify(given)
        try:
            made = list(map(self.look, given))
        except ValidationError:
            return None
        if self.told or {type(each.get("_id")) for each in made} <= self.told_ids:
            return made
        if self._open and any(CONDEMNED in each for each in made):
            return None
        if self._any_id and not {type(each.get("_id")) for each in made} <= _KEYS and any(map(self._key_faults, made)):
            return None
        return made if self._write_check is None or all(map(self._write_check, made)) else None

    def _identify(self, given: list[dict[str, Any]]) -> None:
        """Put in place of each document that has no ``_id`` one that has what its model would generate."""
        lacking = [at for at, each in enumerate(given) if "_id" not in each and "id" not in each]
        for at, generated in zip(lacking, object_ids(len(lacking)), strict=True):
            given[at] = {**given[at], "_id": generated}

    def stored(self, document: dict[str, Any]) -> tuple[Violation, ...]:
        """Judge a document that was read from the database, strictly by its BSON types."""
        if CONDEMNED in document:  # the library's own, while a delete is under way
            document = {name: value for name, value in document.items() if name != CONDEMNED}
        try:
            made = self.entry.stored_glance.validate_python(document)
        except ValidationError:
            pass
        else:
            # JavaScript code is a string to pydantic, and comes out as a plain one: it is not equal to itself then.
            typed = made == document or not codec.holds_code(document)
            if typed and (self._stored_check is None or self._stored_check(document)):
                return ()
        if codec.holds_reference(document):
            document = codec.objects(document)
        found = list(_STORED.object(document, self.entry.document, (), (), self.entry.policy))
        # Pydantic reads no such name, and would say nothing else of the document.
        unknown = (path for rule, _, path, _ in found if rule is unknown_field.RULE)
        if unreadable := [path for path in unknown if not encodable(str(path[-1]))]:
            document = _without(document, unreadable)
        try:
            self.entry.stored_validator.validate_python(document)
        except ValidationError as error:
            found += from_pydantic(error, document, self.entry.document, found)
        return self._violations(document, found)

    def is_clean(self, document: dict[str, Any]) -> bool:
        """Whether the fast validator tells a stored document, without the library's own field, to be clean.

        False says nothing: it is to be judged by `stored`.
        """
        try:
            made = self.entry.stored_glance.validate_python(document)
        except ValidationError:
            return False
        # As `stored` does: what is not equal to itself may be code, and NaN is looked at one by one.
        return bool(made == document) and (self._stored_check is None or self._stored_check(document))

    def _refused(self, given: dict[str, Any], error: ValidationError) -> tuple[Violation, ...]:
        """Say what is wrong with a document that cannot be made what is stored.

        Fields that can be are judged by what becomes of them, the others by what was offered.
        """
        entry = self.entry
        if "_id" not in given and "id" in given and "id" in entry.key_names:
            given = {"_id": given["id"], **{name: each for name, each in given.items() if name != "id"}}
        if entry.computed:
            return self._violations(given, self._keyed(given, from_pydantic(error, given, entry.document, [])))
        wrong = faulty_fields(error, given, entry.document)
        rest = {name: each for name, each in given.items() if name not in wrong}
        try:
            made = entry.partial_validator.validate_python(rest)
        except ValidationError:  # a function that answers differently the second time
            made, wrong = {}, set(given)
        policy = entry.document.policy or entry.policy
        found: list[Found] = []
        for name, each in entry.document.fields.items():
            if name in made:
                found += _STORED.value(made[name], each.node, (name,), (name,), policy)
            elif name in wrong and name in given:
                found += _OFFERED.value(given[name], each.node, (name,), (name,), policy)
        found += from_pydantic(error, given, entry.document, found)
        return self._violations(given, self._keyed({**given, **made}, found))

    def _violations(self, document: Mapping[str, Any], found: Iterable[Found]) -> tuple[Violation, ...]:
        entry = self.entry
        return tuple(
            rule.violation(At(entry.collection, document.get("_id"), dotted(path), shape.declared_path(field)), fault)
            for rule, fault, path, field in found
        )


def _generates(entry: Entry) -> bool:
    declared = entry.document.fields.get("_id")
    if declared is None or declared.default is None or entry.loose:
        return False
    inner = declared.default.get("schema", {})
    plain = inner.get("type") == "any" or shape.coerces(inner)
    return plain and declared.default.get("default_factory") is ObjectId


def _without(document: dict[str, Any], paths: Iterable[tuple[str | int, ...]]) -> dict[str, Any]:
    """Return a document without some fields."""
    made = copying.deepcopy(document)
    for *steps, name in paths:
        holder: Any = made
        for step in steps:
            holder = holder[step]
        del holder[name]
    return made


def _step(step: str | int) -> str:
    return "[]" if isinstance(step, int) else step
