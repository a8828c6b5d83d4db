"""The formats for machines: each is well-formed whatever the database holds, and never clean when incomplete."""

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest

from integrity.audit.result import AuditResult, Compared
from integrity.report import WRITERS
from integrity.rules import RULES
from integrity.violation import Violation

Make = Callable[..., Violation]

HOSTILE = "</script><script>alert(1)</script>\n\r\x00\x1b[31m|`*_[x](javascript:1)]]>&\u202e%0A::error::,: \ud800"


def written(name: str, result: AuditResult, max_examples: int | None = None) -> str:
    out = io.StringIO()
    WRITERS[name](result, out, max_examples)
    return out.getvalue()


def hostile(result: AuditResult, violation: Make) -> AuditResult:
    """A result with a violation whose every text is hostile."""
    found = violation(id=HOSTILE, path=f"a.{HOSTILE}", message=f"is {HOSTILE}.", values=(HOSTILE,))
    result.violations.add(found)
    result.collections[0].add(found)
    return result


def test_sarif_has_what_the_standard_wants(result: AuditResult, violation: Make) -> None:
    log = json.loads(written("sarif", hostile(result, violation)))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "integrity"
    assert [each["id"] for each in run["tool"]["driver"]["rules"]] == [each.code for each in RULES]
    assert run["invocations"] == [{"executionSuccessful": True}]
    (found,) = run["results"]
    assert run["tool"]["driver"]["rules"][found["ruleIndex"]]["id"] == found["ruleId"] == "EMP001"
    assert found["level"] == "error"
    assert found["message"]["text"]
    assert found["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].startswith("shop.things/")
    assert re.fullmatch("[0-9a-f]{16}", found["partialFingerprints"]["integrity/v1"])


def test_sarif_of_an_incomplete_audit_says_so(result: AuditResult) -> None:
    result.failure = "The connection was lost."
    (invocation,) = json.loads(written("sarif", result))["runs"][0]["invocations"]
    assert not invocation["executionSuccessful"]
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "The connection was lost."


def test_annotations_and_markdown_of_an_incomplete_audit_say_so(result: AuditResult) -> None:
    result.failure, result.collections[0].complete = "The connection was lost.", False
    lines = written("github", result).splitlines()
    assert lines
    assert all(line.startswith("::error::") for line in lines)
    assert "3 documents, 3 read, **not complete**." in written("markdown", result)


def test_junit_is_xml_whatever_the_database_holds(result: AuditResult, violation: Make) -> None:
    root = ET.fromstring(written("junit", hostile(result, violation)).encode("utf-8", "backslashreplace"))  # noqa: S314 - our own
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        "things",
        "1",
        "1",
        "0",
    )
    assert "alert(1)" in "".join(suite.itertext())


def test_junit_of_a_clean_collection_has_a_case_that_passes(result: AuditResult) -> None:
    root = ET.fromstring(written("junit", result))  # noqa: S314 - our own
    assert [each.get("name") for each in root.iter("testcase")] == ["no violation"]
    result.collections[0].complete = False
    root = ET.fromstring(written("junit", result))  # noqa: S314 - our own
    assert [each.get("errors") for each in root.iter("testsuite")] == ["1"]


def test_no_value_becomes_a_workflow_command_of_its_own(result: AuditResult, violation: Make) -> None:
    lines = written("github", hostile(result, violation)).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("::error") for line in lines)
    assert "%250A" in lines[0]


def test_gitlab_has_a_list_of_issues(result: AuditResult, violation: Make) -> None:
    (issue,) = json.loads(written("gitlab", hostile(result, violation)))
    assert {"description", "check_name", "fingerprint", "severity", "location"} == set(issue)
    result.failure = "The connection was lost."
    first, _ = json.loads(written("gitlab", result))
    assert first["severity"] == "blocker"


def test_json_lines_end_with_the_summary(result: AuditResult, violation: Make) -> None:
    lines = [json.loads(line) for line in written("jsonl", hostile(result, violation)).splitlines()]
    assert lines[0]["code"] == "EMP001"
    assert lines[1]["summary"]["complete"] is True
    assert lines[1]["summary"]["collections"][0]["counts"] == {"EMP001": 1}


def test_markdown_means_nothing_but_itself(result: AuditResult, violation: Make) -> None:
    text = written("markdown", hostile(result, violation))
    assert "<script" not in text
    assert "](javascript" not in text
    rows = [line for line in text.splitlines() if line.startswith("| EMP001")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 5


def test_a_concise_violation_is_one_line(result: AuditResult, violation: Make) -> None:
    first, last = written("concise", hostile(result, violation)).splitlines()
    assert first.startswith("things ")
    assert "EMP001" in first
    assert first.isprintable()
    assert last.startswith("1 violation in 1 collection of shop")


def test_statistics_count_by_rule(result: AuditResult, violation: Make) -> None:
    assert written("statistics", hostile(result, violation)).splitlines()[0].split() == ["1", "EMP001", "empty-string"]


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"gitlab", "sarif", "junit"}))
def test_what_was_not_seen_is_never_clean(name: str, result: AuditResult) -> None:
    result.collections[0].complete = False
    result.failure = "The connection was lost."
    text = written(name, result)
    assert "No violation in" not in text
    assert "NOT COMPLETE" in text.replace("\\", "") or '"complete": false' in text


@pytest.mark.parametrize("name", ["text", "concise", "markdown", "github", "statistics", "html"])
def test_a_baseline_is_told(name: str, result: AuditResult) -> None:
    result.compared = Compared(known=7, gone=2)
    assert "0 new, 7 known, 2 gone" in written(name, result)


def test_a_baseline_stands_in_the_json(result: AuditResult) -> None:
    result.compared = Compared(known=7, gone=2)
    found: dict[str, Any] = json.loads(written("json", result))
    assert found["baseline"] == {"new": 0, "known": 7, "gone": 2, "others": 0}


def test_a_rule_that_only_warns_fails_in_no_format(result: AuditResult, violation: Make) -> None:
    result.warned = frozenset({"EMP001"})
    hostile(result, violation)
    assert json.loads(written("sarif", result))["runs"][0]["results"][0]["level"] == "warning"
    assert json.loads(written("gitlab", result))[0]["severity"] == "minor"
    assert json.loads(written("json", result))["warnings"] == ["EMP001"]
    suite = ET.fromstring(written("junit", result)).find("testsuite")  # noqa: S314 - written a line above
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "1", "failures": "0", "errors": "0", "skipped": "1",
    }  # fmt: skip
    lines = written("github", result).splitlines()
    assert all(line.startswith("::warning") for line in lines)
    for name in ("text", "concise", "markdown", "statistics"):
        assert "warning" in written(name, result)
    assert "No error, and 1 warning" in written("html", result)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_part_that_was_asked_for_is_no_error_and_never_clean(name: str, result: AuditResult) -> None:
    result.partial, result.sampled = "Only a sample of 1 % of the documents was asked for.", True
    result.collections[0].complete, result.collections[0].done, result.collections[0].documents = False, True, 300
    text = written(name, result)
    assert "Only a sample of 1 %" in text.replace("\\", "")
    assert "No violation" not in text
    assert "Clean" not in text
    if name == "sarif":
        found = json.loads(text)["runs"][0]["invocations"][0]
        assert found["executionSuccessful"]
        assert found["toolExecutionNotifications"][0]["level"] == "warning"
    if name == "junit":
        assert 'errors="0" skipped="1"' in text
    if name in {"text", "statistics", "markdown", "concise", "html"}:
        assert "of 300 documents at most" in text


def test_the_share_of_a_sample_is_of_what_was_read(result: AuditResult) -> None:
    collection = result.collections[0]
    assert collection.judged == 3
    collection.complete, collection.documents, collection.scanned = False, 1000, 10
    assert collection.judged == 10
    collection.scanned = 0
    assert collection.judged == 1000
