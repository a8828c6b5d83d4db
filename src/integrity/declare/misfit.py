"""What a declaration says that does not fit its own field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bson import Decimal128
from pydantic_core import PydanticCustomError, ValidationError

from integrity.declare import bson_type, codec, convert
from integrity.declare.constraint import Allow, CopyOf, Forbid, Revision, Unique
from integrity.declare.entry import Entry
from integrity.declare.opaque import BRANCH
from integrity.declare.policy import Policy, visible
from integrity.declare.schema import VALUE, alone, calls
from integrity.declare.shape import Array, Field, Node, Object, Place
from integrity.declare.validator import validator
from integrity.errors import DeclarationError

_WAY = "Give a default that is valid there, or take it away."


def refuse(entry: Entry) -> None:
    """Refuse what does not fit: `Allow` of what cannot stand there, defaults that the policy refuses.

    Raises:
        DeclarationError: Something does not fit.
    """
    for place in entry.places:
        _allowed(entry, place)
        _unique(entry, place)
        _countless(entry, place)
    _revision(entry)
    _key(entry)
    definitions = {each["ref"]: each for each in entry.schema.get("definitions", ())}
    for path, parent, field, policy in _fields(entry.document, entry.policy, (entry.name,), ()):
        _default(path, field, policy, parent.config, definitions)


def _allowed(entry: Entry, place: Place) -> None:
    node = place.node
    for value in (each for marker in node.markers if isinstance(marker, Allow) for each in marker.values):
        kind = _kind(value)
        if node.anything or kind in node.types or (kind == "null" and node.nullable):
            continue
        inside = [each for array in node.arrays for each in (*array.prefix, array.item)]
        inside += [each.values for each in node.objects if each.values is not None]
        way = (
            f"write it at the element: list[Annotated[..., Allow({value!r})]]"
            if any(each.anything or kind in each.types for each in inside)
            else "take it away, or declare a type that holds it"
        )
        raise DeclarationError(
            f"{entry.name}.{place.path}: Allow({value!r}) allows {bson_type.NAMES.get(kind, kind)}, and here stands "
            f"{bson_type.name(node.types)}; {way}."
        )


def _kind(value: Any) -> str:
    try:
        return bson_type.alias(codec.encode(value))
    except PydanticCustomError:
        return type(value).__name__


def _unique(entry: Entry, place: Place) -> None:
    if place.node.marker(Unique) and "*" in place.steps:
        raise DeclarationError(
            f"{entry.name}.{place.path} is Unique() inside a mapping, whose keys have no index; declare a list of "
            "objects with a unique field, or documents of their own."
        )

    unique = place.node.marker(Unique)
    if unique and unique.case_insensitive and not place.node.anything and "string" not in place.node.types:
        raise DeclarationError(
            f"{entry.name}.{place.path} is Unique(case_insensitive=True) and holds {bson_type.name(place.node.types)}; "
            "only strings have case: write Unique()."
        )


def _countless(entry: Entry, place: Place) -> None:
    """Refuse markers that stand at paths without number; a reference is refused where it is resolved."""
    for kind in (Unique, CopyOf):
        if place.recursive and place.node.marker(kind):
            raise DeclarationError(
                f"{entry.name}.{place.path}: {kind.__name__} inside a model that contains itself stands at paths "
                "without number; keep the tree's nodes as documents of their own."
            )


def _revision(entry: Entry) -> None:
    found = [each for each in entry.places if each.node.marker(Revision)]
    if len(found) > 1:
        raise DeclarationError(
            f"{entry.name} has two Revision() fields, {found[0].path} and {found[1].path}; keep one."
        )
    for each in found:
        if len(each.steps) > 1:
            raise DeclarationError(
                f"{entry.name}.{each.path} is a Revision(), which counts the writes of a whole document; put it on a "
                "field of the model itself."
            )
        if not each.node.types <= bson_type.INTEGERS or each.node.anything:
            raise DeclarationError(f"{entry.name}.{each.path} is a Revision(), which is a number; declare it as int.")


def _key(entry: Entry) -> None:
    # https://www.mongodb.com/docs/manual/core/document/#the-_id-field
    field = entry.document.fields.get("_id")
    if field is None:
        stored = next((each.name for each in entry.document.fields.values() if each.attribute == "id"), "id")
        raise DeclarationError(
            f"{entry.name}.id is stored as {stored!r}, and a document's key is stored as '_id'; take its alias away, "
            "or give the field another name."
        )
    if field.default is not None and field.default.get("default", ...) is None:
        raise DeclarationError(
            f"{entry.name}.{field.attribute} has the default None, which would be stored as the _id, of one document "
            "only; declare id: ObjectId, which is generated where none is given, or take the default away."
        )
    for kind in sorted(field.node.types & {"array", "regex"}):
        raise DeclarationError(
            f"{entry.name}.id is declared as {bson_type.NAMES[kind]}, which MongoDB refuses as an _id; declare another "
            "type."
        )


def _fields(
    parent: Object, policy: Policy, path: tuple[str, ...], above: tuple[Object, ...]
) -> Iterator[tuple[str, Object, Field, Policy]]:
    if parent in above:
        return
    policy = parent.policy or policy
    for each in parent.fields.values():
        yield ".".join((*path, each.attribute)), parent, each, policy
        for below in _objects(each.node, ()):
            yield from _fields(below, policy, (*path, each.attribute), (*above, parent))


def _objects(node: Node, above: tuple[Array, ...]) -> Iterator[Object]:
    for each in node.objects:
        yield each
        if each.mapping and each.values is not None and each.values is not node:
            yield from _objects(each.values, above)
    for array in node.arrays:
        if array not in above:
            for element in (*array.prefix, array.item):
                yield from _objects(element, (*above, array))


def _default(path: str, field: Field, policy: Policy, config: Any, definitions: Mapping[str, Any]) -> None:
    if field.default is None:
        return
    if "default" not in field.default:
        return  # a function of the user's is not called before there is a document
    value = field.default["default"]
    try:
        stored = codec.encode(value)
    except PydanticCustomError as error:
        raise DeclarationError(
            f"{path} has the default {value!r}, which cannot be stored: {error.message()}."
        ) from None
    if stored is None and not field.node.nullable:
        raise DeclarationError(
            f"{path} has the default None, and its type has no null; declare it as `... | None`, or take the default "
            "away."
        )
    if not calls(field.default["schema"], definitions):  # nor is a validator of the user's
        stored = _made(path, field, value, config, definitions)
    for fault in _faults(stored, field.node, policy, ()):
        inside = f"its {'.'.join(map(str, fault.path))} is" if fault.path else "it is"
        raise DeclarationError(
            f"{path} has the default {value!r}, which {fault.who} refuses: {inside} {fault.what}. {fault.way}"
        )


def _made(path: str, field: Field, value: Any, config: Any, definitions: Mapping[str, Any]) -> Any:
    """Return what a write makes of a default.

    Raises:
        DeclarationError: Its own declaration refuses it.
    """
    judge = validator(alone(field.default["schema"], config, definitions), "write")
    try:
        return judge.validate_python({VALUE: codec.plain(value)})[VALUE]
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    inside = ".".join(str(each) for each in first["loc"][1:] if BRANCH not in str(each))
    what = f"{'at ' if inside else ''}{inside}{', ' if inside else ''}{first['msg'][:1].lower()}{first['msg'][1:]}"
    raise DeclarationError(f"{path} has the default {value!r}, which its own declaration refuses: {what}. {_WAY}")


class _Fault(NamedTuple):
    """What is wrong in a default.

    Args:
        path: Where in it.
        what: What stands there, after "it is".
        who: Who refuses it.
        way: The way out.
    """

    path: tuple[str | int, ...]
    what: str
    who: str = "its own declaration"
    way: str = _WAY


def _faults(value: Any, node: Node, policy: Policy, path: tuple[str | int, ...]) -> Iterator[_Fault]:
    """Yield what every write that leaves a field to its default would be refused for; the walk of writes says the same.

    A function of the user's is not called.
    """
    if value is None or node.computed:
        return
    what = None if node.admits(value) else _refusal(value, node, policy)
    if what is not None:
        way = f"Declare `... | None = None`, take the default away, or say Allow({value!r}) where it means something."
        yield _Fault(path, what, "the policy", way)
    elif any(isinstance(each, Forbid) and not each.asks and each.reason(value) for each in node.markers):
        yield _Fault(path, f"{value!r}, which a Forbid(...) names")
    elif isinstance(value, list) and len(node.arrays) == 1:
        array = node.arrays[0]
        if not array.least <= len(value) <= (len(value) if array.most is None else array.most):
            yield _Fault(path, f"an array of {len(value)}, shorter or longer than it is declared")
        for index, each in enumerate(value):
            yield from _faults(each, array.at(index), policy, (*path, index))
    elif isinstance(value, dict) and len(node.objects) == 1:
        declared = node.objects[0]
        if not declared.least <= len(value) <= (len(value) if declared.most is None else declared.most):
            yield _Fault(path, f"an object of {len(value)}, shorter or longer than it is declared")
        for name, each in value.items():
            below = declared.fields[name].node if name in declared.fields else declared.judged_values
            if below is not None:
                yield from _faults(each, below, declared.policy or policy, (*path, name))


def _refusal(value: Any, node: Node, policy: Policy) -> str | None:
    """Return why the policy refuses a default, or None; the rules of the EMP and FRB families say the same.

    An empty array or object is let pass: models of existing collections are full of them, and are to be audited. A
    write that leaves it to the default is told to say ``Allow([])``.
    """
    if isinstance(value, str):
        if value == "":
            return None if policy.allow_empty_strings else "an empty string"
        if value in policy.placeholders:
            return "a placeholder"
        return None if policy.allow_white_space or visible(value) else "a string without a visible character"
    if isinstance(value, float | Decimal128) and node.finite and not policy.allow_nan:
        finite = convert.is_finite(value) if isinstance(value, Decimal128) else math.isfinite(value)
        return None if finite else "not a number"
    return None
