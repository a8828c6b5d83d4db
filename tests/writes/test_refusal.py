"""Errors: of the most particular class, also PyMongo's own, carried over a pickle, and silent about values if asked."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.database import Database

import integrity
from integrity import (
    DanglingReference,
    DuplicateValue,
    ForeignWrite,
    ImmutableField,
    IntegrityError,
    InvalidBulkWrite,
    InvalidDocument,
    StaleDocument,
    Violation,
)
from integrity.writes.refusal import refusal
from tests.writes.shop import CUSTOMER, MODELS, Customer

Raw = Database[dict[str, Any]]
CODES = ["EMP001", "SCH001", "REF001", "REF002", "UNQ001", "OWN001", "OWN003", "OWN004", "OWN005"]


def violation(code: str) -> Violation:
    return Violation(code, "rule", "things", 1, "path", "is wrong.", "Mend it.")


@given(st.lists(st.sampled_from(CODES), min_size=1))
def test_the_class_says_what_all_of_the_violations_are(codes: list[str]) -> None:
    error = refusal([violation(code) for code in codes])
    if "OWN003" in codes:
        expected: type[InvalidDocument] = ForeignWrite
    elif {code[:3] for code in codes} == {"REF"}:
        expected = DanglingReference
    else:
        of = {"UNQ001": DuplicateValue, "OWN004": ImmutableField, "OWN005": StaleDocument}
        expected = of.get(codes[0], InvalidDocument) if len(set(codes)) == 1 else InvalidDocument
    assert type(error) is expected
    assert [each.code for each in error.violations] == codes


def refusals(raw: Raw) -> list[IntegrityError]:
    customers = integrity.Database(raw, models=MODELS)[Customer]
    customers.insert_one({**CUSTOMER, "nickname": "secret-1"})
    found: list[IntegrityError] = []
    for call in (
        lambda: customers.insert_one({"_id": 2, "email": "secret-2", "name": "x", "nickname": "secret-1"}),
        lambda: customers.insert_one({"_id": 2, "email": 5.25, "name": "N/A"}),
        lambda: customers.insert_many([{"_id": 2, "email": "secret-2", "name": "x", "nickname": "secret-1"}]),
        lambda: customers.insert_many([{"_id": 2, "email": "secret-2", "name": " "}]),
        lambda: customers.update_one({"_id": 1}, {"$set": {"country": "secret-3"}}),
    ):
        with pytest.raises(IntegrityError) as refused:
            call()
        found.append(refused.value)
    return found


def test_every_error_pickles_with_its_violations_and_details(raw: Raw) -> None:
    for error in refusals(raw):
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert (type(copy), str(copy), copy.violations) == (type(error), str(error), error.violations)
        assert copy.details == error.details  # type: ignore[attr-defined]  # each is PyMongo's too


def test_a_redacted_error_holds_no_value_anywhere(raw: Raw) -> None:
    for error in refusals(raw):
        redacted = error.redacted()
        assert type(redacted) is type(error)
        told = repr([str(redacted), redacted.to_json(), redacted.details, redacted.args])  # type: ignore[attr-defined]  # PyMongo's
        for secret in ("secret", "5.25", "N/A"):
            assert secret not in told
        assert [each.code for each in redacted.violations] == [each.code for each in error.violations]


def test_the_servers_own_words_stay_readable(raw: Raw) -> None:
    duplicate, _, bulk, *_ = refusals(raw)
    assert isinstance(duplicate, DuplicateValue)
    assert duplicate.details is not None
    assert duplicate.details["keyPattern"] == {"nickname": 1}
    assert isinstance(bulk, InvalidBulkWrite)
    assert bulk.details["writeErrors"][0]["keyValue"] == {"nickname": "secret-1"}
