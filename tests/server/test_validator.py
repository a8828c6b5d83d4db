"""A validator refuses what the model refuses, and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import bson
import pytest
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, given, settings
from pydantic import Field
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from integrity.declare.registry import Registry
from integrity.declare.reserved import CONDEMNED
from integrity.rules.judge import Judge
from integrity.server.validator import validator
from integrity.store.codecs import CODEC
from tests.server.declarations import FIELDS, NASTY, cases, declared

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Database[dict[str, Any]]:
    return client[database_name].with_options(codec_options=OPTIONS)


def refused(database: Database[dict[str, Any]], registry: Registry, documents: list[dict[str, Any]]) -> set[Any]:
    """Insert documents past the guard and return the `_id`s of those that the server refuses."""
    entry = next(iter(registry))
    database.drop_collection(entry.collection)
    database.create_collection(entry.collection, validator=validator(entry))
    try:
        if documents:
            database[entry.collection].insert_many(documents, ordered=False)
    except BulkWriteError as error:
        errors = error.details["writeErrors"]
        return {each["op"]["_id"] if each["code"] == 121 else each["errmsg"] for each in errors}
    return set()


def as_stored(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the documents would be, read back; without those that BSON cannot hold."""
    found = []
    for each in documents:
        try:
            found.append(bson.decode(bson.encode(each, codec_options=OPTIONS), codec_options=OPTIONS))
        except (bson.errors.BSONError, UnicodeEncodeError, OverflowError):
            continue
    return found


@settings(max_examples=45, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_what_the_guard_lets_through_is_never_refused(
    database: Database[dict[str, Any]], case: tuple[Registry, list[dict[str, Any]]]
) -> None:
    registry, documents = case
    judge = Judge(next(iter(registry)))
    verdicts = [judge.offered(each) for each in documents]
    valid = [each.document for each in verdicts if not each.violations]
    assert refused(database, registry, valid) == set()


@settings(max_examples=45, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_what_the_audit_finds_clean_is_never_refused(
    database: Database[dict[str, Any]], case: tuple[Registry, list[dict[str, Any]]]
) -> None:
    registry, documents = case
    judge = Judge(next(iter(registry)))
    clean = [each for each in as_stored(documents) if not judge.stored(each)]
    assert refused(database, registry, clean) == set()


#: What only Python can decide: functions, what one branch of a union coerces for another, patterns that PCRE reads
#: differently, a time of day in a day, the lengths of binary data, the fractions of decimals.
PYTHONS = frozenset({"before", "before_len", "after", "union", "pet_plain", "url", "str_bounded_word", "str_forbid"})
ALWAYS = ("SCH001", "SCH002", "SCH004", "EMP001", "EMP002", "EMP003", "EMP004", "EMP005", "FRB001")


def test_how_many_of_the_invalid_the_server_refuses_is_measured_per_rule(
    database: Database[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Types, required and unknown fields, what is empty and placeholders are refused wherever they stand."""
    found: Counter[str] = Counter()
    missed: dict[str, list[str]] = {}
    for name, pair in FIELDS.items():
        registry = Registry([declared({name: pair.annotation})])
        judge = Judge(next(iter(registry)))
        offered = [{name: each} for each in (*pair.values, *NASTY)] + [{}, {name: "x", "extra": 1}]
        documents = as_stored([{"_id": number, **each} for number, each in enumerate(offered)])
        invalid = {each["_id"]: faults[0].code for each in documents if (faults := judge.stored(each))}
        server = refused(database, registry, documents)
        assert server <= invalid.keys(), name
        for at, code in invalid.items():
            found[code] += 1
            if at not in server:
                missed.setdefault(code, []).append(name)
    with capsys.disabled():
        print("\nrule     invalid  refused by the server")  # noqa: T201 - the measurement
        for code in sorted(found):
            refusals = found[code] - len(missed.get(code, ()))
            print(f"{code}  {found[code]:8} {refusals:8}  {', '.join(sorted(set(missed.get(code, ()))))}".rstrip())  # noqa: T201
    for code in ALWAYS:
        assert found[code], code
        assert set(missed.get(code, ())) <= PYTHONS, code


def test_what_a_delete_under_way_puts_on_a_document_is_let_through(database: Database[dict[str, Any]]) -> None:
    registry = Registry([declared({"name": str})])
    documents = [{"_id": 1, "name": "x", CONDEMNED: {"by": 1}}, {"_id": 2, "name": "x", "condemned": 1}]
    assert refused(database, registry, documents) == {2}


def test_the_length_of_bytes_is_kept_to_the_byte(database: Database[dict[str, Any]]) -> None:
    registry = Registry([declared({"data": Annotated[bytes, Field(min_length=2, max_length=3)]})])
    documents = [{"_id": many, "data": bytes([255] * many)} for many in range(1, 6)]
    assert refused(database, registry, documents) == {1, 4, 5}
