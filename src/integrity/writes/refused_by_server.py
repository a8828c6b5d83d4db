"""What the server's own validator has refused, in the words of the rules that it was made from.

An update that is judged by its outcome meets the collection's validator first, where `db.apply()` has made one: the
server then says which places are wrong and, of most of them, what would stand there. The value is judged again for
its place, so that the violation is the one that it would have been without a validator.
Source: https://www.mongodb.com/docs/manual/core/schema-validation/handle-invalid-documents/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from integrity.declare.extract import ABSENT
from integrity.declare.registry import Entry
from integrity.declare.shape import declared_path
from integrity.declare.slot import VALUE
from integrity.rules.rule import At, Fault
from integrity.rules.schema import constraint_not_met, missing_field, unknown_field
from integrity.violation import Violation
from integrity.writes.updates.target import targets

_APPLY = "Bring the validator up to date: `integrity apply`, or db.apply()."
_UNKNOWN = Fault("is declared, and the collection's validator does not know it.", _APPLY)
_REQUIRED = Fault("is not declared, and the collection's validator requires it.", _APPLY)


def violations(entry: Entry, details: Mapping[str, Any]) -> list[Violation]:
    """Return what a ``$jsonSchema`` was not satisfied with, and what beside it matched; empty where nothing is said.

    Args:
        entry: The model's entry.
        details: The server's details of the write error, with ``errInfo``.
    """
    info = details.get("errInfo") or {}
    found: dict[str, Violation] = {}
    for violation in _clause(entry, info.get("details") or {}, info.get("failingDocumentId")):
        found.setdefault(violation.path, violation)
    return list(found.values())


def _clause(entry: Entry, node: Mapping[str, Any], id: Any) -> Iterator[Violation]:
    """Yield what one clause of a validator says: the library's own are a schema, and what no document may match."""
    operator = node.get("operatorName")
    if operator == "$jsonSchema":
        for each in node.get("schemaRulesNotSatisfied", ()):
            yield from _read(entry, each, "", id)
    elif operator == "$and":
        for each in node.get("clausesNotSatisfied", ()):
            yield from _clause(entry, each.get("details") or {}, id)
    elif operator == "$nor":
        for each in node.get("clausesSatisfied", ()):
            inner = each.get("details") or {}
            for path in inner.get("specifiedAs") or ():
                if not path.startswith("$"):
                    yield from _value(entry, inner, path, id)


def _read(entry: Entry, node: Mapping[str, Any], path: str, id: Any) -> Iterator[Violation]:
    if "propertiesNotSatisfied" in node:
        for each in node["propertiesNotSatisfied"]:
            yield from _all(entry, each.get("details", ()), _below(path, each["propertyName"]), id)
    elif "missingProperties" in node:
        for name in node["missingProperties"]:
            inside = _below(path, name)
            fault = _REQUIRED if targets(entry)[inside].undeclared else missing_field.FAULT
            yield missing_field.RULE.violation(_at(entry, inside, id), fault)
    elif "failingProperty" in node or "itemIndex" in node:
        inside = _below(path, str(node.get("failingProperty", node.get("itemIndex"))))
        yield from _all(entry, node.get("details", ()), inside, id)
    elif isinstance(node.get("additionalProperties"), list):
        for name in node["additionalProperties"]:
            target = targets(entry)[_below(path, name)]
            fault = target.undeclared[1] if target.undeclared else _UNKNOWN
            yield unknown_field.RULE.violation(_at(entry, target.path, id), fault)
    else:
        yield from _value(entry, node, path, id)


def _all(entry: Entry, nodes: Any, path: str, id: Any) -> Iterator[Violation]:
    for each in nodes:
        yield from _read(entry, each, path, id)


def _value(entry: Entry, node: Mapping[str, Any], path: str, id: Any) -> Iterator[Violation]:
    value = _considered(node)
    target = targets(entry)[path] if path else None
    if value is not ABSENT and target is not None and target.known and target.undeclared is None:
        judged = target.judge.stored({VALUE: value})
        for each in judged:
            yield replace(
                each,
                id=id,
                path=path + each.path.removeprefix(VALUE),
                field=declared_path(target.steps) + each.field.removeprefix(VALUE),
            )
        if judged:
            return
    fault = (
        constraint_not_met.fault(value, "must satisfy the collection's validator")
        if value is not ABSENT
        else Fault("is refused by the collection's validator.", "Store a value that meets the declared constraint.")
    )
    yield constraint_not_met.RULE.violation(_at(entry, path, id), fault)


def _considered(node: Any) -> Any:
    """Return the value that the server had before it, of a leaf or of the first one below."""
    if "consideredValue" in node:
        return node["consideredValue"]
    for each in (*node.get("schemasNotSatisfied", ()), *node.get("details", ())):
        if (found := _considered(each)) is not ABSENT:
            return found
    return ABSENT


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _at(entry: Entry, path: str, id: Any) -> At:
    steps = targets(entry)[path].steps if path else ()
    return At(entry.collection, id, path, declared_path(steps))
