"""Reports of every content: hostile values, incomplete results, and a hundred thousand violations."""

import io
import json
import tracemalloc
from collections.abc import Callable
from typing import Any, TextIO

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.audit.result import AuditResult, CollectionResult
from integrity.report import WRITERS
from integrity.report.as_text import escape
from integrity.violation import Violation
from tests.report.conftest import Unspooled

Make = Callable[..., Violation]
TEXT_LINES = 8
HOSTILE = "a\x1b[2J\x07\r\n\x00\u202e\u2028[red]b[/red]\ud800é"


def add(result: AuditResult, violation: Violation) -> None:
    result.collections[0].add(violation)
    result.violations.add(violation)


def text(result: AuditResult, **options: Any) -> str:
    out = io.StringIO()
    WRITERS["text"](result, out, options.get("max_examples"))
    return out.getvalue()


def as_json(result: AuditResult, **options: Any) -> Any:
    out = io.StringIO()
    WRITERS["json"](result, out, options.get("max_examples"))
    assert out.getvalue().isascii()
    return json.loads(out.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("place", ["id", "path", "message", "hint", "collection", "database", "failure"])
def test_no_character_that_a_terminal_obeys_is_written(result: AuditResult, violation: Make, place: str) -> None:
    if place == "database":
        result.database = HOSTILE
    elif place == "failure":
        result.failure = HOSTILE
    elif place == "collection":
        result.collections = [CollectionResult(HOSTILE, complete=True)]
        add(result, violation(collection=HOSTILE))
    else:
        add(result, violation(**{place: HOSTILE}))
    said = text(result)
    assert "a\\x1b[2J\\x07" in said or "a\\u001b[2J\\u0007" in said  # the `_id` is JSON
    assert "[red]b[/red]" in said
    assert {each for each in said if not each.isprintable()} == {"\n"}
    assert as_json(result)["database"] == result.database


@given(st.text(st.characters(), max_size=30))
@settings(deadline=None)
def test_what_is_escaped_is_printable_and_what_is_printable_stays(value: str) -> None:
    assert escape(value).isprintable()
    if value.isprintable():
        assert escape(value) == value


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.floats()
        | st.text()
        | st.binary()
        | st.integers(-(2**63), 2**63 - 1)
        | st.just(ObjectId("65a1b2c3d4e5f60718293a4b"))
        | st.uuids()
        | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_id_is_valid_json_and_one_line_of_text(violation: Make, identity: Any) -> None:
    result = AuditResult("shop", [CollectionResult("things", 1, 1, complete=True)], Unspooled())  # type: ignore[arg-type]  # see there
    add(result, violation(id=identity))
    assert len(as_json(result)["violations"]) == 1
    assert len(text(result).splitlines()) == TEXT_LINES


def test_an_incomplete_result_has_no_word_of_a_clean_one(result: AuditResult) -> None:
    result.failure = "Reading 'things' ended after 1 of 3 documents: the connection was closed."
    result.collections = [CollectionResult("things", documents=3, scanned=1), CollectionResult("others")]
    assert text(result).splitlines() == [
        "things: 3 documents, 1 read (33.3 %), NOT COMPLETE",
        "  no violation in what was read",
        "",
        "others: 0 documents, 0 read, NOT COMPLETE",
        "  no violation in what was read",
        "",
        f"NOT COMPLETE: {result.failure}",
        "0 violations in the part of shop that was seen: 1 of 3 documents read in 0.0 s.",
    ]
    report = as_json(result)
    assert report["complete"] is False
    assert [each["scanned"] for each in report["collections"]] == [1, 0]


def test_paths_come_by_count_and_the_whole_document_has_a_name(result: AuditResult, violation: Make) -> None:
    for path, field in (("a.0", "a[]"), ("b", "b"), ("a.1", "a[]"), ("", "")):
        add(result, violation(path=path, field=field))
    assert [line.strip() for line in text(result, max_examples=0).splitlines()[1:5]] == [
        "EMP001 empty-string: 4",
        "a[]: 2",
        "(document): 1",
        "b: 1",
    ]


def test_every_line_but_those_that_quote_the_database_fits_a_terminal(result: AuditResult, violation: Make) -> None:
    add(result, violation())
    assert max(map(len, text(result).splitlines())) <= 85


class Endless:
    """Violations that stand nowhere, as many as one asks for."""

    COUNT = 10_000  # some 5 MB, were they kept

    def __init__(self, make: Make) -> None:
        self._make = make

    def __len__(self) -> int:
        return self.COUNT

    def __iter__(self) -> Any:
        return (self._make(id=number, path=f"lines.{number}", field="lines[]") for number in range(self.COUNT))

    def close(self) -> None: ...


class Counting(io.TextIOBase):
    """Somewhere to write that keeps nothing."""

    def __init__(self) -> None:
        self.lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_many_violations_cost_no_memory(name: str, result: AuditResult, violation: Make) -> None:
    result.violations = Endless(violation)  # type: ignore[assignment]  # see there
    result.collections[0].counts["EMP001"] = result.collections[0].paths["EMP001 lines[]"] = Endless.COUNT
    out = Counting()
    tracemalloc.start()
    try:
        WRITERS[name](result, _as_text(out), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    listed = {"concise", "json", "jsonl", "sarif", "gitlab"}  # the others show the first few
    assert out.lines > (Endless.COUNT if name in listed else 1)


def _as_text(out: io.TextIOBase) -> TextIO:
    return out  # type: ignore[return-value]  # all that a report uses is there
