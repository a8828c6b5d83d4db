"""What is to be done to the server so that it enforces what is declared: a value, printed by ``--dry-run``.

Nothing is dropped that this library did not create, unless it is told to prune; what is only different is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from integrity.declare.registry import Registry
from integrity.declare.stage import Constraint, Stage, Stages
from integrity.server.actual import OWN, Actual, Collection
from integrity.server.drift import Drift, drift, ours, stage_of
from integrity.server.indexes import Index

Act = Literal[
    "create collection", "set validator", "drop validator", "create index", "unhide index", "make unique",
    "rebuild index", "drop index",
]  # fmt: skip

#: https://www.mongodb.com/docs/manual/core/index-creation/ and .../reference/command/collMod/
_BUILDS = "reads {documents:,} documents; writes go on, but for a moment at its beginning and its end"
_LOCKS = "locks the collection for a moment; no document is read"
_REBUILDS = "is dropped and built again over {documents:,} documents; between the two nothing does its work"
_VALIDATES = "refuses new faults at once, then reads {documents:,} documents for old ones"
_CONVERTS = "refuses new duplicates at once, then looks through the index for old ones; no document is read"


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Args:
        act: What is done.
        collection: To which collection.
        what: To what in it: ``"validator"``, or an index's name.
        cost: What it locks or builds.
        stage: The stage that it leads to.
        index: The declared index, where it is about one.
        constraint: What it is for.
    """

    act: Act
    collection: str
    what: str
    cost: str
    stage: Stage = Stage.ENFORCED
    index: Index | None = None
    constraint: Constraint | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the step as a JSON-ready dict."""
        return {
            "act": self.act,
            "collection": self.collection,
            "what": self.what,
            "stage": str(self.stage),
            "cost": self.cost,
        }

    def __str__(self) -> str:
        what = "" if self.act == "create collection" else f" {self.what}"
        stage = "" if self.stage is Stage.ENFORCED or self.act == "drop index" else f" (stage {self.stage})"
        act, _, noun = self.act.partition(" ")
        named = noun if noun in {"collection", "validator", "unique"} else f"{noun}{what}"
        subject = f"{act} {named}" + (what if self.act == "make unique" else "")
        return f"{self.collection}: {subject}{stage}; {self.cost}"


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what is not.

    Args:
        steps: In this order.
        left: Differences that are left as they are.
        notes: What somebody should know, in sentences.
    """

    steps: tuple[Step, ...] = ()
    left: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON-ready dict."""
        return {
            "steps": [each.to_json() for each in self.steps],
            "left": [each.to_json() for each in self.left],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [str(each) for each in self.steps] or ["Nothing is to be done."]
        lines += [f"left as it is: {each}" for each in self.left]
        return "\n".join([*lines, *self.notes])


def plan(
    registry: Registry, stages: Stages, actual: Actual, *, prune: bool = False, known: frozenset[str] = frozenset()
) -> Plan:
    """Return what is to be done.

    Args:
        registry: The declarations.
        stages: How far each constraint has been introduced.
        actual: What the server reports.
        prune: Whether what nothing declares is dropped, and foreign validators replaced.
        known: The collections whose validator was set by this library before: whoever changed it, it is replaced.
    """
    steps: list[Step] = []
    left: list[Drift] = []
    notes: list[str] = []
    for entry in registry:
        collection = actual.declared.get(entry.collection)
        if collection is None:
            stage = stage_of(stages, Constraint(entry.collection, "schema"))
            steps.append(Step("create collection", entry.collection, "collection", "takes no time", stage))
        elif collection.kind != "collection":
            notes.append(
                f"{entry.collection}: is a {collection.kind}, which has no validator and no unique index; "
                "what it shows is enforced where it is stored."
            )
    for each in drift(registry, stages, actual):
        if each.collection.startswith(OWN):
            steps.append(Step("create index", each.collection, each.what, "the collection is small"))
            continue
        collection = actual.declared.get(each.collection)
        if collection is None and each.what == "validator":
            continue  # created with it
        made = list(_steps(each, registry, stages, collection or Collection(each.collection), prune=prune, known=known))
        steps += made
        if not made:
            left.append(each)
    # What is extra goes last: it may do the work of what is missing until that is there.
    steps.sort(key=lambda step: step.act == "drop index")
    return Plan(tuple(steps), tuple(left), tuple(notes))


def _steps(
    each: Drift,
    registry: Registry,
    stages: Stages,
    collection: Collection,
    *,
    prune: bool,
    known: frozenset[str],
) -> Iterator[Step]:
    rule = each.rule.code
    if each.what == "validator" and each.constraint is not None:
        entry = registry.by_collection(each.collection)
        assert entry is not None
        stage = stage_of(stages, each.constraint)
        if each.how == "extra":
            yield Step("drop validator", each.collection, "validator", _LOCKS, stage, constraint=each.constraint)
        elif each.how == "missing" or prune or ours(entry, collection) or each.collection in known:
            cost = _VALIDATES.format(documents=collection.documents) if stage is Stage.ENFORCED else _LOCKS
            yield Step("set validator", each.collection, "validator", cost, stage, constraint=each.constraint)
    elif each.index is not None:
        yield from _index_steps(each, each.index, stages, collection)
    elif each.how == "extra" and rule == "DRF001" and prune:
        yield Step("drop index", each.collection, each.what, "is hidden first; locks the collection for a moment")


def _index_steps(each: Drift, index: Index, stages: Stages, collection: Collection) -> Iterator[Step]:
    stage = stage_of(stages, index.constraint)
    building = _BUILDS.format(documents=collection.documents)
    if each.how == "missing":
        yield Step("create index", each.collection, index.name, building, stage, index, index.constraint)
        return
    reported = collection.indexes[index.name]
    act, cost = change(index, reported, stage), _LOCKS
    if act == "rebuild index":
        cost = _REBUILDS.format(documents=collection.documents)
    elif act == "make unique" and stage is Stage.ENFORCED:
        cost = _CONVERTS
    yield Step(act, each.collection, index.name, cost, stage, index, index.constraint)


def change(index: Index, reported: Mapping[str, Any], stage: Stage) -> Act:
    """Return how an index that is different becomes as declared: by ``collMod`` where MongoDB can."""
    without = {name: value for name, value in reported.items() if name != "hidden"}
    if not index.differences(without, stage):
        return "unhide index"
    undecided = {name: value for name, value in without.items() if name not in {"unique", "prepareUnique"}}
    if "unique" not in reported and not index.differences(undecided, Stage.WARN):
        return "make unique"
    return "rebuild index"
