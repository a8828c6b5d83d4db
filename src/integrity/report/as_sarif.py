"""The report as SARIF 2.1.0, for code scanning.

A violation has no line of a file: its place is a logical location, ``database.collection/_id/path``.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any, TextIO

from integrity.audit.baseline import fingerprint
from integrity.audit.result import AuditResult
from integrity.report.examples import first
from integrity.rules import RULES
from integrity.violation import Violation, extended_json

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_INDEX = {rule.code: index for index, rule in enumerate(RULES)}


def write(result: AuditResult, out: TextIO, max_examples: int | None = None) -> None:
    """Write the report, result by result.

    Args:
        result: What the audit found.
        out: Where it is written to.
        max_examples: List so many violations of each rule at each declared path; None for all.
    """
    out.write(f'{{"$schema": {json.dumps(_SCHEMA)}, "version": "2.1.0", "runs": [{{"tool": {json.dumps(_tool())}, ')
    out.write(f'"invocations": {json.dumps([_invocation(result)])}, "columnKind": "unicodeCodePoints", "results": [')
    separator = "\n"
    for each in first(result.violations, max_examples):
        out.write(f"{separator}{json.dumps(_result(each, result.database, result.warned))}")
        separator = ",\n"
    out.write("\n]}]}\n")


def _tool() -> dict[str, Any]:
    rules = [
        {
            "id": rule.code,
            "name": rule.name,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.page},
        }
        for rule in RULES
    ]
    return {"driver": {"name": "integrity", "version": version("mongo-integrity"), "rules": rules}}


def _invocation(result: AuditResult) -> dict[str, Any]:
    found: dict[str, Any] = {"executionSuccessful": result.done}
    if not result.complete:
        level = "warning" if result.done else "error"
        found["toolExecutionNotifications"] = [{"level": level, "message": {"text": result.unseen}}]
    return found


def _result(violation: Violation, database: str, warned: frozenset[str]) -> dict[str, Any]:
    id_ = json.dumps(extended_json(violation.id))
    path = f" {violation.path}" if violation.path else ""
    return {
        "ruleId": violation.code,
        "ruleIndex": _INDEX[violation.code],
        "level": "warning" if violation.code in warned else "error",
        "message": {"text": f"{violation.collection} {id_}{path}: {violation.message} {violation.hint}"},
        "locations": [
            {
                "logicalLocations": [
                    {
                        "name": violation.path or violation.collection,
                        "fullyQualifiedName": f"{database}.{violation.collection}/{id_}/{violation.path}",
                        "kind": "member",
                    }
                ]
            }
        ],
        "partialFingerprints": {"integrity/v1": f"{fingerprint(violation):016x}"},
    }
