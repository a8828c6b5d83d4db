"""The walk: a document beside its shape, value by value, and what the policy and the declared structure refuse.

One value at one path is reported once, under the first family that applies: EMP and FRB, then SCH. A value that
is at fault is not looked into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bson import Code, DBRef

from integrity.declare import bson_type
from integrity.declare.equality import key
from integrity.declare.policy import Policy
from integrity.declare.shape import Array, Node, Object
from integrity.rules.empty import empty_container, empty_string, not_a_number, undeclared_null, white_space
from integrity.rules.forbidden import control_character, forbidden_value, placeholder
from integrity.rules.rule import Fault, Rule
from integrity.rules.schema import constraint_not_met, missing_field, unknown_field, wrong_type

Path = tuple[str | int, ...]
Steps = tuple[str, ...]
Found = tuple[Rule, Fault, Path, Steps]

_STRINGS = (empty_string, placeholder, white_space, control_character)


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a concrete path as MongoDB writes it: ``("items", 2, "qty")`` is ``"items.2.qty"``."""
    return ".".join(map(str, path))


class Walk:
    """Walks a document.

    Args:
        stored: Whether the document has BSON's values, whose types are judged strictly. Of what is offered and
            could not be validated, pydantic says what can be coerced, and what a function of the user's would make
            of a value is not known: that value is left out.
    """

    def __init__(self, *, stored: bool) -> None:
        self.stored = stored

    def object(
        self, value: Mapping[str, Any], declared: Object, path: Path, field: Steps, policy: Policy
    ) -> Iterator[Found]:
        """Yield what is wrong with an object's fields."""
        policy = declared.policy or policy
        for name, each in declared.fields.items():
            if name in value:
                yield from self.value(value[name], each.node, (*path, name), (*field, name), policy)
            elif each.required:
                yield missing_field.RULE, missing_field.FAULT, (*path, name), (*field, name)
        values = declared.judged_values
        for name, each_value in value.items():
            if name in declared.fields:
                continue
            if declared.closed:
                yield unknown_field.RULE, unknown_field.fault(name, declared), (*path, name), (*field, name)
            elif self.stored and not declared.mapping and not encodable(name):
                yield unknown_field.RULE, unknown_field.UNREADABLE, (*path, name), (*field, name)
            elif values is not None:
                yield from self.value(each_value, values, (*path, name), (*field, "*"), policy)

    def value(self, value: Any, node: Node, path: Path, field: Steps, policy: Policy) -> Iterator[Found]:
        """Yield what is wrong with a value and, when nothing is, with what it holds."""
        if node.computed and not self.stored:
            return
        if value is None:
            if not node.nullable:
                yield undeclared_null.RULE, undeclared_null.FAULT, path, field
            return
        found = policy_fault(value, node, policy)
        if found is not None:
            yield (*found, path, field)
            return
        if isinstance(value, str) and not encodable(value):
            yield constraint_not_met.RULE, constraint_not_met.fault(value, "must be valid UTF-8"), path, field
            return
        if node.anything:
            return
        kind = bson_type.alias(value)
        if kind == "array" and node.arrays:
            yield from _best([self._array(value, each, path, field, policy) for each in node.arrays])
        elif kind == "object" and node.objects:
            yield from self._objects(value, node, path, field, policy)
        elif self.stored and kind not in node.scalars:
            yield wrong_type.RULE, wrong_type.fault(value, node), path, field

    def _array(self, value: Any, declared: Array, path: Path, field: Steps, policy: Policy) -> Iterator[Found]:
        many = len({key(each) for each in value}) if declared.distinct and self.stored else len(value)
        yield from _length(value, many, declared, path, field)
        for index, each in enumerate(value):
            yield from self.value(each, declared.at(index), (*path, index), (*field, "[]"), policy)

    def _objects(self, value: Any, node: Node, path: Path, field: Steps, policy: Policy) -> Iterator[Found]:
        if isinstance(value, DBRef):
            value = value.as_doc()
        if not isinstance(value, Mapping):
            return  # an instance among what is offered
        tagged = [each for each in node.objects if each.discriminator is not None]
        options = [each for each in tagged if told(value, each)]
        if not options and len(tagged) == len(node.objects):
            yield from _untold(value, tagged, path, field, policy)
            return
        yield from _best([self._mapping(value, each, path, field, policy) for each in options or node.objects])

    def _mapping(
        self, value: Mapping[str, Any], declared: Object, path: Path, field: Steps, policy: Policy
    ) -> Iterator[Found]:
        yield from _length(value, len(value), declared, path, field)
        yield from self.object(value, declared, path, field, policy)


def policy_fault(value: Any, node: Node, policy: Policy) -> tuple[Rule, Fault] | None:
    """Return what the policy or the field's ``Forbid`` refuses in a value that is not null, or None.

    This is the order of the EMP and FRB families, in one place.
    """
    cls = type(value)
    if not node.admits(value):
        found = None
        if isinstance(value, str) and cls is not Code:  # which is a string to Python
            for module in _STRINGS:
                if (found := module.fault(value, policy)) is not None:
                    return module.RULE, found
        elif isinstance(value, dict | list | tuple):
            if (found := empty_container.fault(value, policy)) is not None:
                return empty_container.RULE, found
        elif (cls is float or bson_type.alias(value) in {"double", "decimal"}) and node.finite:
            found = not_a_number.fault(value, policy)
            if found is not None:
                return not_a_number.RULE, found
    if node.markers and (found := forbidden_value.fault(value, node)) is not None:
        return forbidden_value.RULE, found
    return None


def encodable(text: str) -> bool:
    """Whether a string is UTF-8, as BSON's are; PyMongo reads what is not with surrogates in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def told(value: Mapping[str, Any], declared: Object) -> bool:
    """Whether a union's discriminator says that `value` is this one of its objects."""
    if declared.discriminator is None:
        return False
    name, tags = declared.discriminator
    return name in value and key(value[name]) in {key(each) for each in tags}


def _untold(
    value: Mapping[str, Any], tagged: list[Object], path: Path, field: Steps, policy: Policy
) -> Iterator[Found]:
    """Yield what is wrong with the tag of an object that is none of a union's."""
    discriminators = [each.discriminator for each in tagged if each.discriminator is not None]
    name = discriminators[0][0]
    at, steps = (*path, name), (*field, name)
    tags = tuple(dict.fromkeys(tag for _, each in discriminators for tag in sorted(each, key=str)))
    if name not in value:
        yield missing_field.RULE, missing_field.FAULT, at, steps
        return
    tag = value[name]
    node = Node(scalars=frozenset(bson_type.alias(each) for each in tags), literals=tags)
    if tag is None:
        yield undeclared_null.RULE, undeclared_null.FAULT, at, steps
    elif (found := policy_fault(tag, node, policy)) is not None:
        yield (*found, at, steps)
    elif bson_type.alias(tag) not in node.scalars:
        yield wrong_type.RULE, wrong_type.fault(tag, node), at, steps
    else:
        reason = f"must be {' or '.join(map(repr, tags))}"
        yield constraint_not_met.RULE, constraint_not_met.fault(tag, reason), at, steps


def _best(options: list[Iterator[Found]]) -> Iterator[Found]:
    """Of several that a union declares, take the one that finds least."""
    if len(options) == 1:
        yield from options[0]
    else:
        yield from min((list(each) for each in options), key=len)


def _length(value: Any, many: int, declared: Array | Object, path: Path, field: Steps) -> Iterator[Found]:
    """Yield the length that is not met: pydantic does not look at it where an element is at fault."""
    word, bound = "", 0
    if many < declared.least:
        word, bound = "least", declared.least
    elif declared.most is not None and many > declared.most:
        word, bound = "most", declared.most
    if word:
        what = "field" if isinstance(declared, Object) else "different element" if declared.distinct else "element"
        reason = f"must have at {word} {bound} {what}{'s' * (bound != 1)}, not {many}"
        yield constraint_not_met.RULE, constraint_not_met.fault(value, reason), path, field
