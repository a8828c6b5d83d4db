"""The declarations in other programs' words: JSON Schema, Mermaid, MongoDB's validators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from integrity.declare.registry import Entry, Registry
from integrity.declare.shape import Node, Place
from integrity.server.validator import validator
from integrity.violation import extended_json

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: BSON's own classes, as relaxed extended JSON writes them.
#: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/
_EXTENDED: dict[type, dict[str, Any]] = {
    ObjectId: {"$oid": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}},
    Decimal128: {"$numberDecimal": {"type": "string"}},
    Timestamp: {"$timestamp": {"type": "object"}},
    Regex: {"$regularExpression": {"type": "object"}},
    Binary: {"$binary": {"type": "object"}},
    Code: {"$code": {"type": "string"}},
    DatetimeMS: {"$date": {}},
    MinKey: {"$minKey": {"const": 1}},
    MaxKey: {"$maxKey": {"const": 1}},
}


class _Generator(GenerateJsonSchema):
    """Pydantic's own, with BSON's classes in extended JSON."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        cls = schema["cls"]
        if cls is Int64:
            return {"type": "integer"}
        inner = _EXTENDED.get(cls)
        if inner is None:
            return super().is_instance_schema(schema)
        return {"type": "object", "properties": inner, "required": list(inner)}


def jsonschema(registry: Registry) -> dict[str, Any]:
    """Return JSON Schema for every model, under ``$defs``; what it has no word for stands under ``x-integrity``.

    The keys are the collections: ``properties.airports`` refers to the schema of its documents.
    """
    _, document = models_json_schema(
        [(entry.model, "validation") for entry in registry], by_alias=True, schema_generator=_Generator
    )
    definitions = document.get("$defs", {})
    for entry in registry:
        definition = definitions[entry.name]
        _stored_names(entry, definition)
        definition["x-integrity"] = _besides(entry)
    return {
        "$schema": _DIALECT,
        "type": "object",
        "properties": {
            entry.collection: {"type": "array", "items": {"$ref": f"#/$defs/{entry.name}"}} for entry in registry
        },
        "$defs": definitions,
    }


def _stored_names(entry: Entry, definition: dict[str, Any]) -> None:
    """Call ``id`` what it is called in the document."""
    properties = definition.get("properties", {})
    if "id" in properties and "_id" not in properties and "_id" in entry.document.fields:
        definition["properties"] = {"_id" if name == "id" else name: each for name, each in properties.items()}
        definition["required"] = ["_id" if name == "id" else name for name in definition.get("required", [])]


def _besides(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"collection": entry.collection}
    if entry.owner:
        found["owner"] = list(entry.owner)
    if entry.references:
        found["references"] = [
            {
                "path": each.path,
                "target": each.target.collection,
                "field": each.field,
                "onDelete": each.ref.on_delete,
                "onUpdate": each.ref.on_update,
            }
            for each in entry.references
        ]
    if entry.uniques:
        found["unique"] = [
            {
                "paths": [place.path for place in each.places],
                "caseInsensitive": each.unique.case_insensitive,
                "nulls": each.unique.nulls,
            }
            for each in entry.uniques
        ]
    if entry.copies:
        found["copies"] = [
            {"path": each.path, "of": f"{each.via.target.collection}.{each.field}", "via": each.via.path}
            for each in entry.copies
        ]
    return found


def validators(registry: Registry) -> dict[str, Any]:
    """Return the validator of every collection, as relaxed extended JSON."""
    return {entry.collection: extended_json(validator(entry)) for entry in registry}


def mermaid(registry: Registry) -> str:
    """Return an entity-relationship diagram.

    Source: https://mermaid.js.org/syntax/entityRelationshipDiagram.html
    """
    lines = ["erDiagram"]
    for entry in registry:
        lines.append(f"    {entry.name} {{")
        lines += [f"        {line}" for line in _attributes(entry)]
        lines.append("    }")
    for entry in registry:
        for reference in entry.references:
            # The target is one, or none where the reference may be null; what refers to it is any number.
            one = "|o" if reference.nullable or not _required(reference.place) else "||"
            label = f"{reference.path} ({reference.ref.on_delete})"
            lines.append(f'    {reference.target.name} {one}--o{{ {entry.name} : "{label}"')
    return "\n".join(lines) + "\n"


def _required(place: Place) -> bool:
    return place.field is not None and place.field.required


def _attributes(entry: Entry) -> Iterable[str]:
    references = {each.place.steps for each in entry.references}
    uniques = {each.places[0].steps for each in entry.uniques if len(each.places) == 1}
    copies = {each.place.steps: each for each in entry.copies}
    for place in entry.places:
        if len(place.steps) != 1:
            continue
        keys = ["PK"] if place.steps == ("_id",) else []
        keys += ["FK"] if place.steps in references or (*place.steps, "[]") in references else []
        keys += ["UK"] if place.steps in uniques else []
        comment = ""
        if place.steps in copies:
            copy = copies[place.steps]
            comment = f' "copy of {copy.via.target.name}.{copy.field}"'
        yield f"{_type(place.node)} {_word(place.steps[0])}{' ' + ', '.join(keys) if keys else ''}{comment}"


def _type(node: Node) -> str:
    if node.anything:
        return "any"
    names = sorted({"int" if each == "long" else each for each in node.types})
    if set(names) == {"double", "int"}:
        names = ["double"]
    return "_or_".join(names) if names else "null"


def _word(name: str) -> str:
    """Return a name as Mermaid takes one: letters, digits and underlines, a letter first."""
    made = "".join(each if (each.isalnum() and each.isascii()) or each == "_" else "_" for each in name)
    made = made.lstrip("_") or made
    return made if made[:1].isalpha() else f"f{made}"
