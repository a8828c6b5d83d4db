"""Aggregation pipelines as updates: their outcome is judged, except for one that only sets constants.

Source: https://www.mongodb.com/docs/manual/tutorial/update-documents-with-aggregation-pipeline/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrity.errors import UnguardedWrite
from integrity.violation import quote
from integrity.writes.updates import values
from integrity.writes.updates.draft import Draft
from integrity.writes.updates.plan import Touched

_SETS = frozenset({"$set", "$addFields"})
_WHOLE = frozenset({"$replaceWith", "$replaceRoot", "$project"})


def plan(draft: Draft, stages: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Plan a pipeline and return what is to be sent."""
    for stage in stages:
        if not isinstance(stage, Mapping) or len(stage) != 1:
            raise UnguardedWrite(f"{draft.entry.collection}: {quote(stage)} is no stage of a pipeline.")
    if len(stages) == 1 and (constants := _constants(draft, stages[0])) is not None:
        name = next(iter(stages[0]))
        made = {path: values.set_value(draft, name, draft.targets[path], value) for path, value in constants.items()}
        return [{name: {path: _literal(value) for path, value in made.items()}}]
    for stage in stages:
        _touch(draft, *next(iter(stage.items())))
    draft.doubt("the outcome of a pipeline is known to the server alone")
    return stages


def _constants(draft: Draft, stage: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the fields of a stage that only sets top-level fields to constants, or None."""
    name, operand = next(iter(stage.items()))
    if name not in _SETS or not isinstance(operand, Mapping) or not operand:
        return None
    for path, value in operand.items():
        if "." in path or path == "_id" or isinstance(value, Mapping | list | tuple):
            return None
        if isinstance(value, str) and value.startswith("$"):
            return None
        if draft.targets[path].slot.node.types & {"object", "array"} or not draft.targets[path].slot.known:
            return None  # an object is merged into the one that is there
    return operand


def _literal(value: Any) -> Any:
    """Return a constant as a stage has to say it: what a validator or an enum makes of one may begin with "$"."""
    return {"$literal": value} if isinstance(value, str) and value.startswith("$") else value


def _touch(draft: Draft, name: str, operand: Any) -> None:
    if name in _SETS and isinstance(operand, Mapping):
        for path in operand:
            _at(draft, name, path, "computed")
    elif name == "$unset":
        for path in [operand] if isinstance(operand, str) else operand:
            _at(draft, name, str(path), "unset")
    elif name in _WHOLE:
        draft.touched.append(Touched(name, "", (), "computed"))
        draft.markers |= draft.targets.markers(())
    else:
        raise UnguardedWrite(
            f"{draft.entry.collection}: {name} is no stage of an update; "
            f"use {', '.join(sorted(_SETS | _WHOLE | {'$unset'}))}."
        )


def _at(draft: Draft, name: str, path: str, change: Any) -> None:
    """A pipeline's path leads into every element of an array on its way: its first step stands for all below."""
    target = draft.targets[path.split(".", 1)[0]]
    draft.touch(name, target, change if path == target.path else "computed")
