"""What MongoDB's unique index can say of arrays, and what it cannot.

An index over an array holds its elements, each for itself, and holds null for an element without a value: a partial
filter leaves out documents, never elements. A constraint that would mean something else is refused.

Source: https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
"""

from __future__ import annotations

from integrity.declare.constraint import Allow
from integrity.declare.entry import Entry, UniqueKey
from integrity.declare.shape import Array, Field, Node, declared_path
from integrity.errors import DeclarationError


def refuse(entry: Entry, unique: UniqueKey) -> None:
    """Refuse a unique constraint that no index keeps.

    Raises:
        DeclarationError: It is over an array as a whole, over arrays in arrays, or over elements that may lack a value.
    """
    for place in unique.places:
        where = f"{entry.name}.{place.path}"
        if place.node.arrays:
            raise DeclarationError(
                f"{where} is unique as a whole array, and MongoDB's index holds an array's elements; mark the "
                "elements, list[Annotated[..., Unique()]], or store what is to be unique in a field of its own."
            )
        if any(pair == ("[]", "[]") for pair in zip(place.steps, place.steps[1:], strict=False)):
            raise DeclarationError(
                f"{where} is unique in arrays of arrays, and MongoDB's index holds the inner arrays; declare a list of "
                "objects with a unique field."
            )
        if unique.unique.nulls == "distinct" and (gap := _gap(entry, place.steps)) is not None:
            raise DeclarationError(
                f"{where} is Unique() in an array, and {entry.name}.{gap} may be without a value: MongoDB's index "
                "holds null for it, so that only one document could be; declare it without null and required, say "
                'Unique(nulls="equal"), or keep the elements as documents of their own.'
            )


def _gap(entry: Entry, steps: tuple[str, ...]) -> str | None:
    """Return the declared path, within an array, where a value may be missing; None where there is always one."""
    nodes = [Node(objects=(entry.document,))]
    for end, step in enumerate(steps, start=1):
        inside = "[]" in steps[: end - 1]
        if inside and any(_misses(each, step, entry) for each in nodes):
            return declared_path(steps[: end - 1])
        fields = _fields(nodes, step)
        if inside and any(not each.required and each.default is None for each in fields):
            return declared_path(steps[:end])
        nodes = [each.node for each in fields] + _elements(nodes, step)
    return declared_path(steps) if "[]" in steps and any(each.nullable for each in nodes) else None


def _misses(node: Node, step: str, entry: Entry) -> bool:
    """Whether a value that may stand at a node has nothing at the next step."""
    if node.nullable or node.anything or node.scalars:
        return True
    if step != "[]":
        return bool(node.arrays) or any(step not in each.fields for each in node.objects)
    allowed = any(each == [] for marker in node.markers if isinstance(marker, Allow) for each in marker.values)
    return bool(node.objects) or allowed or entry.policy.allow_empty_containers


def _fields(nodes: list[Node], step: str) -> list[Field]:
    return [each.fields[step] for node in nodes for each in node.objects if step in each.fields]


def _elements(nodes: list[Node], step: str) -> list[Node]:
    arrays: list[Array] = [array for node in nodes for array in node.arrays] if step == "[]" else []
    return [element for each in arrays for element in dict.fromkeys((*each.prefix, each.item))]
