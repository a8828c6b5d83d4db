"""Every rule has its page, and what the page shows is true: its example is put into a database and audited."""

import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pymongo import MongoClient

import integrity
from integrity.audit import audit
from integrity.declare.registry import Registry
from integrity.errors import InvalidDocument
from integrity.report import rule_page
from integrity.rules import RULES, Rule
from integrity.store.blocking import BlockingStore
from integrity.store.run import run

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "rules"

# The design's table of rules, which is public: a code never changes its meaning.
CODES = {
    "EMP001": "empty-string",
    "EMP002": "white-space",
    "EMP003": "empty-container",
    "EMP004": "undeclared-null",
    "EMP005": "not-a-number",
    "FRB001": "placeholder",
    "FRB002": "forbidden-value",
    "FRB003": "control-character",
    "OWN001": "stale-copy",
    "OWN003": "foreign-write",
    "OWN004": "changed-immutable",
    "OWN005": "stale-revision",
    "REF001": "dangling-reference",
    "REF002": "wrong-key-type",
    "SCH001": "wrong-type",
    "SCH002": "missing-field",
    "SCH003": "constraint-not-met",
    "SCH004": "unknown-field",
    "SCH005": "own-validator",
    "UNQ001": "duplicate-value",
}

_DOCUMENT = re.compile(r"([a-z]+) +(\{.*\})")
_VIOLATION = re.compile(r"[A-Z]{3}\d{3} .*")

# Those whose example needs nothing but the documents that it shows.
SELF_CONTAINED = [each for each in RULES if each.code in CODES]

per_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def test_the_codes_and_names_are_those_that_were_promised() -> None:
    names = {each.code: each.name for each in RULES}
    assert len(names) == len(RULES)
    assert len(set(names.values())) == len(RULES)
    assert CODES.items() <= names.items()
    assert [each for each in names if not re.fullmatch("(SCH|EMP|FRB|REF|UNQ|OWN|DRF)[0-9]{3}", each)] == []


SECTIONS = ["What it finds", "Why it matters", "Example", "On a write", "In an audit", "Repair"]


@per_rule
def test_a_page_has_every_section_in_order_and_none_is_empty(rule: Rule) -> None:
    found = rule_page.sections(rule)
    assert list(found) == SECTIONS
    assert all(each.strip() for each in found.values())
    assert rule.title.endswith((".", '".'))
    assert len(rule.title) <= 100


@pytest.mark.parametrize("rule", SELF_CONTAINED, ids=lambda rule: rule.code)
def test_a_page_says_of_its_repair_what_the_rule_says(rule: Rule) -> None:
    assert rule_page.sections(rule)["Repair"].lower().startswith(rule.repair)
    assert rule_page.sections(rule)["In an audit"].startswith("Not judged") is not rule.audited


@per_rule
def test_a_page_fits_a_terminal_but_for_its_code(rule: Rule) -> None:
    lines = rule_page.text(rule).splitlines()[1:]
    assert [line for line in lines if len(line) > 80 and not line.startswith("      ")] == []


@pytest.mark.parametrize("rule", SELF_CONTAINED, ids=lambda rule: rule.code)
def test_the_example_of_a_page_is_what_an_audit_or_a_refusal_says(
    rule: Rule, client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    code, documents, expected = _example(rule)
    database = client[database_name]
    space: dict[str, Any] = {
        name: value for module in (typing, pydantic, integrity) for name in module.__all__
        if (value := getattr(module, name, None)) is not None
    }  # fmt: skip
    space |= {"integrity": integrity, "database": database, "re": re, "__name__": "example"}
    refused: tuple[Any, ...] = ()
    try:
        exec(code, space)  # noqa: S102 - the page's own code
    except InvalidDocument as error:
        refused = error.violations
    registry = Registry([each for each in space.values() if _has_collection(each)])
    for name in {each.collection for each in registry} - set(database.list_collection_names()):
        database.create_collection(name)
    for collection, document in documents:
        database[collection].insert_one(eval(document))  # noqa: S307 - the page's own document
    with run(audit(BlockingStore(database), registry)) as result:
        assert result.complete
        assert [str(each) for each in (*refused, *result.violations)] == expected
    assert {each[:6] for each in expected} == {rule.code}


def test_the_documentation_has_the_same_pages_and_lists_them() -> None:
    written = {each.name: each.read_text() for each in PAGES.glob("*.md")}
    expected = {rule_page.file_name(each): rule_page.markdown(each) for each in RULES}
    assert written == {**expected, "README.md": rule_page.index(RULES)}, "run python docs/reference/rules/write.py"


def _example(rule: Rule) -> tuple[str, list[tuple[str, str]], list[str]]:
    """The code, the documents and the violations of a page's example."""
    code: list[str] = []
    documents: list[tuple[str, str]] = []
    expected: list[str] = []
    for line in rule_page.sections(rule)["Example"].splitlines():
        text = line.removeprefix("    ")
        if found := _DOCUMENT.fullmatch(text):
            documents.append((found[1], found[2]))
        elif _VIOLATION.fullmatch(text):
            expected.append(text)
        else:
            code.append(text)
    return "\n".join(code), documents, expected


def _has_collection(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, integrity.Model) and value.__integrity__.collection is not None


OPTIMIZED = """
import sys
from pathlib import Path

from integrity.report import rule_page
from integrity.rules import RULES, page

for rule in RULES:
    Path(f"{rule.code}.md").write_text(rule_page.markdown(rule), encoding="utf-8")
page.inspect.getsource = lambda module: (_ for _ in ()).throw(OSError)
print(page.of(RULES[0].module))
"""


def test_a_page_is_there_without_docstrings_too(tmp_path: Path) -> None:
    command = [sys.executable, "-OO", "-c", OPTIMIZED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for rule in RULES:
        assert (tmp_path / f"{rule.code}.md").read_text(encoding="utf-8") == rule_page.markdown(rule)
    # Without the source either, it says so.
    assert "-OO" in done.stdout
