"""Filters: equality for values from outside, and a look at the paths of those that are written by hand."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticCustomError

from integrity.declare import codec
from integrity.declare.registry import Entry
from integrity.declare.shape import Node
from integrity.declare.slot import VALUE
from integrity.errors import InvalidDocument, UndeclaredFilter
from integrity.rules.rule import At
from integrity.rules.schema import constraint_not_met, unknown_field
from integrity.violation import Violation
from integrity.writes.refusal import refusal
from integrity.writes.updates.target import REMEMBERED, targets

_COMBINING = ("$and", "$or", "$nor")
#: What the policy finds in a value says nothing about its type: a filter may look for what should not be there.
_POLICY = ("EMP", "FRB")
_NULL = "EMP004"


def by(entry: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an equality filter of checked values.

    Args:
        entry: The model's entry.
        values: The values by stored or Python name, or by dotted path.

    Raises:
        InvalidDocument: A value is not of its field's type, or there is no such field.
    """
    found: dict[str, Any] = {}
    violations: list[Violation] = []
    for name, value in values.items():
        place = entry.place(name)
        path = ".".join(place.steps) if place is not None else name
        outcome = _coerced(entry, path, value)
        if isinstance(outcome, list):
            violations += outcome
        else:
            found[path] = {"$eq": outcome[0]}
    if violations:
        raise _unusable(entry, violations)
    return found


def _coerced(entry: Entry, path: str, value: Any) -> tuple[Any] | list[Violation]:
    """Return the value, coerced; or what is wrong with it."""
    value = codec.plain(value)
    target = targets(entry)[_stored(entry, path, value)]
    if target.undeclared is not None or path.startswith("$"):
        fault = target.undeclared[1] if target.undeclared else unknown_field.fault(path, entry.document)
        return [unknown_field.RULE.violation(At(entry.collection, None, path, path), fault)]
    if not target.slot.known:
        # Of several structures, or a matter of other fields; `$eq` around it is what keeps it from being an operator.
        try:
            return (codec.encode(value),)
        except PydanticCustomError as error:
            fault = constraint_not_met.fault(value, error.message())
            return [constraint_not_met.RULE.violation(At(entry.collection, None, path, path), fault)]
    verdict = target.judge.offered({VALUE: value})
    wrong = [each for each in verdict.violations if each.code == _NULL or not each.code.startswith(_POLICY)]
    if wrong:
        return [replace(each, path=path, field=path) for each in wrong]
    return (verdict.document[VALUE],)


def _stored(entry: Entry, path: str, value: Any) -> str:
    """Return the path that an element has where a filter's path looks into arrays without a step of its own."""
    node, found = Node(objects=(entry.document,)), list[str]()
    for step in path.split("."):
        if (inner := _element(node, step)) is not node:
            node = inner
            found.append("0")
        found.append(step)
        node = _below(node, step)
    if node.arrays and not isinstance(value, list | tuple | set | frozenset):
        found.append("0")
    return ".".join(found)


def _below(node: Node, step: str) -> Node:
    if node.arrays and step.isdigit():
        return node.arrays[0].at(int(step))
    for declared in node.objects:
        field = declared.fields.get(step)
        if field is not None:
            return field.node
        if declared.values is not None:
            return declared.values
    return Node()


def _unusable(entry: Entry, violations: list[Violation]) -> InvalidDocument:
    return refusal(violations, model=f"{entry.name} filter")


def check(entry: Entry, filter: Mapping[str, Any]) -> None:
    """Warn of paths that are not declared, or refuse them, as the policy says.

    Args:
        entry: The model's entry.
        filter: PyMongo's filter.

    Raises:
        UndeclaredFilter: The policy says ``undeclared_filters="refuse"``.
    """
    if entry.policy.undeclared_filters == "ignore":
        return
    known = usual(entry)
    for path in _paths(filter):
        if _declared(entry, path):
            if len(known) < REMEMBERED:  # a path may hold a key or an index, so there is no end of them
                known.add(path)
        else:
            _tell(entry, path, "a filter on it matches nothing, or only null")


def check_elements(entry: Entry, update: Any, array_filters: Iterable[Any]) -> None:
    """As `check`, of the filters that choose the elements of arrays that an update changes.

    Args:
        entry: The model's entry.
        update: Update operators; their paths say what each identifier stands for.
        array_filters: PyMongo's.

    Raises:
        UndeclaredFilter: The policy says ``undeclared_filters="refuse"``.
    """
    if entry.policy.undeclared_filters == "ignore" or not isinstance(update, Mapping):
        return
    arrays: dict[str, set[str]] = {}
    for path in [path for each in update.values() if isinstance(each, Mapping) for path in each]:
        steps = str(path).split(".")
        for at, step in enumerate(steps):
            if step.startswith("$["):
                above = [each for each in steps[:at] if not each.startswith("$")]
                arrays.setdefault(step[2:-1], set()).add(".".join(above))
    for path in [path for each in array_filters if isinstance(each, Mapping) for path in _paths(each)]:
        name, _, below = path.partition(".")
        paths = [f"{each}.{below}" for each in sorted(arrays.get(name, ())) if below]
        if paths and not any(_declared(entry, each) for each in paths):
            _tell(entry, paths[0], f"the array filter {path!r} chooses no element, or those without it")


def _tell(entry: Entry, path: str, outcome: str) -> None:
    error = UndeclaredFilter(f"{entry.name} declares no {path!r}, so that {outcome}; {_suggestion(entry, path)}.")
    if entry.policy.undeclared_filters == "refuse":
        raise error
    warnings.warn(error, stacklevel=5)


def usual(entry: Entry) -> set[str]:
    """Return the paths that were found to be declared; kept with the entry, as long as that lives."""
    found: set[str] = entry.__dict__.setdefault("_usual_filters", set())
    return found


def _paths(filter: Mapping[str, Any]) -> Iterator[str]:
    for name, operand in filter.items():
        if name in _COMBINING and isinstance(operand, list | tuple):
            for each in operand:
                if isinstance(each, Mapping):
                    yield from _paths(each)
        elif not name.startswith("$"):
            yield name


def _suggestion(entry: Entry, path: str) -> str:
    place = entry.place(path)
    if place is not None:
        return f"its stored name is {'.'.join(place.steps)!r}"
    node, above = Node(objects=(entry.document,)), list[str]()
    for step in path.split("."):
        inner = _below(_element(node, step), step)
        if not _element(inner, "").objects:
            break
        node = inner
        above.append(step)
    of = f" of {'.'.join(above)!r}" if above else ""
    names = [name for each in _element(node, "").objects for name in each.fields]
    return f"the fields{of} are {', '.join(dict.fromkeys(names))}"


def _element(node: Node, step: str) -> Node:
    """Return what a step that is no index is looked for in: an array's elements."""
    return node.arrays[0].item if node.arrays and not node.objects and not step.isdigit() else node


@lru_cache(maxsize=4096)
def _declared(entry: Entry, path: str) -> bool:
    """Whether something declared may stand at a path, as a filter reads it: arrays are looked into without a step."""
    return _leads(Node(objects=(entry.document,)), tuple(path.split(".")))


def _leads(node: Node, steps: tuple[str, ...]) -> bool:
    if not steps or node.anything:
        return True
    step, rest = steps[0], steps[1:]
    for declared in node.objects:
        found = declared.fields.get(step)
        below = found.node if found is not None else declared.values
        if (below is not None and _leads(below, rest)) or (below is None and not declared.closed):
            return True
    for array in node.arrays:
        for element in (*array.prefix, array.item):
            if _leads(element, rest if step.isdigit() else steps):
                return True
    # A DBRef's or a GeoJSON's own names stand below a scalar that is stored as an object.
    return False
