"""Questions put to pydantic's core schemas: what a name, a default or a function of theirs means for a document."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic.types import EncodedBytes, EncodedStr

from integrity.declare import convert
from integrity.declare.constraint import METADATA_KEY, Marker

Mode = Literal["write", "stored"]

_COERCIONS = frozenset(convert.COERCIONS.values())

_PLAIN = frozenset({
    "any", "none", "literal", "str", "bool", "float", "uuid", "int", "bytes", "datetime", "decimal", "date", "enum",
    "is-instance", "list", "dict", "typed-dict", "model-fields", "nullable", "default", "definitions",
    "definition-ref",
})  # fmt: skip
_OBJECTS = frozenset({"model", "dataclass", "typed-dict", "definition-ref"})
_STORED_ALIKE = frozenset({"set", "frozenset", "tuple"})


def markers(schema: Any) -> tuple[Marker, ...]:
    """Return the markers that stand on a schema."""
    found: tuple[Marker, ...] = (schema.get("metadata") or {}).get(METADATA_KEY, ())
    return found


def seen_through(schema: Any, mode: Mode) -> bool:
    """Whether the fast validator of a mode tells exactly what may stand at a schema.

    What it cannot tell (functions of the user's, models that want an instance, and on a write everything that
    pydantic has to try) is looked at by the walk, value by value.
    """
    kind = schema["type"]
    if kind in _PLAIN or (kind == "chain" and len(schema["steps"]) == 1) or coerces(schema):
        return True
    if kind == "model":
        return wants_no_instance(schema)
    if kind == "tagged-union" and all(
        each["type"] in {"model", "definition-ref"} for each in schema["choices"].values()
    ):
        return True
    if mode == "stored" and kind == "union":
        return all(seen_through(choice(each), mode) for each in schema["choices"])
    return mode == "stored" and kind in _STORED_ALIKE


def choice(given: Any) -> Any:
    """Return the schema of a union's choice, which may have a label."""
    return given[0] if isinstance(given, tuple) else given


def stored_name(attribute: str, schema: Any, declared: Any) -> str:
    """Return the name that a field has in the stored document: its alias, or ``_id`` for a document's ``id``."""
    alias = schema.get("serialization_alias")
    if isinstance(alias, str):
        return alias
    if attribute == "id" and getattr(declared, "collection", None):
        return "_id"
    return attribute


def named_fields(fields: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an object's schema by their Python names."""
    if isinstance(fields, dict):
        yield from fields.items()
    else:  # a dataclass lists its fields
        for each in fields:
            yield each["name"], each


def coerces(schema: Any) -> bool:
    """Whether a schema is one of a BSON class with the coercion that `coercion.coerce` put before it."""
    function = (schema.get("function") or {}).get("function") if schema["type"] == "function-before" else None
    return function is not None and inspect.isfunction(function) and function in _COERCIONS


def wants_no_instance(schema: Any) -> bool:
    """Whether a model's schema has nothing that needs an instance: it can be validated from dict to dict."""
    if schema.get("custom_init") or schema.get("post_init") or schema.get("root_model"):
        return False
    fields = schema["schema"]
    if fields["type"] != "model-fields":
        return False
    return not any(takes_others(each["schema"]) for each in fields["fields"].values())


def takes_others(schema: Any) -> bool:
    """Whether a field's default or validator looks at the other fields, by the names that the model gives them."""
    while isinstance(schema, dict):
        if schema.get("default_factory_takes_data"):
            return True
        function = schema.get("function")
        if isinstance(function, dict) and function.get("type") == "with-info":
            return True
        schema = schema.get("schema")
    return False


def changes(schema: Any) -> bool:
    """Whether a function of the user's may make another value of what is offered, before it is validated.

    What comes after an object's validation is given an instance, and is not looked for.
    """
    kind = schema["type"]
    if kind in {"function-before", "function-wrap", "function-plain"}:
        return not coerces(schema)
    if kind == "function-after":
        inner = schema["schema"]
        while inner["type"].startswith("function-") and "schema" in inner:
            if inner["type"] != "function-after":
                return True
            inner = inner["schema"]
        return changes(inner) if inner["type"] in _OBJECTS else True
    if kind == "model":
        return bool(schema.get("custom_init")) or (
            not schema.get("root_model") and schema["schema"]["type"].startswith("function-")
        )
    return False


def default(schema: Any) -> Mapping[str, Any] | None:
    """Return the ``default`` schema that fills in a field which is not given, or None."""
    while schema["type"] != "default":
        if "schema" not in schema or schema["type"] == "nullable":
            return None
        schema = schema["schema"]
    return schema  # type: ignore[no-any-return]  # a core schema is a dict


def has_default(schema: Any) -> bool:
    """Whether a field's schema fills in a default, so that the field need not be given."""
    return default(schema) is not None


def is_refused(schema: Any) -> bool:
    """Whether a schema is one of pydantic's own functions that give values which BSON cannot hold.

    Pydantic validates a pattern, a time zone or an import by such functions; nothing else in the schema tells of
    them. An encoded string (``Base64Str``) is decoded each time that it is validated, so that what is stored would
    not be valid again.
    """
    function = (schema.get("function") or {}).get("function")
    if isinstance(getattr(function, "__self__", None), EncodedBytes | EncodedStr):
        return True
    module = getattr(function, "__module__", None) or ""
    return schema["type"] == "function-plain" and module.split(".")[0] == "pydantic"
