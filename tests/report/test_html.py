"""The HTML report as text: its size, its policy, what it says of what was not seen, and that no value is markup."""

import base64
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.audit.baseline import fingerprint
from integrity.audit.result import AuditResult, CollectionResult
from integrity.audit.state import Run
from integrity.report import as_html
from integrity.report.as_html import mongosh
from integrity.report.as_html.element import element
from integrity.report.evidence import Edge, Evidence, Seen, survey
from integrity.report.excerpt import excerpt
from integrity.report.timeline import Timeline
from integrity.violation import Violation
from tests.report.conftest import Unspooled

Make = Callable[..., Violation]

MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onfocus=alert(3) x=' & <!-- ]]>"
HOSTILE = f"{MARKUP}\u202e\u2066\x00\ud800\u2028 {'x' * 100_000}"
OWN_ELEMENTS = {"script": 1, "style": 1, "link": 1, "meta": 5}


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.ids: list[str] = []
        self.words = ""
        self._code = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in {"href", "src"}}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self._code = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self._code = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self._code else data


def source(result: AuditResult, evidence: Evidence | None = None, max_examples: int | None = None) -> str:
    out = io.StringIO()
    as_html.write(result, out, max_examples, evidence=evidence)
    return out.getvalue()


def hostile(result: AuditResult, violation: Make, text: str = HOSTILE) -> tuple[AuditResult, Evidence]:
    """A result and evidence whose every text is hostile."""
    result.database = text
    result.collections = [CollectionResult(text, 3, 3, complete=True)]
    for code in ("EMP001", "REF001", "OWN001", "SCH004"):
        found = violation(code=code, collection=text, id=text, path=text, message=text, hint=text, values=(text, text))
        result.violations.add(found)
        result.collections[0].add(found)
    evidence = survey(result)
    evidence.references = (Edge(text, text, text, text, 3, 1, 0, judged=True),)
    evidence.note = text
    evidence.models = evidence.full = text[:250]  # as long as a file's name may be
    document = {text: text, "b": {text: [text]}}
    for each in result.violations:
        evidence.seen[fingerprint(each)] = Seen(excerpt(document, text), text, excerpt(document, f"b.{text}.0"))
    evidence.history = (Run(0.0, 1.0, complete=True, counts={text: 1}), Run(9.0, 1.0, complete=True, counts={}))
    return result, evidence


def test_no_value_is_markup_and_none_is_long(result: AuditResult, violation: Make) -> None:
    text = source(*hostile(result, violation))
    page = Page(text)
    assert {name: page.elements[name] for name in OWN_ELEMENTS} == OWN_ELEMENTS
    assert page.elements["img"] == 0
    assert [each for each in page.attributes if each.startswith("on") or each == "style"] == []
    assert "alert(1)" in page.words
    assert "\\u202e" in text or "\\u2066" in text
    assert {each for each in page.words if not each.isprintable()} <= {"\n"}
    assert len(text) < 200_000
    assert {each for each in page.links if not each.startswith(("#", "./"))} == {"data:,"}


@given(st.text(st.characters(), min_size=1, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
def test_no_text_changes_the_elements(violation: Make, value: str) -> None:
    result = AuditResult("shop", [], Unspooled())  # type: ignore[arg-type]  # see there
    found = Page(source(*hostile(result, violation, value)))
    assert {name: found.elements[name] for name in OWN_ELEMENTS} == OWN_ELEMENTS
    assert found.elements["img"] == found.elements["iframe"] == 0


def test_the_policy_lets_only_its_own_style_and_script_run(result: AuditResult) -> None:
    text = source(result)
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert found is not None
    policy = dict(each.strip().split(" ", 1) for each in found[1].split(";"))
    assert policy["default-src"] == "'none'"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        body = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert policy[name] == f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
    assert "http:" not in text.replace(found[0], "")
    assert "https:" not in text


def test_ids_are_there_once_and_every_link_within_leads_somewhere(result: AuditResult, violation: Make) -> None:
    page = Page(source(*hostile(result, violation)))
    assert [each for each, many in Counter(page.ids).items() if many > 1] == []
    assert {each[1:] for each in page.links if each.startswith("#")} <= set(page.ids)


def test_what_was_not_seen_is_neither_clean_nor_zero(result: AuditResult) -> None:
    result.collections.append(CollectionResult("others", documents=9))
    result.failure = "The connection was lost."
    page = Page(source(result))
    assert "Not complete: 0 violations in what was seen" in page.words
    assert "NOT COMPLETE: The connection was lost." in page.words
    assert "Clean" not in page.words
    assert "100 %" not in page.words


def test_a_clean_audit_says_so(result: AuditResult) -> None:
    words = Page(source(result)).words
    assert "Clean: no violation" in words
    assert "100 %" in words


def test_a_million_violations_are_less_than_three_megabytes(violation: Make) -> None:
    codes = ("EMP001", "FRB001", "REF001", "OWN001", "SCH001", "SCH004", "UNQ001")
    long = "é<&\u202e" * 100
    result = AuditResult(long, [CollectionResult(f"{n} {long}", 10_000, 10_000, complete=True) for n in range(200)])
    with result:
        for each in result.collections:
            for code in codes:
                for path in range(20):  # of each of these, 36 were found
                    found = violation(code=code, collection=each.name, path=f"{path} {long}", message=long, hint=long)
                    result.violations.add(found)
                    each.counts[code] += 36
                    each.paths[f"{code} {found.field}"] += 36
        evidence = survey(result)
        seen = Seen(excerpt({f"{n}{long}": long for n in range(50)}, f"3{long}"), long)
        evidence.seen = {fingerprint(each): seen for many in evidence.examples.values() for each in many}
        text = source(result, evidence)
    assert sum(each.counts.total() for each in result.collections) > 1_000_000
    assert 1_000_000 < len(text.encode()) <= as_html.LIMIT
    assert "left out" in text


def test_examples_are_as_many_as_asked_for(result: AuditResult, violation: Make) -> None:
    for number in range(9):
        found = violation(id=number)
        result.violations.add(found)
        result.collections[0].add(found)
    assert [Page(source(result, None, limit)).elements["article"] for limit in (None, 0, 5)] == [3, 0, 5]


def test_an_excerpt_is_short_and_marks_the_place() -> None:
    document = {"_id": 1, **{f"f{n}": n for n in range(99)}, "items": [{"qty": n, "t": "x" * 999} for n in range(50)]}
    lines = excerpt(document, "items.40.qty")
    assert len(lines) < 30
    assert [(each.key, each.value) for each in lines if each.marked] == [("qty", "40")]
    assert [each.key for each in lines if each.depth == 0 and each.key] == ["f96", "f97", "f98", "items"]
    assert [each.value for each in excerpt(document, "gone") if each.marked] == ["(not there)"]
    assert max(len(each.value) for each in lines) < 130


@pytest.mark.parametrize(
    ("identity", "written"),
    [
        (5, "5"),
        (True, "true"),
        ('a"\u202e\n', '"a\\"\\u202e\\n"'),
        (ObjectId("65a1b2c3d4e5f60718293a4b"), 'ObjectId("65a1b2c3d4e5f60718293a4b")'),
        (2**60, 'EJSON.parse("{\\"$numberLong\\": \\"1152921504606846976\\"}")'),
    ],
)
def test_a_query_to_copy_is_one_line_of_ascii(violation: Make, identity: Any, written: str) -> None:
    found = mongosh.query("SCH001", 'a"b\n', "x", [violation(id=identity)], ())
    assert found is not None
    assert found.text == f'db.getCollection("a\\"b\\n").find({{_id: {{$in: [{written}]}}}})'
    assert found.text.isascii()
    assert found.text.isprintable()


def test_a_path_that_is_no_name_gets_no_query_by_name(violation: Make) -> None:
    found = mongosh.query("EMP001", "c", 'a"}); db.dropDatabase(); ({"', [violation(id=1)], ())
    assert found is not None
    assert "dropDatabase" not in found.text


def test_times_cost_no_memory_and_one_that_is_far_off_hides_no_other() -> None:
    times = Timeline()
    for number in range(100_000):
        times.add("EMP001", 1_700_000_000 + number * 60)
    times.add("EMP001", 10.0)
    bars = times.bars(60)
    assert bars is not None
    assert len(bars.counts) <= 60
    assert sum(bars.counts) + bars.before + bars.after == len(times) == 100_001
    assert bars.before >= 1
    assert sum(1 for each in bars.counts if each) > 20
    assert len(times._counts) <= 2000


def test_an_element_escapes_what_is_not_an_element() -> None:
    assert element("p", "<b>", element("b", "&"), title='"') == '<p title="&quot;">&lt;b&gt;<b>&amp;</b></p>'
    with pytest.raises(ValueError, match="no name of an attribute"):
        element("p", **{"a b": "x"})
