"""What pydantic refuses, in this library's codes, paths and words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic_core import ErrorDetails, ValidationError
from pydantic_core.core_schema import ErrorType

from integrity.declare import bson_type, codec, convert
from integrity.declare.opaque import BRANCH
from integrity.declare.policy import Policy
from integrity.declare.shape import Node, Object
from integrity.rules.empty import not_a_number
from integrity.rules.rule import Fault, Rule
from integrity.rules.schema import constraint_not_met, missing_field, own_validator, unknown_field, wrong_type
from integrity.rules.walk import Found, Path, Steps

_BUILT_IN: frozenset[str] = frozenset(get_args(ErrorType))
_OWN = frozenset({"value_error", "assertion_error"})
_TYPES = frozenset({
    convert.TYPE_ERROR, "union_tag_not_found", "is_instance_of", "is_subclass_of", "int_from_float", "string_unicode",
    "invalid_key", "iteration_error", "mapping_type", "no_such_attribute", "literal_error", "enum",
    "date_from_datetime_parsing", "bytes_invalid_encoding", "int_parsing_size",
})  # fmt: skip
_OF_KEYS = frozenset({convert.TYPE_ERROR, "invalid_key"})
_TAGS = frozenset({"union_tag_invalid", "union_tag_not_found"})
_KEY = "[key]"

#: Pydantic's words, and ours: they stand after "is 5, and".
_WORDS = (
    (re.compile(r"^String should match pattern "), "must match the pattern "),
    (re.compile(r"^(?:[A-Z]\w*|Decimal input) should "), "must "),
    (re.compile(r"\bitems? after validation, not (\d+|more)$"), r"elements, not \1"),
    (re.compile(r"^must be a valid string, unable to parse raw data as a unicode string"), "must be valid UTF-8"),
    (re.compile(r"timezone info\b"), "a time zone"),
    (re.compile(r"^must not have a time zone"), "must have no time zone"),
    (re.compile(r"^must be a finite number"), "must be a number, neither NaN nor infinite"),
)


@dataclass(frozen=True)
class _Spot:
    """Where one of pydantic's errors stands.

    Args:
        path: The concrete path.
        field: The declared path's steps.
        node: What is declared there, where anything is.
        value: What stands there; a mapping's key, when it is the key that is refused.
        branches: The unions above it: the path of each, and the label of the branch that the error is of.
        parent: The objects that declare the last step.
    """

    path: Path
    field: Steps
    node: Node | None
    value: Any
    branches: tuple[tuple[Path, str], ...]
    parent: tuple[Object, ...]
    key: bool = False


def from_pydantic(
    error: ValidationError, document: Mapping[str, Any], root: Object, found: list[Found]
) -> Iterator[Found]:
    """Yield what pydantic refuses, once a path, besides what is found already.

    Args:
        error: What pydantic raised.
        document: What it was given.
        root: The document's shape.
        found: What the walk has found.
    """
    faulty = {path for _, _, path, _ in found}
    # An array of the wrong length is looked into all the same; every other value that is at fault is not.
    shut = {path for rule, _, path, _ in found if rule is not constraint_not_met.RULE}
    chosen: set[Path] = set()
    for spot, each in _one_branch([(_spot(one, document, root), one) for one in _details(error)]):
        path = spot.path
        if path in faulty or any(path[: len(other)] == other for other in shut | chosen):
            continue
        # Where the walk chose a branch of a union and found it wanting, that says why the union refuses.
        if (spot.branches or each["type"] in _TAGS) and any(other[: len(path)] == path for other in faulty):
            continue
        chosen.add(path)
        rule = _rule(each, spot)
        yield rule, _fault(rule, each, spot), path, spot.field


def faulty_fields(error: ValidationError, document: Mapping[str, Any], root: Object) -> set[str]:
    """Return the names of the top-level fields that pydantic refuses something in."""
    return {str(spot.path[0]) for each in _details(error) if (spot := _spot(each, document, root)).path}


def _details(error: ValidationError) -> list[ErrorDetails]:
    # A default that is computed from fields which are refused says nothing of its own.
    found = error.errors(include_url=False, include_context=False)
    return [each for each in found if each["type"] != "default_factory_not_called"] or found


def _one_branch(located: list[tuple[_Spot, ErrorDetails]]) -> list[tuple[_Spot, ErrorDetails]]:
    """Of several branches of a union keep the errors of one: that with the fewest, beyond the type if any is."""
    count: dict[Path, dict[str, tuple[int, int]]] = {}
    for spot, each in located:
        for path, label in spot.branches:
            wrong, many = count.setdefault(path, {}).get(label, (0, 0))
            beyond = _rule(each, spot) is not wrong_type.RULE or spot.path != path
            count[path][label] = (wrong + (not beyond), many + 1)
    best = {path: min(labels, key=lambda label: labels[label]) for path, labels in count.items()}
    kept = [(spot, each) for spot, each in located if all(best[path] == label for path, label in spot.branches)]
    return kept or located  # what pydantic refuses is never passed, whatever becomes of its locations


def _spot(error: ErrorDetails, document: Mapping[str, Any], root: Object) -> _Spot:
    """Follow pydantic's location through the document; what is no step of it is the label of a union's branch."""
    path: list[str | int] = []
    field: list[str] = []
    branches: list[tuple[Path, str]] = []
    value: Any = document
    node: Node | None = None
    objects: tuple[Object, ...] = (root,)
    parent: tuple[Object, ...] = ()
    key = False
    for step in error["loc"]:
        if step == _KEY:
            key = True
            break
        tag = any(each.discriminator for each in objects) and not (branches and branches[-1][0] == tuple(path))
        if tag or (isinstance(step, str) and step.startswith(BRANCH)):
            branches.append((tuple(path), str(step)))
            objects = tuple(each for each in objects if _tagged(each, step)) or objects
            continue
        if isinstance(value, Mapping) and isinstance(step, str):
            declared = next((each.fields[step].node for each in objects if step in each.fields), None)
            inner = next((each.values for each in objects if each.values is not None), None)
            if declared is None and step not in value:
                branches.append((tuple(path), step))
                continue
            judged = declared is None and any(each.judged_values for each in objects)
            node, value = declared or inner, value.get(step, error["input"])  # what is not there may be a default
        elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            judged = False
            node = node.arrays[0].at(step) if node is not None and node.arrays else None
            value = value[step]
        elif isinstance(step, int):
            break  # of what has no places: a set, a generator, an array that is too short
        else:
            branches.append((tuple(path), str(step)))
            continue
        path.append(step)
        field.append("[]" if isinstance(step, int) else "*" if judged else step)
        parent, objects = objects, node.objects if node is not None else ()
    if error["type"] in _TAGS and isinstance(value, Mapping) and objects and objects[0].discriminator:
        name = objects[0].discriminator[0]
        path.append(name)
        field.append(name)
        node, value = None, value.get(name)
    elif error["type"] in {convert.TYPE_ERROR, convert.RANGE_ERROR}:
        for below in codec.culprit(value):
            value = codec.plain(value)[below]
            path.append(below)
            field.append("[]" if isinstance(below, int) else below)
            node = None
    if key:
        value = path[-1]
    return _Spot(tuple(path), tuple(field), node, value, tuple(branches), parent, key)


def _tagged(declared: Object, label: str | int) -> bool:
    return declared.discriminator is not None and str(label) in {str(each) for each in declared.discriminator[1]}


def _rule(error: ErrorDetails, spot: _Spot) -> Rule:
    kind, node = error["type"], spot.node
    if spot.key or kind in {convert.RANGE_ERROR, convert.CHOICE_ERROR}:
        return constraint_not_met.RULE
    if kind == "missing" or (kind == "union_tag_not_found" and isinstance(spot.value, Mapping | type(None))):
        return missing_field.RULE
    if kind == "extra_forbidden":
        return unknown_field.RULE
    if kind == "finite_number":
        return not_a_number.RULE
    if kind in _TYPES or kind.endswith(("_type", "_parsing")):
        # A string that is no URL, or none of the choices, is of the right type.
        known = node is not None and bson_type.alias(spot.value) in node.scalars
        return constraint_not_met.RULE if known else wrong_type.RULE
    if kind in _OWN or kind not in _BUILT_IN:
        return own_validator.RULE
    return constraint_not_met.RULE


def _fault(rule: Rule, error: ErrorDetails, spot: _Spot) -> Fault:
    path, node, value = spot.path, spot.node, spot.value
    if rule is missing_field.RULE:
        return missing_field.FAULT
    if rule is unknown_field.RULE:
        return unknown_field.fault(str(path[-1]), spot.parent[0] if spot.parent else Object())
    if rule is not_a_number.RULE:
        # A text may name it: "inf", offered for a Decimal.
        found = (
            not_a_number.fault(value, Policy()) if bson_type.alias(value) in bson_type.NUMBERS | {"decimal"} else None
        )
        return found or not_a_number.named(value)
    if rule is wrong_type.RULE and node is not None and node.types and error["type"] not in _OF_KEYS:
        return wrong_type.fault(value, node)
    if error["type"] == "invalid_key":
        return constraint_not_met.fault(value, "must have strings as keys")
    if rule is own_validator.RULE:
        reason = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return own_validator.fault(value, reason, whole=not path)
    if spot.key:
        return constraint_not_met.fault(value, f"{_reason(error)} as a key")
    return constraint_not_met.fault(value, _reason(error))


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":
        return re.sub(r"^.* expected tags: ", "must be one of ", error["msg"])
    found = error["msg"]
    for pattern, ours in _WORDS:
        found = pattern.sub(ours, found)
    return found if found[1:2].isupper() else found[:1].lower() + found[1:]
