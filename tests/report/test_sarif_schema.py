"""The SARIF output is valid by the standard's own schema, whatever the database holds and whatever was not seen."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bson import Binary, Decimal128, MaxKey, ObjectId, Regex

from integrity.audit.result import AuditResult, Compared
from integrity.report import as_sarif
from integrity.report.redacted import Redacted
from integrity.rules import RULES
from integrity.violation import Violation

Make = Callable[..., Violation]

SCHEMA = Path(__file__).parent / "sarif" / "sarif-schema-2.1.0.json"
HOSTILE = "</script>\n\r\x00\x1b[31m\u202e\u2028 \ud800 %0A {{x}} \U0001f600"


@pytest.fixture(scope="module")
def standard() -> Any:
    """The standard's validator."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


def log(result: AuditResult, max_examples: int | None = None) -> Any:
    out = io.StringIO()
    as_sarif.write(result, out, max_examples)
    return json.loads(out.getvalue())


def faults(standard: Any, result: AuditResult) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in standard.iter_errors(log(result))]


def test_the_schema_is_the_standards(standard: Any) -> None:
    assert standard.schema["$id"].endswith("oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json")
    with AuditResult("shop") as nothing:
        assert faults(standard, nothing) == []
    broken = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": 1}}}]}
    assert [each.json_path for each in standard.iter_errors(broken)] == ["$.runs[0].tool.driver.name"]


def test_a_violation_of_every_rule_is_valid(standard: Any, result: AuditResult, violation: Make) -> None:
    for rule in RULES:
        result.violations.add(violation(code=rule.code, rule=rule.name, path="" if rule.family == "DRF" else "a.b.0"))
    assert faults(standard, result) == []
    assert len(log(result)["runs"][0]["results"]) == len(RULES)


@pytest.mark.parametrize(
    "identity",
    [None, 1, 1.5, float("nan"), HOSTILE, "", ObjectId("65a1b2c3d4e5f60718293a4b"), Binary(b"\x00\xff", 5), {"a": [1]},
     Decimal128("NaN"), Regex("a"), MaxKey(), True, 2**63 - 1],
    ids=repr,
)  # fmt: skip
def test_every_id_is_valid(standard: Any, result: AuditResult, violation: Make, identity: Any) -> None:
    result.violations.add(violation(id=identity))
    assert faults(standard, result) == []


def test_hostile_keys_and_values_are_valid_redacted_or_not(standard: Any, result: AuditResult, violation: Make) -> None:
    result.database = HOSTILE
    result.violations.add(
        violation(collection=HOSTILE, path=HOSTILE, message=f"is {HOSTILE}.", hint=HOSTILE, values=(HOSTILE,))
    )
    assert faults(standard, result) == []
    result.violations = Redacted(result.violations)
    assert faults(standard, result) == []
    assert log(result)["runs"][0]["results"][0]["message"]["text"].endswith("is <redacted>. <redacted>")


def test_what_was_not_seen_and_what_is_known_are_valid(standard: Any, result: AuditResult, violation: Make) -> None:
    result.violations.add(violation())
    result.collections[0].complete = False
    result.failure = HOSTILE
    result.compared = Compared(known=3, gone=1)
    assert faults(standard, result) == []
