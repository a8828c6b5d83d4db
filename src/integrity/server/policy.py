"""What the policy, and a field's ``Forbid``, refuse at a place, as keywords of ``$jsonSchema``."""

from __future__ import annotations

import re
from typing import Any

from integrity.declare.constraint import Allow, Forbid
from integrity.declare.policy import Policy
from integrity.declare.shape import Node
from integrity.server import limits
from integrity.server.limits import Schema, merged
from integrity.server.pattern import translate
from integrity.server.visible import CONTROL, VISIBLE, VISIBLE_OR_EMPTY


def of_policy(node: Node, policy: Policy) -> Schema:
    """Return what the policy, and the field's ``Forbid``, refuse at a node."""
    types = node.types
    refused: list[Schema] = []
    if node.anything or "string" in types:
        refused += _of_strings(policy)
    if (node.anything or node.arrays) and not (policy.allow_empty_containers or node.only([])):
        refused.append({"minItems": 1})
    if (node.anything or node.objects) and not (policy.allow_empty_containers or node.only({})):
        refused.append({"minProperties": 1})
    if node.finite and not policy.allow_nan and (node.anything or types & {"double", "decimal"}):
        refused.append({"not": {"enum": list(limits.NOT_FINITE)}})
    found = merged(_one_not(refused))
    admitted = limits.choices([*node.literals, *(v for m in node.markers if isinstance(m, Allow) for v in m.values)])
    if found and admitted:
        found = {"anyOf": [{"enum": admitted}, found]}
    return merged([found, *of_forbid(node)])


def _of_strings(policy: Policy) -> list[Schema]:
    refused: list[Schema] = []
    if not policy.allow_white_space:
        refused.append({"pattern": VISIBLE_OR_EMPTY if policy.allow_empty_strings else VISIBLE})
    elif not policy.allow_empty_strings:
        refused.append({"minLength": 1})
    if policy.placeholders:
        refused.append({"not": {"enum": sorted(policy.placeholders)}})
    if not policy.allow_control_characters:
        refused.append({"not": {"pattern": CONTROL, "bsonType": "string"}})
    return refused


def _one_not(refused: list[Schema]) -> list[Schema]:
    """Join what is refused value by value."""
    values = [value for each in refused if "enum" in each.get("not", {}) for value in each["not"]["enum"]]
    rest = [each for each in refused if "enum" not in each.get("not", {})]
    return [*rest, {"not": {"enum": values}}] if values else rest


def of_forbid(node: Node) -> list[Schema]:
    """Return what ``Forbid`` refuses, where the server can tell: not what a function decides."""
    found: list[Schema] = []
    values: list[Any] = []
    for each in (value for marker in node.markers if isinstance(marker, Forbid) for value in marker.values):
        if isinstance(each, re.Pattern):
            # Refused only where the original matches for certain, so the narrow side.
            narrow = None if each.flags & ~re.UNICODE else translate(each.pattern, "python", wide=False)
            if narrow is not None:
                found.append({"not": {"bsonType": "string", "pattern": narrow.pattern}})
        elif isinstance(each, str):
            values.append(each)
        elif isinstance(each, int) and not isinstance(each, bool) and not node.anything and "double" not in node.types:
            values.append(each)  # MongoDB calls 1.0 equal to 1, and Forbid does not
    if values:
        found.append({"not": {"enum": limits.choices(values)}})
    return found
