"""What the HTML report shows beside the violations is true: its queries are run, its counts are made again."""

import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity import Forbid, Model, Ref, Unique
from integrity.audit import AuditResult, Baseline, Options, audit
from integrity.audit.baseline import known as known_by
from integrity.declare.registry import Registry
from integrity.report import as_html
from integrity.report.as_html.mongosh import query
from integrity.report.evidence import Evidence, gather, kinds
from integrity.store.blocking import BlockingStore
from integrity.store.run import run


class Color(Model, collection="colors"):
    id: int
    name: Annotated[str, Unique()]


class Line(Model):
    color: Annotated[int, Ref(Color)]
    marks: list[Annotated[str, Ref(Color, field="name")]] | None = None


class Sale(Model, collection="sales"):
    id: int
    color: Annotated[int | None, Ref(Color)] = None
    lines: list[Line] | None = None
    note: str
    weight: float = 1.0
    tags: list[str] | None = None


@pytest.fixture
def found(
    client: MongoClient[dict[str, Any]], database_name: str
) -> Iterator[tuple[Database[Any], AuditResult, Evidence]]:
    """A database with faults, its audit and what is shown of it."""
    database = client[database_name]
    database["colors"].insert_many(
        [{"_id": n, "name": "red" if n < 3 else f"c{n}"} for n in range(5)] + [{"_id": 9, "name": None}]
    )
    database["sales"].insert_many(
        [
            {"_id": 1, "color": 77, "lines": [{"color": 1}, {"color": 88, "marks": ["red", "blue"]}], "note": ""},
            {"_id": 2, "lines": [{"color": 88, "marks": ["blue"]}, {"color": 0, "marks": []}], "note": "x", "tags": []},
            {"_id": 3, "color": None, "weight": float("nan"), "tags": ["a", ""]},
        ]
    )
    store, registry = BlockingStore(database), Registry([Color, Sale])
    with run(audit(store, registry)) as result:
        yield database, result, run(gather(store, registry, result))


def test_each_query_finds_as_many_as_the_audit(found: tuple[Database[Any], AuditResult, Evidence]) -> None:
    database, result, evidence = found
    tried = set()
    for collection, code, path, count in kinds(result):
        examples = evidence.examples[collection, code, path]
        one = query(code, collection, path, examples, evidence.references or ())
        assert one is not None
        assert one.text.isascii()
        parts = re.fullmatch(r'db\.getCollection\("(\w+)"\)\.(find|aggregate)\((.*)\)', one.text)
        assert parts is not None
        given = json.loads(re.sub(r"([{,]\s*)(\$?\w+):", r'\1"\2":', parts[3]))
        documents = list(getattr(database[parts[1]], parts[2])(given))
        if code == "REF001":
            assert sum(each["n"] for each in documents) == count
        elif code == "UNQ001":
            assert sum(len(each["ids"]) for each in documents) == count
        else:
            assert len(documents) == count
        tried.add(code)
    assert {"REF001", "UNQ001", "EMP001", "EMP003", "EMP004", "EMP005", "SCH002"} <= tried


def test_the_graph_has_every_reference_with_its_count(found: tuple[Database[Any], AuditResult, Evidence]) -> None:
    _, _, evidence = found
    assert {(each.path, each.target, each.field, each.dangling) for each in evidence.references or ()} == {
        ("color", "colors", "_id", 1),
        ("lines[].color", "colors", "_id", 2),
        ("lines[].marks[]", "colors", "name", 2),
    }


def test_what_a_baseline_knows_dangles_in_the_graph_too(found: tuple[Database[Any], AuditResult, Evidence]) -> None:
    """The line of a reference says how often it dangles, and not how much of that is new."""
    database, before, _ = found
    store, registry = BlockingStore(database), Registry([Color, Sale])
    known = Baseline(map(known_by, before.violations))
    with run(audit(store, registry, baseline=known)) as result:
        assert result.total == 0
        evidence = run(gather(store, registry, result))
    assert sorted(each.dangling for each in evidence.references or ()) == [1, 2, 2]


def test_a_reference_that_was_not_asked_for_does_not_count_as_sound(
    found: tuple[Database[Any], AuditResult, Evidence],
) -> None:
    database, _, _ = found
    store, registry = BlockingStore(database), Registry([Color, Sale])
    options = Options(ignore=("REF",))
    out = io.StringIO()
    with run(audit(store, registry, options)) as result:
        evidence = run(gather(store, registry, result, options=options))
        as_html.write(result, out, evidence=evidence)
    assert not any(each.judged for each in evidence.references or ())
    assert "REF001" not in (evidence.judged or ())
    assert 'class="edge unseen"' in out.getvalue()


def test_what_was_written_by_no_object_id_is_dated_by_a_declared_field(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    class Dated(Model, collection="dated"):
        id: int
        name: str
        created_at: dt.datetime

    database = client[database_name]
    database["dated"].insert_many(
        [{"_id": n, "name": "", "created_at": dt.datetime(2024, 1 + n, 1)} for n in range(6)]  # noqa: DTZ001 - BSON's are UTC
    )
    store, registry = BlockingStore(database), Registry([Dated])
    with run(audit(store, registry)) as result:
        evidence = run(gather(store, registry, result))
    assert (len(evidence.written), evidence.undated, evidence.dates) == (6, 0, {"dated": "created_at"})
    assert [f"{each:%Y-%m-%d}" for each in evidence.written.ends("EMP001") or ()] == ["2024-01-01", "2024-06-01"]


class Member(Model, collection="members"):
    id: int
    name: str
    born: dt.datetime
    code: Annotated[str | None, Forbid(lambda value: {"A": 1}[value.upper()] == 2)] = None


def test_a_redacted_report_shows_no_date_and_no_text_of_an_error(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    """The only date of a document may be a birthday, and what a function raises quotes what it was given."""
    database = client[database_name]
    database.members.insert_one(
        {"_id": 1, "name": "", "born": dt.datetime(1987, 3, 14, tzinfo=dt.UTC), "code": "topsecret"}
    )
    store, registry = BlockingStore(database), Registry([Member])
    with run(audit(store, registry)) as result:
        shown, hidden = (run(gather(store, registry, result, redacted=each)) for each in (False, True))
        assert shown.dates == {"members": "born"}
        assert not hidden.dates
        assert not len(hidden.written)
        texts = [each.redacted().message for each in result.violations]
    assert len(texts) == 2
    assert not any("secret" in each.lower() for each in texts)
