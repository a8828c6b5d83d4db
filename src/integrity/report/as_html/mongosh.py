"""Queries to copy into mongosh: one line of ASCII, in which no value of the database can end a string.

Source: https://www.mongodb.com/docs/mongodb-shell/reference/data-types/
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId, json_util

from integrity.report.evidence import Edge
from integrity.violation import Violation, extended_json

_SAFE_INTEGER = 2**53
#: Characters of a query that is offered: who pastes more does not read it.
_LONGEST = 2000

#: What a path must be for a query to find its values by name: a name, names joined by dots, or an array's elements.
_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-[]")


@dataclass(frozen=True)
class Query:
    """A query.

    Args:
        text: What is pasted.
        meaning: What it finds, in a few words.
    """

    text: str
    meaning: str


def query(code: str, collection: str, path: str, examples: Sequence[Violation], edges: Iterable[Edge]) -> Query | None:
    """Return the query that shows the violations of a rule at a declared path, or those of the examples.

    Args:
        code: The rule's code.
        collection: The collection's name.
        path: The declared path.
        examples: Violations of it.
        edges: The declared references.
    """
    found = _of_the_rule(code, collection, path, edges)
    if found is None and examples:
        ids = ", ".join(_literal(each.id) for each in examples)
        found = Query(f"{_collection(collection)}.find({{_id: {{$in: [{ids}]}}}})", "the examples")
    return found if found is not None and len(found.text) <= _LONGEST else None


def _of_the_rule(code: str, collection: str, path: str, edges: Iterable[Edge]) -> Query | None:
    if not path or not set(path) <= _PLAIN:
        return None
    name = path.replace("[]", "")
    field, inside = json.dumps(name), "[]" in path
    simple = {
        "EMP001": f'{{{field}: ""}}',
        "EMP004": f"{{{field}: {{$type: 10}}}}",
        "EMP005": f"{{{field}: {{$in: [NaN, Infinity, -Infinity]}}}}",
    }
    if not inside:
        simple["EMP003"] = f"{{{field}: {{$in: [[], {{}}]}}}}"
        if "." not in name:  # where the object around it is missing, nothing is wrong with the field
            simple["SCH002"] = f"{{{field}: {{$exists: false}}}}"
    if code in simple:
        return Query(f"{_collection(collection)}.find({simple[code]})", "all of these")
    if code == "REF001":
        for each in edges:
            if (each.source, each.path) == (collection, path):
                return Query(_orphans(each, name, unwind=inside), "every dangling value, with how often it is there")
    if code == "UNQ001" and not inside and "," not in path:
        stages = [
            f'{{$group: {{_id: {json.dumps(f"${name}")}, ids: {{$push: "$_id"}}, n: {{$sum: 1}}}}}}',
            "{$match: {n: {$gt: 1}, _id: {$ne: null}}}",
            "{$sort: {n: -1}}",
        ]
        return Query(f"{_collection(collection)}.aggregate([{', '.join(stages)}])", "every value that is there twice")
    return None


def _orphans(edge: Edge, name: str, *, unwind: bool) -> str:
    stages = []
    if unwind:
        here = ""
        for part in edge.path.split("[]")[:-1]:
            here += part
            stages.append(f"{{$unwind: {json.dumps(f'${here}')}}}")
    keys = f'localField: "_id", foreignField: {json.dumps(edge.field)}, as: "target"'
    stages += [
        f"{{$match: {{{json.dumps(name)}: {{$ne: null}}}}}}",
        f"{{$group: {{_id: {json.dumps(f'${name}')}, n: {{$sum: 1}}}}}}",
        f"{{$lookup: {{from: {json.dumps(edge.target)}, {keys}}}}}",
        "{$match: {target: []}}",
        "{$project: {target: 0}}",
        "{$sort: {n: -1}}",
    ]
    return f"{_collection(edge.source)}.aggregate([{', '.join(stages)}])"


def _collection(name: str) -> str:
    return f"db.getCollection({json.dumps(name)})"


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) < _SAFE_INTEGER:
        return str(int(value))
    if isinstance(value, ObjectId):
        return f'ObjectId("{value}")'
    if isinstance(value, uuid.UUID):
        return f'UUID("{value}")'
    if isinstance(value, dt.datetime):
        return f'ISODate("{value.isoformat(timespec="milliseconds")}Z")'
    # Canonical, so that a long stays a long and a decimal a decimal.
    return f"EJSON.parse({json.dumps(_canonical(value))})"


def _canonical(value: Any) -> str:
    try:
        return json_util.dumps(value, json_options=json_util.CANONICAL_JSON_OPTIONS)
    except (TypeError, ValueError):
        return json.dumps(extended_json(value), default=str)
