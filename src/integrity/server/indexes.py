"""The indexes that the declarations need: for unique constraints, for references, for the library's own collections.

A reference is looked up from its target's side whenever the target is deleted or its key changes, and its keys are
read in order by the audit: without an index on it, each of these reads the whole collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrity.declare.index import PREFIX, UniqueIndex, unique_indexes
from integrity.declare.registry import Entry, Reference
from integrity.declare.stage import Constraint, Stage

#: What a collation is where it is not said, but for the locale and the version of its tables.
#: https://www.mongodb.com/docs/manual/reference/collation/#collation-document
_COLLATION = {
    "caseLevel": False, "caseFirst": "off", "strength": 3, "numericOrdering": False, "alternate": "non-ignorable",
    "maxVariable": "punct", "normalization": False, "backwards": False,
}  # fmt: skip
#: What an index says of itself that is no choice of anybody's.
_INCIDENTAL = frozenset({"v", "key", "name", "ns", "background"})


@dataclass(frozen=True)
class Index:
    """An index that a constraint needs.

    Args:
        collection: The collection's name.
        name: The name that it is created under.
        keys: The dotted names of its fields.
        constraint: What it is for.
        unique: Whether it is to refuse duplicates in the end.
        collation: Its collation; None for the plain order of bytes, whatever the collection's own is.
        partial: Its partial filter.
    """

    collection: str
    name: str
    keys: tuple[str, ...]
    constraint: Constraint
    unique: bool = False
    collation: Mapping[str, Any] | None = field(default=None, hash=False)
    partial: Mapping[str, Any] | None = field(default=None, hash=False)

    def options(self, stage: Stage) -> dict[str, Any]:
        """Return the options that it has at a stage, as the server reports them."""
        found: dict[str, Any] = {}
        if self.unique and stage is Stage.ENFORCED:
            found["unique"] = True
        if self.unique and stage is Stage.MODERATE:
            found["prepareUnique"] = True
        if self.collation is not None:
            found["collation"] = dict(self.collation)
        if self.partial is not None:
            found["partialFilterExpression"] = dict(self.partial)
        return found

    def specification(self, stage: Stage) -> dict[str, Any]:
        """Return what ``createIndexes`` is given."""
        options = self.options(stage)
        if self.collation is None:
            # A collection's default collation would be taken over.
            options["collation"] = {"locale": "simple"}
        return {"name": self.name, "key": dict.fromkeys(self.keys, 1), **options}

    def differences(self, reported: Mapping[str, Any], stage: Stage) -> list[str]:
        """Return what is different about an index that the server reports, in words; nothing when it is this one."""
        found = []
        keys = [(name, _direction(direction)) for name, direction in reported["key"]]
        if keys != [(name, 1) for name in self.keys]:
            found.append(f"its key is {_shown(dict(keys))}, not {_shown(dict.fromkeys(self.keys, 1))}")
        wanted, actual = self.options(stage), options(reported)
        if "collation" in wanted:
            wanted["collation"] = {**_COLLATION, **wanted["collation"]}
        for name in sorted(wanted.keys() | actual.keys()):
            if name not in actual:
                found.append(f"{name} is not set, not {_shown(wanted[name])}")
            elif name not in wanted:
                found.append(f"{name} is {_shown(actual[name])}, and is not declared")
            elif wanted[name] != actual[name]:
                found.append(f"{name} is {_shown(actual[name])}, not {_shown(wanted[name])}")
        return found

    def served_by(self, reported: Mapping[str, Any], stage: Stage) -> bool:
        """Whether another index does the same work: somebody else's, under another name."""
        if reported.get("hidden") or reported.get("sparse") or "expireAfterSeconds" in reported:
            return False
        if self.unique and stage is Stage.ENFORCED:
            return UniqueIndex(self.collection, self.keys, self.collation, self.partial).kept_by(reported)
        if self.unique:
            return False
        if _direction(reported["key"][0][1]) not in {1, -1} or reported["key"][0][0] != self.keys[0]:
            return False
        if "collation" in reported:
            return False
        partial = reported.get("partialFilterExpression")
        return partial is None or _covers(partial, self.keys[0])


def options(reported: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an index that the server reports, as far as somebody chose them."""
    found = {name: value for name, value in reported.items() if name not in _INCIDENTAL and value is not False}
    if "collation" in found:
        found["collation"] = {name: value for name, value in found["collation"].items() if name != "version"}
    if "partialFilterExpression" in found:
        found["partialFilterExpression"] = {
            name: dict(each) if isinstance(each, Mapping) else each
            for name, each in found["partialFilterExpression"].items()
        }
    return found


def indexes(entry: Entry) -> tuple[Index, ...]:
    """Return the indexes of a model's collection: unique constraints first, then references that have none yet."""
    found = [_of_unique(entry, each) for each in unique_indexes(entry)]
    seen: set[str] = set()
    for reference in entry.references:
        made = _of_reference(entry, reference)
        if made is None or made.keys[0] in seen or any(each.keys[0] == made.keys[0] and _plain(each) for each in found):
            continue
        seen.add(made.keys[0])
        found.append(made)
    return tuple(found)


def _of_unique(entry: Entry, index: UniqueIndex) -> Index:
    path = next(each.path for each in entry.uniques if tuple(map(_dotted, each.places)) == index.keys)
    constraint = Constraint(entry.collection, "unique", path)
    return Index(entry.collection, index.name, index.keys, constraint, True, index.collation, index.partial)  # noqa: FBT003 - unique


def _of_reference(entry: Entry, reference: Reference) -> Index | None:
    if "*" in reference.place.steps or reference.place.steps == ("_id",):
        return None
    path = _dotted(reference.place)
    constraint = Constraint(entry.collection, "reference", reference.path)
    return Index(entry.collection, f"{PREFIX}reference_{path}", (path,), constraint)


def _dotted(place: Any) -> str:
    return ".".join(step for step in place.steps if step != "[]")


def _plain(index: Index) -> bool:
    """Whether a unique index also finds the documents that refer to something."""
    return index.collation is None and (index.partial is None or _covers(index.partial, index.keys[0]))


def _covers(partial: Mapping[str, Any], path: str) -> bool:
    """Whether every value that refers to something lies inside a partial filter, and the planner can tell."""
    return partial.keys() == {path} and isinstance(partial[path], Mapping) and set(partial[path]) == {"$gte"}


def _direction(value: Any) -> Any:
    return int(value) if isinstance(value, int | float) else value


def _shown(value: Any) -> str:
    return " ".join(repr(value).split())
