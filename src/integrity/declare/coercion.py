"""What a model's own schema takes besides what pydantic gives it: ObjectIds as text, ``_id`` for ``id``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import ObjectId
from pydantic_core import core_schema

from integrity.declare import convert
from integrity.declare.schema import coerces, has_default

Schema = dict[str, Any]

_OTHERS = frozenset({"model", "dataclass", "typed-dict", "definitions"})


def coerce(schema: Any, *, document: bool) -> None:
    """Make a model's own schema take what a write takes, and generate the ObjectId of a document that has none.

    Changes the schema in place; does not enter other models, which have had their own turn.

    Args:
        schema: The model's core schema.
        document: Whether the model has a collection, so that its ``id`` is stored as ``_id``.
    """
    fields = schema
    while "fields" not in fields:
        fields = fields["schema"]
    for attribute, each in fields["fields"].items():
        each["schema"] = _coerced(each["schema"])
        if document and attribute == "id":
            each["validation_alias"] = [["_id"], ["id"]]
            if _is_object_id(each["schema"]) and not has_default(each["schema"]):
                each["schema"] = core_schema.with_default_schema(each["schema"], default_factory=ObjectId)


def before(function: Callable[[Any], Any], schema: Any) -> Schema:
    """Return a schema that calls a function on what `schema` then validates."""
    return dict(core_schema.no_info_before_validator_function(function, schema))


def after(function: Callable[[Any], Any], schema: Any) -> Schema:
    """Return a schema that calls a function on what `schema` has validated."""
    return dict(core_schema.no_info_after_validator_function(function, schema))


def branch(schema: Any, kind: str) -> Any:
    """Return a branch of a union: of a stored long, which is read as a class of its own, a float's would be the nearer.

    Args:
        schema: The branch.
        kind: What it is in pydantic's own schema.
    """
    return before(convert.plain_integer, schema) if kind == "int" else schema


def of_class(schema: Any, function: Callable[[Any], Any]) -> Schema:
    """Return a coercion before an is-instance schema; the class is kept for `shape.read`.

    What is declared for JSON stays. An ObjectId is its digits there, which a write takes back.
    """
    made = before(function, core_schema.is_instance_schema(schema["cls"]))
    if schema["cls"] is ObjectId:
        made["serialization"] = core_schema.to_string_ser_schema(when_used="json")
    return made | {name: schema[name] for name in ("metadata", "serialization") if schema.get(name)}


def _is_object_id(schema: Any) -> bool:
    return coerces(schema) and schema["schema"].get("cls") is ObjectId


def _coerced(schema: Any) -> Any:
    kind = schema["type"]
    if kind == "is-instance" and schema["cls"] in convert.COERCIONS:
        return of_class(schema, convert.COERCIONS[schema["cls"]])
    if kind in _OTHERS or coerces(schema):
        return schema
    changed = dict(schema)
    for name in ("schema", "items_schema", "values_schema", "python_schema"):
        if isinstance(changed.get(name), dict):
            changed[name] = _coerced(changed[name])
    if kind == "tuple":
        changed["items_schema"] = [_coerced(each) for each in schema["items_schema"]]
    if kind == "chain":
        changed["steps"] = [_coerced(each) for each in schema["steps"]]
    if kind == "union":
        changed["choices"] = [
            (_coerced(each[0]), each[1]) if isinstance(each, tuple) else _coerced(each) for each in schema["choices"]
        ]
    return changed
