"""A model's shape: what BSON may stand at each of its paths.

`node` has what the shape is made of, `reading` reads it off pydantic's core schema; here are its places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from integrity.declare.node import Array, Field, M, Node, Object
from integrity.declare.reading import read
from integrity.declare.schema import coerces, has_default, named_fields, stored_name, takes_others, wants_no_instance

__all__ = [
    "Array",
    "Field",
    "M",
    "Node",
    "Object",
    "Place",
    "coerces",
    "declared_path",
    "has_default",
    "named_fields",
    "places",
    "read",
    "stored_name",
    "takes_others",
    "wants_no_instance",
]


@dataclass(frozen=True)
class Place:
    """A declared path and its node.

    Args:
        steps: The field names, ``"[]"`` for an array's elements, ``"*"`` for a mapping's values.
        node: What may stand there.
        field: The declared field, when the last step is one.
        recursive: Whether the path passes through a model that contains itself, so that there are more like it.
    """

    steps: tuple[str, ...]
    node: Node
    field: Field | None
    recursive: bool = False

    @property
    def path(self) -> str:
        """The declared path, such as ``"items[].qty"``."""
        return declared_path(self.steps)


def declared_path(steps: tuple[str, ...]) -> str:
    """Return how a path of steps is written: ``("items", "[]", "qty")`` is ``"items[].qty"``."""
    text = ""
    for step in steps:
        if step == "[]":
            text += "[]"
        else:
            text += f".{step}" if text else step
    return text


def places(root: Object) -> Iterator[Place]:
    """Yield every declared place below `root`, parents first; what contains itself is entered once."""
    yield from _places(root, (), (root,), recursive=False)


_Above = tuple[Object | Array, ...]


def _places(parent: Object, steps: tuple[str, ...], above: _Above, *, recursive: bool) -> Iterator[Place]:
    for name, each in parent.fields.items():
        yield from _node_places(each.node, (*steps, name), each, above, recursive=recursive)
    if parent.values is not None:
        yield from _node_places(parent.values, (*steps, "*"), None, above, recursive=recursive)


def _node_places(
    node: Node,
    steps: tuple[str, ...],
    declared: Field | None,
    above: _Above,
    *,
    recursive: bool,
) -> Iterator[Place]:
    inside = recursive or any(below in above for below in (*node.objects, *node.arrays))
    yield Place(steps, node, declared, inside)
    for array in node.arrays:
        if above.count(array) < 2:  # noqa: PLR2004 - once for itself, once to mark what is inside as repeated
            for element in dict.fromkeys((*array.prefix, array.item)):
                yield from _node_places(
                    element, (*steps, "[]"), None, (*above, array), recursive=inside or array in above
                )
    for below in node.objects:
        if above.count(below) < 2:  # noqa: PLR2004 - as for arrays
            yield from _places(below, steps, (*above, below), recursive=inside or below in above)
