"""Questions put to pydantic's core schemas: what a name, a default or a function of theirs means for a document."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic.types import ByteSize, EncodedBytes, EncodedStr, Secret
from pydantic_core import core_schema

from integrity.declare import convert
from integrity.declare.constraint import METADATA_KEY, Marker

Mode = Literal["write", "stored"]

#: The field under which a value alone is validated.
VALUE = "value"

_COERCIONS = frozenset(convert.COERCIONS.values())

_PLAIN = frozenset({
    "any", "none", "literal", "str", "bool", "float", "uuid", "int", "bytes", "datetime", "decimal", "date", "enum",
    "is-instance", "list", "dict", "typed-dict", "model-fields", "nullable", "default", "definitions",
    "definition-ref",
})  # fmt: skip
_OBJECTS = frozenset({"model", "dataclass", "typed-dict", "definition-ref"})
_CALLED = ("default_factory", "custom_init", "post_init")
_VALUES = frozenset({
    "default", "expected", "members", "metadata", "serialization", "config", "function", "json_schema",
})  # fmt: skip
_INSIDE = ("schema", "items_schema", "values_schema", "keys_schema", "steps", "python_schema")
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
    function = _function(schema) if schema["type"] == "function-before" else None
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
    """Whether a field's default or validator looks at the other fields, by the names that the model gives them.

    What stands in an array or mapping is the field's; an object inside has fields of its own.
    """
    if isinstance(schema, list | tuple):
        return any(map(takes_others, schema))
    if not isinstance(schema, dict):
        return False
    if schema.get("default_factory_takes_data") or asks_others(schema):
        return True
    return any(takes_others(schema.get(name)) for name in _INSIDE)


def asks_others(schema: Any) -> bool:
    """Whether a schema is a validator of the user's that looks at the other fields, or may."""
    function = schema.get("function")
    return isinstance(function, dict) and function.get("type") == "with-info" and not _pydantics(function["function"])


def calls(schema: Any, definitions: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a function of the user's is called for a value of a schema: a validator, a default's, an ``__init__``.

    Args:
        schema: The core schema.
        definitions: The definitions that it may refer to, by name.
        seen: The definitions that it stands in.
    """
    if isinstance(schema, list | tuple):
        return any(calls(each, definitions, seen) for each in schema)
    if not isinstance(schema, dict):
        return False
    if not isinstance(schema.get("type"), str):  # fields, or a tagged union's choices, by their names
        return any(calls(each, definitions, seen) for each in schema.values())
    if schema["type"] == "definition-ref":
        ref = schema["schema_ref"]
        return ref not in seen and calls(definitions.get(ref), definitions, seen | {ref})
    function = _function(schema)
    if function is not None and not (coerces(schema) or _pydantics(function)):
        return True
    if any(schema.get(each) for each in _CALLED) or callable(schema.get("discriminator")):
        return True
    return any(calls(each, definitions, seen) for name, each in schema.items() if name not in _VALUES)


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


def alone(schema: Any, config: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the schema of a document with one field, `VALUE`.

    Args:
        schema: The core schema of the field.
        config: The configuration of the model around it.
        definitions: The definitions that it may refer to, by name.
    """
    one = core_schema.typed_dict_field(schema)
    return core_schema.definitions_schema(
        core_schema.typed_dict_schema({VALUE: one}, config=config), list(definitions.values())
    )


def has_default(schema: Any) -> bool:
    """Whether a field's schema fills in a default, so that the field need not be given."""
    return default(schema) is not None


def is_refused(schema: Any) -> bool:
    """Whether a schema is one of pydantic's own functions that give values which BSON cannot hold.

    Pydantic validates a pattern, a time zone, an import or a `Secret` by such functions; nothing else in the schema
    tells of them.
    """
    function = _function(schema)
    if _pydantics(function) and getattr(function, "__qualname__", "").startswith(f"{Secret.__name__}."):
        return True
    return schema["type"] == "function-plain" and _pydantics(function)


def is_encoded(schema: Any) -> bool:
    """Whether a schema is pydantic's of encoded text (``Base64Str``), which is decoded whenever it is validated."""
    return isinstance(getattr(_function(schema), "__self__", None), EncodedBytes | EncodedStr)


def _function(schema: Any) -> Any:
    """Return the function that a schema validates by, or None."""
    said = schema.get("function")  # of a call, what is called
    return said.get("function") if isinstance(said, dict) else None


def reads(attribute: str, schema: Any, name: str, config: Mapping[str, Any]) -> bool:
    """Whether pydantic reads a field by the name that it is stored under.

    Args:
        attribute: The field's name in Python.
        schema: The field's core schema.
        name: Its stored name.
        config: The configuration around it.
    """
    alias = schema.get("validation_alias")
    paths = [[alias]] if isinstance(alias, str) else alias if alias and isinstance(alias[0], list) else [alias]
    if alias is None or config.get("validate_by_name") or config.get("populate_by_name"):
        paths = [*paths, [attribute]]
    return [name] in paths


def is_size(schema: Any) -> bool:
    """Whether a schema is pydantic's ``ByteSize``, which is offered as text or as a number and is always a number."""
    cls = getattr(_function(schema), "__self__", None)
    return isinstance(cls, type) and issubclass(cls, ByteSize)


def _pydantics(function: Any) -> bool:
    """Whether a function is pydantic's own, which looks at no other field."""
    module = getattr(getattr(function, "func", function), "__module__", None) or ""
    return module.split(".")[0] == "pydantic"
