"""The place that a violation names, in its document and in the declaration; and changing what stands there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from integrity.declare.extract import ABSENT, Path
from integrity.declare.registry import Entry
from integrity.declare.shape import Field, Node, Object


@dataclass(frozen=True)
class Spot:
    """Where a value stands, or is missing.

    Args:
        path: The concrete path.
        value: What stands there; `ABSENT` where nothing does.
        node: What is declared there; None where nothing is.
        field: The declared field, when the last step is one.
        fixed: Whether it is an element that cannot be taken out: of a tuple.
    """

    path: Path
    value: Any
    node: Node | None
    field: Field | None = None
    fixed: bool = False

    @property
    def element(self) -> bool:
        """Whether it is an element of an array."""
        return bool(self.path) and isinstance(self.path[-1], int)


def locate(entry: Entry, document: dict[str, Any], dotted: str) -> Spot | None:
    """Return the place of a dotted path such as ``"items.2.qty"``; None where the document has none, or several.

    Names with dots in them are found too: it is the document that says where a name ends. Two places may then have one
    path, and nothing tells which of them is meant.
    """
    root = Node(objects=(entry.document,))
    found = list(islice(_located(document, root, dotted, ()), 2))
    return found[0] if len(found) == 1 else None


def _located(value: Any, node: Node | None, rest: str, path: Path) -> Iterator[Spot]:
    if isinstance(value, dict):
        for name in value:
            if rest == name or rest.startswith(f"{name}."):
                inner, field = _declared(node, name)
                further = rest[len(name) + 1 :]
                yield from _further(value[name], inner, further, (*path, name), field, here=rest == name)
        if rest not in value:
            inner, field = _declared(node, rest)
            if field is not None:
                yield Spot((*path, rest), ABSENT, inner, field)
    elif isinstance(value, list):
        index, _, further = rest.partition(".")
        if index.isdigit() and int(index) < len(value):
            at = int(index)
            array = node.arrays[0] if node is not None and node.arrays else None
            inner = array.at(at) if array is not None else None
            fixed = array is not None and bool(array.prefix)
            yield from _further(value[at], inner, further, (*path, at), None, here=not further, fixed=fixed)


def _further(
    value: Any, node: Node | None, rest: str, path: Path, field: Field | None, *, here: bool, fixed: bool = False
) -> Iterator[Spot]:
    if here:
        yield Spot(path, value, node, field, fixed)
    else:
        yield from _located(value, node, rest, path)


def _declared(node: Node | None, name: str) -> tuple[Node | None, Field | None]:
    if node is None:
        return None, None
    objects: tuple[Object, ...] = node.objects
    for each in objects:
        if name in each.fields:
            return each.fields[name].node, each.fields[name]
    values = next((each.values for each in objects if each.values is not None), None)
    return values, None


def changed(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return a document with another value at a path; `ABSENT` takes the field, or the element, out.

    What is not on the way to the path is shared with the given document, which stays as it was.
    """
    found: dict[str, Any] = _with(document, path, value)
    return found


def _with(holder: Any, path: Path, value: Any) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(holder, list):
        assert isinstance(step, int)
        made = [*holder]
        if rest:
            made[step] = _with(holder[step], rest, value)
        elif value is ABSENT:
            del made[step]
        else:
            made[step] = value
        return made
    copy = {**holder}
    if rest:
        copy[step] = _with(holder[step], rest, value)
    elif value is ABSENT:
        copy.pop(step, None)
    else:
        copy[step] = value
    return copy
