"""The places of a document one at a time: what may stand at each, and the validator of a value for it alone.

An update names places and not documents. A slot is one place, reached step by step from the document through the
model's core schema and its shape side by side; its validator coerces and checks a value as the validator of the
whole document would at that place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic_core import core_schema

from integrity.declare import shape
from integrity.declare.policy import Policy
from integrity.declare.registry import Entry
from integrity.declare.schema import VALUE, alone, choice, named_fields
from integrity.declare.shape import Array, Field, Node, Object

__all__ = ["VALUE", "Slot", "root", "slot_at"]

_ANYTHING = Node(anything=True, nullable=True)
# What is not declared, below Any or where undeclared fields are allowed, is not judged by the policy.
_LENIENT = Policy(
    placeholders=frozenset(),
    allow_empty_strings=True,
    allow_white_space=True,
    allow_empty_containers=True,
    allow_nan=True,
)
_NUMBERS = frozenset({"int", "float", "decimal"})
_TRANSPARENT = frozenset({"default", "nullable"})


@dataclass(eq=False)
class Slot:
    """One place.

    Args:
        entry: The model's entry.
        steps: The declared path's steps.
        node: What may stand there.
        schema: The core schema of its values; None where the declaration has several structures for the place or
            for one above it, so that none is certain.
        policy: The policy in force.
        config: The configuration of the model around it.
        definitions: The core schema's definitions by name.
        field: The declared field, when the last step is one.
    """

    entry: Entry
    steps: tuple[str, ...]
    node: Node
    schema: Any
    policy: Policy
    config: Any
    definitions: dict[str, Any]
    field: Field | None = None

    @property
    def path(self) -> str:
        """The declared path."""
        return shape.declared_path(self.steps)

    @property
    def required(self) -> bool:
        """Whether it is there wherever what holds it is."""
        return self.field is not None and self.field.required

    @property
    def known(self) -> bool:
        """Whether a value for it can be judged on its own."""
        return self.schema is not None and not shape.takes_others(self.schema)

    @cached_property
    def judged(self) -> Entry:
        """The slot as an entry of documents with one field, `VALUE`, for a ``Judge``."""
        return _Alone(self, Field(VALUE, VALUE, self.node, required=True), self.schema)

    @cached_property
    def judged_together(self) -> Entry:
        """The slot as an entry of documents with one field, `VALUE`, that is an array of values for it."""
        several = Node(arrays=(Array(self.node),))
        return _Alone(self, Field(VALUE, VALUE, several, required=True), core_schema.list_schema(self.schema))

    @cached_property
    def bare(self) -> _Bare:
        """The schema without what stands around it."""
        return _bare(self.schema, self.definitions)

    @cached_property
    def kind(self) -> str:
        """The kind of the schema, such as ``"list"``; ``""`` where it is not known."""
        return self.bare.schema["type"] if self.bare.schema is not None else ""

    @property
    def whole(self) -> bool:
        """Whether a function looks at the value as a whole, so that a part of it proves nothing."""
        return self.bare.whole

    def limit(self, name: str) -> Any:
        """Return a constraint of the schema, such as ``"max_length"`` or ``"ge"``, or None."""
        return (self.bare.schema or {}).get(name)

    @cached_property
    def number(self) -> bool:
        """Whether it is a plain number, with limits or without."""
        return self.kind in _NUMBERS and not self.whole

    @property
    def may_be_empty(self) -> bool:
        """Whether an array or object without anything in it is valid."""
        empty: Any = [] if self.node.arrays else {}
        return not self.limit("min_length") and (self.policy.allow_empty_containers or self.node.admits(empty))

    @property
    def shortest(self) -> int:
        """How many elements a valid array has at least."""
        prefix = max((len(each.prefix) for each in self.node.arrays), default=0)
        return max(self.limit("min_length") or 0, 0 if self.may_be_empty else 1, prefix)

    def child(self, name: str, declared: Object) -> Slot:
        """Return the slot of a field of an object that may stand here."""
        policy = declared.policy or self.policy
        found = declared.fields.get(name)
        if found is None:
            if declared.mapping and not self.node.anything:
                return self._below("*", declared.values or _ANYTHING, self._extra_schema(), policy)
            return self._below(name, declared.values or _ANYTHING, self._extra_schema(), _LENIENT)
        return self._below(name, found.node, self._field_schema(found.attribute), policy, found)

    def element(self, declared: Array, index: int | None = None) -> Slot:
        """Return the slot of an element of an array that may stand here."""
        node = declared.item if index is None else declared.at(index)
        schema = None
        if self.kind == "list" and not declared.prefix:
            schema = self.bare.schema.get("items_schema") or core_schema.any_schema()
        return self._below("[]", node, schema, self.policy)

    def among(self, name: str) -> Slot:
        """Return the slot of a field that one of several structures here has; opaque where that is not one.

        What stands here is judged as a whole, and what is offered for the field is coerced as that structure does.
        """
        having = [each for each in self.node.objects if name in each.fields or not each.closed]
        if len(having) != 1 or name not in having[0].fields:
            return self.opaque(name)
        field = having[0].fields[name]
        found = list(_held(self.schema, field.attribute, having[0].model, self.definitions, frozenset()))
        if len(found) != 1:
            return self.opaque(name)
        ((schema, config),) = found
        steps, policy = (*self.steps, name), having[0].policy or self.policy
        return Slot(self.entry, steps, field.node, schema, policy, config, self.definitions, field)

    def opaque(self, step: str) -> Slot:
        """Return a slot of which only the step is known."""
        return self._below(step, _ANYTHING, None, self.policy)

    def _below(self, step: str, node: Node, schema: Any, policy: Policy, found: Field | None = None) -> Slot:
        config = self.bare.config if self.bare.config is not None else self.config
        return Slot(self.entry, (*self.steps, step), node, schema, policy, config, self.definitions, found)

    def _field_schema(self, attribute: str) -> Any:
        fields = (self.bare.schema or {}).get("fields")
        return fields[attribute]["schema"] if isinstance(fields, dict) and attribute in fields else None

    def _extra_schema(self) -> Any:
        if self.kind == "dict":
            return self.bare.schema.get("values_schema") or core_schema.any_schema()
        if self.kind in {"model-fields", "typed-dict"}:
            return self.bare.schema.get("extras_schema") or core_schema.any_schema()
        return core_schema.any_schema() if self.node.anything and self.schema is not None else None


def root(entry: Entry) -> Slot:
    """Return the slot of the whole document."""
    schema = entry.model.__pydantic_core_schema__
    node = Node(objects=(entry.document,))
    return Slot(entry, (), node, schema, entry.policy, None, {})


def slot_at(entry: Entry, steps: Iterable[str]) -> Slot:
    """Return the slot of a declared place, by its steps."""
    slot = root(entry)
    for step in steps:
        if step == "[]":
            slot = slot.element(slot.node.arrays[0])
        else:
            holders = [each for each in slot.node.objects if step in each.fields or each.mapping]
            slot = slot.child(step, holders[0])
    return slot


@dataclass(frozen=True)
class _Bare:
    """A schema without its wrapping.

    Args:
        schema: What is inside: fields, a list, a number, ...; None where there are several.
        whole: Whether a function was among the wrapping.
        config: The configuration of the model that was unwrapped.
    """

    schema: Any
    whole: bool = False
    config: Any = None


def _bare(schema: Any, definitions: dict[str, Any]) -> _Bare:
    whole, config = False, None
    while schema is not None:
        kind = schema["type"]
        if kind == "definitions":
            definitions |= {each["ref"]: each for each in schema["definitions"]}
            schema = schema["schema"]
        elif kind == "definition-ref":
            schema = definitions[schema["schema_ref"]]
        elif kind in _TRANSPARENT:
            schema = schema["schema"]
        elif kind == "chain" and len(schema["steps"]) == 1:
            schema = schema["steps"][0]
        elif kind == "model" and not schema.get("root_model"):
            whole = whole or not shape.wants_no_instance(schema)
            config = schema.get("config") or {}
            schema = schema["schema"]
        elif kind.startswith("function-") and "schema" in schema and not shape.coerces(schema):
            whole = True
            schema = schema["schema"]
        elif kind in {"model-fields", "typed-dict", "list", "dict", "int", "float", "decimal", "datetime", "any"}:
            return _Bare(schema, whole, schema.get("config") if kind == "typed-dict" else config)
        else:
            break
    return _Bare(None, whole=True)


def _held(
    schema: Any,
    attribute: str,
    model: type | None,
    definitions: dict[str, Any],
    inside: frozenset[str],
    config: Any = None,
) -> Iterator[tuple[Any, Any]]:
    """Yield the core schemas of a field in the structures that a schema may be, each with the configuration around it.

    Args:
        schema: The core schema.
        attribute: The field's name in Python.
        model: The class of the structure that has it; None for one without.
        definitions: The core schema's definitions by name; those that are met are added.
        inside: The definitions that it stands in.
        config: The configuration around it.
    """
    if not isinstance(schema, dict):
        return
    kind = schema["type"]
    if kind == "definitions":
        definitions |= {each["ref"]: each for each in schema["definitions"]}
    if kind == "definition-ref":
        ref = schema["schema_ref"]
        if ref not in inside:
            yield from _held(definitions[ref], attribute, model, definitions, inside | {ref}, config)
    elif kind in {"union", "tagged-union"}:
        choices = schema["choices"].values() if kind == "tagged-union" else map(choice, schema["choices"])
        for each in choices:
            yield from _held(each, attribute, model, definitions, inside, config)
    elif kind in {"model", "dataclass"} and not schema.get("root_model"):
        if schema["cls"] is model:
            yield from _held(schema["schema"], attribute, model, definitions, inside, schema.get("config") or {})
    elif "fields" in schema:
        for name, each in named_fields(schema["fields"]):
            if name == attribute:
                yield each["schema"], config or schema.get("config")
    elif kind == "chain":
        yield from _held(schema["steps"][0], attribute, model, definitions, inside, config)
    else:
        yield from _held(schema.get("schema"), attribute, model, definitions, inside, config)


class _Alone(Entry):
    """A slot dressed as an entry.

    Args:
        slot: The slot.
        field: The one field.
        schema: The field's core schema.
    """

    def __init__(self, slot: Slot, field: Field, schema: Any) -> None:
        super().__init__(
            model=slot.entry.model,
            collection=slot.entry.collection,
            owner=slot.entry.owner,
            policy=slot.policy,
            document=Object(fields={VALUE: field}),
            places=(),
        )
        self._slot = slot
        self._field_schema = schema

    @property
    def schema(self) -> Any:
        return alone(self._field_schema, self._slot.config, self._slot.definitions)
