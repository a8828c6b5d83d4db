"""The JSON report: one object, written as it is read, so that its length costs no memory.

``{"database", "complete", "seconds", "collections": [{"name", "documents", "scanned", "counts", "paths"}],
"violations": [{"code", "rule", "collection", "id", "path", "message", "hint"}]}``; ids in relaxed extended JSON.
Each collection and each violation stands on a line of its own. Where not everything was seen, ``"unseen"`` says why;
where rules only warn, ``"warnings"`` has their codes; of a sample, each collection has ``"estimates"``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, TextIO

from integrity.audit.result import AuditResult, CollectionResult
from integrity.report.examples import first


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report.

    Args:
        result: What the audit found.
        out: Where it is written to. Every character is ASCII.
        max_examples: List so many violations of each rule at each declared path; None for all. Counts are
            of all in either case.
    """
    out.write(_dumps(_head(result))[:-1])
    _array(out, "collections", _collections(result))
    _array(out, "violations", (each.to_json() for each in first(result.violations, max_examples)))
    out.write("}\n")


def summary(result: AuditResult) -> dict[str, Any]:
    """Return the report without the violations."""
    return {**_head(result), "collections": list(_collections(result))}


def _head(result: AuditResult) -> dict[str, Any]:
    head: dict[str, Any] = {
        "database": result.database,
        "complete": result.complete,
        "seconds": round(result.seconds, 3),
    }
    if not result.complete:
        head["unseen"] = result.unseen
    if result.warned:
        head["warnings"] = sorted(result.warned)
    if result.compared is not None:
        known, gone, others = result.compared.known, result.compared.gone, result.compared.others
        head["baseline"] = {"new": result.total, "known": known, "gone": gone, "others": others}
    return head


def _array(out: TextIO, name: str, items: Iterable[dict[str, Any]]) -> None:
    out.write(f', "{name}": [')
    separator = "\n"
    for each in items:
        out.write(separator + _dumps(each))
        separator = ",\n"
    out.write("]" if separator == "\n" else "\n]")


def _collections(result: AuditResult) -> Iterator[dict[str, Any]]:
    for each in result.collections:
        found = _collection(each)
        if result.sampled:
            found["estimates"] = {code: asdict(one) for code, one in each.estimates().items()}
        yield found


def _collection(result: CollectionResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "documents": result.documents,
        "scanned": result.scanned,
        "counts": dict(sorted(result.counts.items())),
        "paths": dict(sorted(result.paths.items())),
    }


def _dumps(value: dict[str, Any]) -> str:
    # Extended JSON has its own words for NaN and infinity; JSON has none.
    return json.dumps(value, allow_nan=False)
