"""Drift: where the server differs from the declarations. Pure: what is declared and what is reported go in.

Indexes are compared by what the server reports of them: key, uniqueness, collation, partial filter and every other
option. A validator is compared byte by byte, as BSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import bson
from bson.codec_options import CodecOptions

from integrity.declare.registry import Entry, Registry
from integrity.declare.stage import Constraint, Stage, Stages
from integrity.rules.drift import missing_index, missing_validator, undeclared_collection, unindexed_reference
from integrity.rules.rule import At, Fault, Rule
from integrity.server import side
from integrity.server.actual import Actual, Collection
from integrity.server.indexes import Index, indexes
from integrity.server.validator import validator
from integrity.store.codecs import CODEC
from integrity.violation import Violation

How = Literal["missing", "different", "extra"]

_CODEC: CodecOptions[Any] = CodecOptions(**CODEC)


@dataclass(frozen=True)
class Drift:
    """One difference.

    Args:
        rule: DRF001 to DRF004.
        how: ``"missing"``, ``"different"`` or ``"extra"``.
        collection: The collection's name.
        what: What differs: ``"validator"``, an index's name, ``"collection"``.
        fault: The difference in words, and the way out.
        constraint: What it is for; None for what nothing declares.
        index: The declared index, where it is about one.
    """

    rule: Rule
    how: How
    collection: str
    what: str
    fault: Fault
    constraint: Constraint | None = None
    index: Index | None = None

    @property
    def violation(self) -> Violation:
        """The difference as a violation of the collection as a whole, at the path of its constraint."""
        path = self.constraint.path if self.constraint else ""
        return self.rule.violation(At(self.collection, None, path, path), self.fault)

    def to_json(self) -> dict[str, Any]:
        """Return the difference as a JSON-ready dict."""
        return {
            "code": self.rule.code,
            "how": self.how,
            "collection": self.collection,
            "what": self.what,
            "constraint": self.constraint.name if self.constraint else None,
            "message": self.fault.message,
            "hint": self.fault.hint,
        }

    def __str__(self) -> str:
        return f"{self.rule.code} {self.collection}: {self.what} {self.fault.message}"


@dataclass(frozen=True)
class Enforcement:
    """How the server is to apply a validator at a stage.

    Args:
        level: ``validationLevel``: whether documents that are already at fault may be updated.
        action: ``validationAction``: whether faults are refused or logged.
    """

    level: str
    action: str


#: https://www.mongodb.com/docs/manual/core/schema-validation/specify-validation-level/
ENFORCEMENT: Mapping[Stage, Enforcement] = {
    Stage.WARN: Enforcement("strict", "warn"),
    Stage.MODERATE: Enforcement("moderate", "error"),
    Stage.ENFORCED: Enforcement("strict", "error"),
}


def drift(registry: Registry, stages: Stages, actual: Actual) -> tuple[Drift, ...]:
    """Return every difference, collection by collection.

    Args:
        registry: The declarations.
        stages: How far each constraint has been introduced; what is not recorded is to be enforced.
        actual: What the server reports.
    """
    found: list[Drift] = []
    for entry in registry:
        collection = actual.declared.get(entry.collection)
        if collection is None:
            collection = Collection(entry.collection)
        if collection.kind != "collection":
            continue  # a view has neither; what it shows is enforced where it is stored
        found += _validator(entry, stages, collection)
        found += _indexes(entry, stages, collection)
    found += [
        Drift(missing_index.RULE, "missing", collection, index, missing_index.OWN)
        for collection, index in side.missing(registry, actual.own)
    ]
    found += [
        Drift(undeclared_collection.RULE, "extra", name, "collection", undeclared_collection.FAULT)
        for name in actual.undeclared
    ]
    return tuple(found)


def stage_of(stages: Stages, constraint: Constraint) -> Stage:
    """Return the stage that the server is to be at."""
    return stages.of(constraint) or Stage.ENFORCED


def _validator(entry: Entry, stages: Stages, collection: Collection) -> Iterator[Drift]:
    constraint = Constraint(entry.collection, "schema")
    stage = stage_of(stages, constraint)
    rule = missing_validator.RULE
    if stage is Stage.DECLARED:
        if ours(entry, collection):
            fault = missing_validator.different(["it is there, and its stage is declared"])
            yield Drift(rule, "extra", entry.collection, "validator", fault, constraint)
        return
    if not collection.validator:
        yield Drift(rule, "missing", entry.collection, "validator", missing_validator.FAULT, constraint)
        return
    wanted, differences = ENFORCEMENT[stage], []
    foreign = not ours(entry, collection) and stages.of(constraint) is None
    if not same(validator(entry), collection.validator):
        differences.append("its expression is another")
    level = collection.options.get("validationLevel", "strict")
    action = collection.options.get("validationAction", "error")
    if level != wanted.level:
        differences.append(f"validationLevel is {level}, not {wanted.level}")
    if action != wanted.action:
        differences.append(f"validationAction is {action}, not {wanted.action}")
    if differences:
        fault = missing_validator.different(differences, foreign=foreign)
        yield Drift(rule, "different", entry.collection, "validator", fault, constraint)


def ours(entry: Entry, collection: Collection) -> bool:
    """Whether a collection's validator is one that this library has made, edited or not."""
    schema = collection.validator.get("$jsonSchema")
    return isinstance(schema, Mapping) and schema.get("title") == entry.name


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two validators are the same BSON."""
    return bson.encode(first, codec_options=_CODEC) == bson.encode(second, codec_options=_CODEC)


def _indexes(entry: Entry, stages: Stages, collection: Collection) -> Iterator[Drift]:
    # A clustered collection is its own index over `_id`, whatever its name is: it cannot be dropped.
    used = {"_id_", *(name for name, each in collection.indexes.items() if each.get("clustered"))}
    for index in indexes(entry):
        stage = stage_of(stages, index.constraint)
        found = _index(index, stage, collection, used)
        if found is not None:
            yield found
    for name in collection.indexes.keys() - used:
        yield Drift(missing_index.RULE, "extra", entry.collection, name, missing_index.EXTRA)


def _index(index: Index, stage: Stage, collection: Collection, used: set[str]) -> Drift | None:
    rule = missing_index.RULE if index.unique else unindexed_reference.RULE
    own = collection.indexes.get(index.name)
    if own is not None:
        used.add(index.name)
    if stage is Stage.DECLARED:
        if own is None or not (own.get("unique") or own.get("prepareUnique")):
            return None
        fault = missing_index.different(["it refuses duplicates, and its stage is declared"])
        return Drift(rule, "different", index.collection, index.name, fault, index.constraint, index)
    differences = index.differences(own, stage) if own is not None else []
    if own is not None and not differences:
        return None
    serving = next((name for name, each in collection.indexes.items() if index.served_by(each, stage)), None)
    if serving is not None and own is None:
        used.add(serving)
        return None
    if own is None:
        fault = missing_index.missing(index.keys) if index.unique else unindexed_reference.missing(index.keys)
        return Drift(rule, "missing", index.collection, index.name, fault, index.constraint, index)
    fault = missing_index.different(differences)
    return Drift(rule, "different", index.collection, index.name, fault, index.constraint, index)
