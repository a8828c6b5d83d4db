"""A model's two fast validators: what a write may store, and what a stored document must be.

Both are built from the model's own pydantic core schema, so that every constraint and validator of the model
holds. Objects are validated from dict to dict: making an instance and dumping it again takes two to three times
as long. Where a model has validators of its own that want an instance, that model is validated as an instance.

* *write*: lax, as pydantic coerces; the outcome is what PyMongo encodes.
* *stored*: strict on BSON's types; only whether it passes matters.

With a policy, the validator refuses what the policy refuses too, and sometimes more: what passes is clean wherever
the declarations are seen through (`schema.seen_through`), what does not is walked.

Why not pydantic's own validation: docs/decisions/core-schema.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import Decimal128
from pydantic_core import SchemaValidator, core_schema

from integrity.declare import codec, convert, function, glance
from integrity.declare.coercion import Schema, after, before, branch, coerce
from integrity.declare.constraint import Allow, Marker
from integrity.declare.leaf import Leaf
from integrity.declare.opaque import Opaque, branches
from integrity.declare.policy import Policy
from integrity.declare.schema import (
    Mode,
    coerces,
    has_default,
    markers,
    named_fields,
    seen_through,
    stored_name,
    takes_others,
)

__all__ = ["Mode", "coerce", "partial_validator", "reader", "validator"]

_WRAPPINGS = frozenset({"default", "nullable", "definitions", "definition-ref", "chain", "union"})
_Markers = tuple[Marker, ...]


def validator(schema: Any, mode: Mode, policy: Policy | None = None) -> SchemaValidator:
    """Return the validator of a document.

    Args:
        schema: The model's pydantic core schema.
        mode: ``"write"`` or ``"stored"``, see the module.
        policy: The policy to refuse by as well; None for none.
    """
    # Not the prebuilt validators of the models inside: they would let through what is transformed here.
    return SchemaValidator(_Transform(mode, policy).document(schema), _use_prebuilt=False)


def partial_validator(schema: Any) -> SchemaValidator:
    """Return the validator of writes for some of a document's fields, each by itself.

    Args:
        schema: The model's pydantic core schema.
    """
    return SchemaValidator(_Transform("write", None).partial(schema), _use_prebuilt=False)


def reader(schema: Any) -> SchemaValidator:
    """Return the validator that makes instances of stored documents.

    Pydantic's own cannot: it has no Decimal128, and a date that declares its zone is stored without one.

    Args:
        schema: The model's pydantic core schema.
    """
    return SchemaValidator(_Transform("stored", None).instances(schema), _use_prebuilt=False)


class _Transform:
    """Transforms one model's core schema.

    Args:
        mode: The mode.
        policy: The policy in force at the top.
    """

    def __init__(self, mode: Mode, policy: Policy | None) -> None:
        self.mode: Mode = mode
        self.write = mode == "write"
        self.policies = [policy]
        self.policy = policy
        self.config: Any = None
        self.leaf = Leaf(mode)
        self.definitions: dict[str, Any] = {}
        self.done: dict[str, Any] = {}
        self.opaque = Opaque(self.leaf, self._define, self._opaque_reference)

    def document(self, schema: Any) -> Any:
        body = self.slot(schema)
        return core_schema.definitions_schema(body, list(self.done.values())) if self.done else body

    def instances(self, schema: Any) -> Any:
        body: Any = Opaque(self.leaf, self._define, self._opaque_reference, lax=True).outermost(schema)
        return core_schema.definitions_schema(body, list(self.done.values())) if self.done else body

    def partial(self, schema: Any) -> Any:
        cls: type | None = None
        config: Any = {}
        while "fields" not in schema:  # definitions, the model's own validators, the model
            if schema["type"] == "definitions":
                self._define(schema["definitions"])
            if schema["type"] == "definition-ref":
                schema = self.definitions[schema["schema_ref"]]
                continue
            if schema["type"] == "model":
                cls, config = schema["cls"], schema.get("config") or {}
            schema = schema["schema"]
        fields = {name: {**each, "schema": _bare(each["schema"])} for name, each in schema["fields"].items()}
        # One field by itself is a typed dict, with the configuration of its model.
        body = self._typed_dict({**schema, "fields": fields}, cls, config or schema.get("config") or {}, ())
        inner = body
        while "fields" not in inner:
            inner = inner["schema"]
        for each in inner["fields"].values():
            each["required"] = False
        return core_schema.definitions_schema(body, list(self.done.values())) if self.done else body

    def slot(self, schema: Any, above: _Markers = ()) -> Any:
        """Transform what stands at one place of a document.

        Args:
            schema: The core schema.
            above: The markers of what is wrapped around it.
        """
        if not seen_through(schema, self.mode):
            return self.opaque.outermost(schema)
        kind = schema["type"]
        found = (*above, *markers(schema))
        if kind in _WRAPPINGS:
            return self._wrapping(schema, found)
        if coerces(schema):
            return self._quick(schema["schema"], self._of_class(schema["schema"]))
        if kind in {"list", "dict"}:
            return self._container(schema, found)
        if kind in {"set", "frozenset", "tuple"}:
            return self._sequence(schema, found)
        if kind == "model":
            return self._typed_dict(schema["schema"], schema["cls"], schema.get("config") or {}, found)
        if kind in {"typed-dict", "model-fields"}:
            return self._typed_dict(schema, None, schema.get("config") or {}, found)
        if kind == "tagged-union":
            choices = {tag: self.slot(each, found) for tag, each in schema["choices"].items()}
            tag = function.telling(schema["discriminator"])
            return _without(schema, "ref") | {"choices": choices, "discriminator": tag}
        return self._leaf(schema, found)

    def _wrapping(self, schema: Any, found: _Markers) -> Any:
        kind = schema["type"]
        if kind == "definitions":
            self._define(schema["definitions"])
            return self.slot(schema["schema"], found)
        if kind == "definition-ref":
            return self._reference(schema["schema_ref"], found)
        if kind == "chain":
            return self.slot(schema["steps"][0], found)
        if kind == "union":
            choices = [
                (branch(self.slot(each, found), each["type"]), label) for each, label in branches(schema["choices"])
            ]
            return _without(schema, "ref") | {"choices": choices}
        if kind == "default":
            if not self.write:
                return self.slot(schema["schema"], found)
            made = function.plain_default(_without(schema, "ref"))
            return made | {"schema": self.slot(schema["schema"], found), "validate_default": True}
        return _without(schema, "ref") | {"schema": self.slot(schema["schema"], found)}

    def _leaf(self, schema: Any, found: _Markers) -> Any:
        schema, kind, policy = _without(schema, "ref"), schema["type"], self.policy
        if policy is None or kind not in {"str", "float", "decimal"}:
            return self._quick(schema, self.leaf.bson(schema))
        if kind == "str":
            return glance.of_string(schema, policy, found, self.config, stored=not self.write)
        nan = glance.nan(schema, policy)
        if kind == "decimal" and not self.write and not (schema.keys() & _DIGITS):
            # Nothing to check but the type and NaN: making a Decimal would cost more than all the rest.
            is_decimal = core_schema.is_instance_schema(Decimal128)
            return is_decimal if nan else after(_finite, is_decimal)
        return self.leaf.bson(schema if nan else {**schema, "allow_inf_nan": False})

    def _of_class(self, schema: Any) -> Any:
        made = self.leaf.is_instance(schema)
        judged = self.policy is not None and not self.policy.allow_nan
        return after(_finite, made) if judged and schema["cls"] is Decimal128 else made

    def _quick(self, schema: Any, made: Any) -> Any:
        return glance.in_rust(schema, made) if self.write and self.policy is not None else made

    def _define(self, definitions: Any) -> None:
        self.definitions |= {each["ref"]: each for each in definitions}

    def _reference(self, ref: str, found: _Markers) -> Any:
        allowed = "".join(str(each) for each in found if isinstance(each, Allow))
        mine = f"{ref}#{self._number(self.policy)}{allowed}"
        if mine not in self.done:
            self.done[mine] = {}  # entered before it is filled: the definition may refer to itself
            self.done[mine] = {**self.slot(self.definitions[ref], found), "ref": mine}
        return core_schema.definition_reference_schema(mine)

    def _opaque_reference(self, ref: str, opaque: Opaque) -> str:
        mine = f"{ref}#{'lax' if opaque.lax else 'opaque'}"
        if mine not in self.done:
            self.done[mine] = {}
            self.done[mine] = {**opaque.schema(_without(self.definitions[ref], "ref")), "ref": mine}
        return mine

    def _number(self, policy: Policy | None) -> int:
        if policy not in self.policies:
            self.policies.append(policy)
        return self.policies.index(policy)

    def _container(self, schema: Any, found: _Markers) -> Any:
        made = _without(schema, "ref")
        inner = "items_schema" if schema["type"] == "list" else "values_schema"
        made[inner] = self.slot(schema.get(inner) or core_schema.any_schema())
        self._lengths(made, schema, found)
        if not self.write:
            made["strict"] = True
        if not self.write or schema["type"] == "list":
            return made
        keys = (schema.get("keys_schema") or {"type": "str"})["type"]
        return after(_keys if keys == "str" else codec.encode, made)

    def _sequence(self, schema: Any, found: _Markers) -> Any:
        made: Any = _without(schema, "ref") | {"strict": False}
        if schema["type"] == "tuple":
            made["items_schema"] = [self.slot(each) for each in schema["items_schema"]]
        elif "items_schema" in schema:
            made["items_schema"] = self.slot(schema["items_schema"])
        if schema["type"] != "tuple" or schema.get("variadic_item_index") is not None:
            self._lengths(made, schema, found)
        elif self.policy is None:  # the walk says what is too long; pydantic looks at what is not
            return before(_beginning(len(made["items_schema"])), made)
        if schema["type"] in {"set", "frozenset"} and (schema.get("items_schema") or {"type": "any"})["type"] == "any":
            made = before(codec.decode, made)  # a Decimal128 has no hash
        # Only an array is read as a list, and pydantic takes more for a set or tuple than a list.
        return before(_array, made)

    def _lengths(self, made: Schema, schema: Any, found: _Markers) -> None:
        """Set the lengths; without a policy the walk looks at them, and pydantic goes on to the elements."""
        if self.policy is not None:
            made["min_length"] = glance.least(schema, self.policy, found)
        else:
            made.pop("min_length", None)
            made.pop("max_length", None)

    def _typed_dict(self, schema: Any, cls: type | None, config: Any, found: _Markers) -> Any:
        declared = getattr(cls, "__integrity__", None)
        above = self.policy, self.config
        if self.policy is not None:
            self.policy = getattr(declared, "policy", None) or self.policy
        self.config = config
        fields = {}
        stored = [
            (stored_name(attribute, each, declared), attribute, each)
            for attribute, each in named_fields(schema["fields"])
        ]
        taken = any(name == "id" for name, _, _ in stored)
        for name, attribute, each in stored:
            required = each.get("required", True) and not has_default(each["schema"])
            made: Schema = dict(core_schema.typed_dict_field(self.slot(each["schema"]), required=required))
            if self.write and name == "_id" and attribute == "id" and not taken:
                made["validation_alias"] = [["_id"], ["id"]]
            fields[name] = made
        extra = (config.get("extra_fields_behavior") or schema.get("extra_behavior")) == "allow"
        of_extra = schema.get("extras_schema") or core_schema.any_schema()
        made_dict: Schema = dict(
            core_schema.typed_dict_schema(
                fields,  # type: ignore[arg-type]  # built as dicts, which these typed dicts are
                extra_behavior="allow" if extra else "forbid",
                extras_schema=self.slot(of_extra) if extra else None,
                config=core_schema.CoreConfig(**{k: v for k, v in config.items() if k in _KEPT_CONFIG}),  # type: ignore[typeddict-item]  # filtered keys
            )
        )
        policy = self.policy
        self.policy, self.config = above
        if extra and self.write:
            made_dict = after(_keys, made_dict)
        if policy is not None and not any(each["required"] for each in fields.values()):
            # The empty object has nothing missing; the policy still refuses it, where it is not declared.
            made_dict = after(_not_empty, made_dict) if glance.least({}, above[0] or policy, found) else made_dict
        return made_dict


_DIGITS = frozenset({
    "multiple_of", "le", "lt", "ge", "gt", "max_digits", "decimal_places",
})  # fmt: skip

_KEPT_CONFIG = frozenset({
    "str_max_length", "str_min_length", "str_strip_whitespace", "str_to_lower", "str_to_upper", "allow_inf_nan",
    "ser_json_bytes", "val_json_bytes", "regex_engine", "coerce_numbers_to_str", "strict", "val_temporal_unit",
    "url_preserve_empty_path",
})  # fmt: skip


def _without(schema: Any, name: str) -> Schema:
    return {key: each for key, each in schema.items() if key != name}


def _bare(schema: Any) -> Any:
    """Return a field's schema without its default, and without the functions that look at other fields."""
    if takes_others(schema):
        return core_schema.any_schema()
    return schema["schema"] if schema["type"] == "default" else schema


def _keys(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if "\x00" in name:
            raise convert.range_error("must have keys without NUL")
    return value


def _array(value: Any) -> Any:
    if type(value) is not list:
        raise convert.type_error("must be an array")
    return value


def _beginning(length: int) -> Callable[[Any], Any]:
    return lambda value: _array(value)[:length]


def _finite(value: Decimal128) -> Decimal128:
    if not convert.is_finite(value):
        raise convert.range_error("must be a finite number")
    return value


def _not_empty(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        raise convert.range_error("must not be empty")
    return value
