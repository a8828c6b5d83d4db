"""The validator of a collection: what MongoDB itself refuses, made from a model.

``$jsonSchema`` says types, required and unknown fields, limits and the policy (white space, placeholders, what is
empty, what is no number) at each place exactly; query expressions beside it say what it has no word for. A
validator is never stricter than the model: what only Python can decide (functions, what one branch of a union
coerces for another, patterns that PCRE reads differently) is left to the guard and to the audit.

Sources: https://www.mongodb.com/docs/manual/core/schema-validation/ and
https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/
"""

from __future__ import annotations

import enum
import re
from typing import Any

from pydantic_core import core_schema

from integrity.declare import shape
from integrity.declare.policy import Policy
from integrity.declare.registry import Entry
from integrity.declare.reserved import CONDEMNED
from integrity.declare.shape import Node
from integrity.server import limits
from integrity.server.limits import Schema, merged
from integrity.server.policy import of_forbid, of_policy

#: How often a model may be met inside itself before its validator stops looking: BSON has no recursive schemas.
_DEEPEST = 3

_SCALARS = frozenset({"str", "int", "float", "decimal", "bool", "bytes", "datetime", "date", "uuid", "url",
                      "multi-host-url", "literal", "enum", "is-instance"})  # fmt: skip
#: A step that a dotted path names, and nothing else: a number might be an index too.
_WORD = re.compile(r"\[\]|(?![0-9]+$)[^$.\[\]]+")


def validator(entry: Entry) -> dict[str, Any]:
    """Return the validator of a model's collection, as ``create`` and ``collMod`` take it.

    ``$jsonSchema``, and beside it ``$nor`` with what no document may match.
    """
    writer = _Writer(entry)
    schema = {"title": entry.name, **writer.document()}
    if not writer.faults:
        return {"$jsonSchema": schema}
    return {"$jsonSchema": schema, "$nor": writer.faults}


class _Writer:
    """Writes the schema of one model, place by place, beside pydantic's core schema."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.definitions: dict[str, Any] = {}
        self.entered: list[str] = []
        self.faults: list[Schema] = []
        self.config: dict[str, Any] = {}
        self.where: tuple[str, ...] | None = ()

    def document(self) -> Schema:
        schema = self.entry.model.__pydantic_core_schema__
        policy = self.entry.policy
        if _rewritten(schema, self.definitions):
            # A validator that may rewrite the document before its fields are looked at: the policy alone is certain.
            fields = self.entry.document.fields.values()
            properties = {each.name: of_policy(each.node, policy) for each in fields}
            return _plain({"bsonType": "object"}, properties=_plain({}, **properties))
        found = self._structure(schema, policy, tight=True)
        # The server gives an _id to a document without one, before or after it validates.
        required = [each for each in found.get("required", []) if each != "_id"]
        if "additionalProperties" in found:
            # What a delete that is under way puts on the document.
            found["properties"] = {**found.get("properties", {}), CONDEMNED: {}}
        return {**{k: v for k, v in found.items() if k != "required"}, **({"required": required} if required else {})}

    def slot(self, schema: Any, policy: Policy, *, tight: bool) -> Schema:
        """Return the schema of what stands at one place: its structure, and the policy over it."""
        node = shape.read(self._complete(schema), self.entry.name)
        structure = self._structure(schema, policy, tight=tight)
        # What is declared one by one is let through by the policy.
        return merged([structure, *(of_forbid(node) if "enum" in structure else [of_policy(node, policy)])])

    def _complete(self, schema: Any) -> Any:
        return core_schema.definitions_schema(schema, list(self.definitions.values())) if self.definitions else schema

    def _structure(self, schema: Any, policy: Policy, *, tight: bool) -> Schema:  # noqa: C901, PLR0911, PLR0912 - one branch a kind of schema
        kind = schema["type"]
        if kind in _SCALARS:
            return self._scalar(schema, tight=tight)
        if kind in {"any", "function-plain"}:
            return {}
        if kind == "none":
            return {"bsonType": "null"}
        if kind == "nullable":
            return _or_null(self._structure(schema["schema"], policy, tight=tight))
        if kind in {"union", "tagged-union"}:
            return self._union(schema, policy, tight=tight)
        if kind in {"list", "set", "frozenset"}:
            items = self._inside("[]", schema.get("items_schema"), policy, tight=tight)
            return _plain({"bsonType": "array", **(limits.of_array(schema) if tight else {})}, items=items)
        if kind == "tuple":
            return self._tuple(schema, policy, tight=tight)
        if kind == "dict":
            values = self._inside(None, schema.get("values_schema"), policy, tight=tight)
            made = {"bsonType": "object", **(limits.of_mapping(schema) if tight else {})}
            return _plain(made, additionalProperties=values)
        if kind == "chain":
            return self._structure(schema["steps"][0], policy, tight=tight and len(schema["steps"]) == 1)
        if kind == "lax-or-strict":
            return self._structure(schema["strict_schema"], policy, tight=False)
        if kind == "json-or-python":
            return self._structure(schema["python_schema"], policy, tight=False)
        if kind == "definitions":
            self.definitions |= {each["ref"]: each for each in schema["definitions"]}
            return self._structure(schema["schema"], policy, tight=tight)
        if kind == "definition-ref":
            return self._definition(schema["schema_ref"], policy, tight=tight)
        if kind == "model" and not schema.get("root_model"):
            config = schema.get("config") or {}
            return self._object(schema["schema"], schema["cls"], config, policy, tight=tight)
        if kind in {"typed-dict", "model-fields", "dataclass-args"}:
            return self._object(schema, None, schema.get("config") or {}, policy, tight=tight)
        if kind == "dataclass":
            return self._object(schema["schema"], schema["cls"], schema.get("config") or {}, policy, tight=tight)
        # A function may make anything of what it is given, and be given anything: only the type is certain.
        function = kind.startswith("function-") and not shape.coerces(schema) and not _checks_model(schema)
        return self._structure(schema["schema"], policy, tight=tight and not function)

    def _definition(self, ref: str, policy: Policy, *, tight: bool) -> Schema:
        if self.entered.count(ref) >= _DEEPEST:
            return {}
        self.entered.append(ref)
        found = self._structure(self.definitions[ref], policy, tight=tight)
        self.entered.pop()
        return found

    def _scalar(self, schema: Any, *, tight: bool) -> Schema:
        kind = schema["type"]
        node = shape.read(schema, self.entry.name)
        types = _types(node)
        if not tight:
            return types
        if kind in {"literal", "enum"}:
            return {**types, "enum": limits.choices(_choices(schema))}
        if kind == "str":
            return {**types, **limits.of_string(schema, self.config)}
        if kind in {"int", "float", "decimal"}:
            return {**types, **limits.of_number(schema, self.config)}
        if self.where:
            path = ".".join(step for step in self.where if step != "[]")
            self.faults += [{path: fault} for fault in limits.faults(schema)]
        return types

    def _inside(self, step: str | None, schema: Any, policy: Policy, *, tight: bool) -> Schema:
        """Return the slot of a step further down; None is a step that no dotted path names."""
        if schema is None:
            schema = core_schema.any_schema()
        above = self.where
        self.where = None if above is None or step is None or not _WORD.fullmatch(step) else (*above, step)
        found = self.slot(schema, policy, tight=tight)
        self.where = above
        return found

    def _union(self, schema: Any, policy: Policy, *, tight: bool) -> Schema:
        if schema["type"] == "union":
            options = [each[0] if isinstance(each, tuple) else each for each in schema["choices"]]
        else:
            options = list(schema["choices"].values())
        several = [each["type"] for each in options if each["type"] != "none"]
        # One branch may coerce what another refuses (a number for a text that is too long): limits hold for none.
        chosen = schema["type"] == "tagged-union" or len(several) == 1 or set(several) <= {"literal", "enum"}
        above, self.where = self.where, None
        found = [self._structure(each, policy, tight=tight and chosen) for each in options]
        self.where = above
        return _any_of(found)

    def _tuple(self, schema: Any, policy: Policy, *, tight: bool) -> Schema:
        items = list(schema["items_schema"])
        variadic = schema.get("variadic_item_index")
        rest = None if variadic is None else items.pop(variadic)
        slots = [self._inside(None, each, policy, tight=tight) for each in items]
        made: Schema = {"bsonType": "array"}
        if not tight:
            return made
        if items:
            made["minItems"] = len(items)
        if rest is None:
            return {**made, "maxItems": len(items), **({"items": slots} if items else {})}
        more = self._inside(None, rest, policy, tight=tight)
        if not items:
            return _plain(made, items=more)
        return _plain({**made, "items": slots}, additionalItems=more)

    def _object(self, schema: Any, cls: type | None, config: Any, policy: Policy, *, tight: bool) -> Schema:
        while "fields" not in schema:  # model validators stand between a model and its fields
            schema = schema["schema"]
        declared = getattr(cls, "__integrity__", None)
        policy = getattr(declared, "policy", None) or policy
        above, self.config = self.config, config
        properties: Schema = {}
        required = []
        for attribute, each in shape.named_fields(schema["fields"]):
            stored = shape.stored_name(attribute, each, declared)
            properties[stored] = self._inside(stored, each["schema"], policy, tight=tight)
            if each.get("required", True) and not shape.has_default(each["schema"]):
                required.append(stored)
        self.config = above
        found: Schema = {"bsonType": "object"}
        if required:
            found["required"] = required
        if properties:
            found["properties"] = properties
        extra = config.get("extra_fields_behavior") or schema.get("extra_behavior")
        if extra != "allow":
            found["additionalProperties"] = False
        return found


def _types(node: Node) -> Schema:
    names = sorted(
        {"binData" if each == "uuid" else each for each in node.scalars} | ({"null"} if node.nullable else set())
    )
    if node.anything or not names:
        return {}
    if "javascript" in names:
        names.append("javascriptWithScope")
    return {"bsonType": names[0] if len(names) == 1 else names}


def _choices(schema: Any) -> list[Any]:
    values = schema["expected"] if schema["type"] == "literal" else [each.value for each in schema["members"]]
    return [each.value if isinstance(each, enum.Enum) else each for each in values]


def _or_null(schema: Schema) -> Schema:
    if not schema or schema.keys() - _TYPED:
        return _any_of([schema, {"bsonType": "null"}])
    types = schema["bsonType"]
    return {**schema, "bsonType": [*([types] if isinstance(types, str) else types), "null"]}


#: Keywords that say nothing of null, so that it can be admitted beside them.
_TYPED = frozenset({"bsonType", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum",
                    "exclusiveMaximum", "multipleOf", "items", "additionalItems", "minItems", "maxItems",
                    "properties", "required", "additionalProperties", "minProperties", "maxProperties"})  # fmt: skip


def _any_of(options: list[Schema]) -> Schema:
    if any(not each for each in options):
        return {}
    distinct = [each for i, each in enumerate(options) if each not in options[:i]]
    if all(each.keys() == {"bsonType"} for each in distinct):
        names: dict[str, None] = {}
        for each in distinct:
            names |= dict.fromkeys([each["bsonType"]] if isinstance(each["bsonType"], str) else each["bsonType"])
        return {"bsonType": next(iter(names)) if len(names) == 1 else list(names)}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _plain(schema: Schema, **inner: Schema) -> Schema:
    """Add inner schemas that say something."""
    return {**schema, **{name: each for name, each in inner.items() if each}}


def _checks_model(schema: Any) -> bool:
    """Whether a function is a model's own validator that runs after the fields: it judges, and they are stored."""
    inner = schema.get("schema") or {}
    return schema["type"] == "function-after" and inner.get("type") in {"model", "model-fields", "definition-ref"}


def _rewritten(schema: Any, definitions: dict[str, Any]) -> bool:
    """Whether a model's own validator sees the document before its fields do, and may change it."""
    while schema["type"] not in {"model-fields", "typed-dict"}:
        kind = schema["type"]
        if kind in {"function-before", "function-wrap", "function-plain"}:
            return True
        if kind == "definitions":
            definitions |= {each["ref"]: each for each in schema["definitions"]}
        schema = definitions[schema["schema_ref"]] if kind == "definition-ref" else schema["schema"]
    return False
