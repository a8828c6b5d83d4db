"""Which error a refusal is, and what becomes of the driver's own errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.errors import InvalidBSON
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, OperationFailure, WriteError

from integrity.declare.extract import ABSENT, value_at
from integrity.declare.registry import Entry
from integrity.errors import (
    DOCUMENT_VALIDATION_FAILURE,
    DUPLICATE_KEY,
    ENCODING_ERRORS,
    DanglingReference,
    DuplicateValue,
    ForeignWrite,
    ImmutableField,
    InvalidDocument,
    RestrictedDelete,
    RestrictedUpdate,
    StaleDocument,
    explain,
)
from integrity.rules.ownership import changed_immutable, foreign_write, stale_revision
from integrity.rules.rule import At, Fault
from integrity.rules.schema import constraint_not_met, wrong_type
from integrity.rules.unique import duplicate_value
from integrity.violation import Violation
from integrity.writes import oversized, refused_by_server
from integrity.writes.references.restricted import Referred

#: Stands in a message for a value that is not known.
NOT_SHOWN: Any = type("NotShown", (), {"__repr__": lambda _: "a value"})()

_FAMILIES: dict[str, type[InvalidDocument]] = {"REF": DanglingReference, "UNQ": DuplicateValue}
_CODES: dict[str, type[InvalidDocument]] = {
    changed_immutable.RULE.code: ImmutableField,
    stale_revision.RULE.code: StaleDocument,
    "REF004": RestrictedDelete,
    "REF005": RestrictedUpdate,
}


def refusal(violations: Sequence[Violation], *, model: str = "") -> InvalidDocument:
    """Return the error for violations: the most particular class that says what all of them are.

    A write of what another owns is a `ForeignWrite` whatever else is wrong with it.

    Args:
        violations: Every broken rule, at least one.
        model: The model's name, to stand in the text.
    """
    text = explain(violations)
    text = f"{model}, collection {text}" if model else text
    found = _class({each.code for each in violations})
    if found is RestrictedUpdate:
        referrers = [each.referrers for each in violations if isinstance(each, Referred) and each.referrers]
        return RestrictedUpdate(violations, text, referrers)
    return found(violations, text)


def _class(codes: set[str]) -> type[InvalidDocument]:
    if foreign_write.RULE.code in codes:
        return ForeignWrite
    if len(codes) == 1 and (found := _CODES.get(next(iter(codes)))):
        return found
    families = {each[:3] for each in codes}
    return _FAMILIES.get(families.pop(), InvalidDocument) if len(families) == 1 else InvalidDocument


def duplicate(entry: Entry, error: DuplicateKeyError, document: Mapping[str, Any] | None = None) -> DuplicateValue:
    """Return ours for the driver's duplicate key error."""
    violation = duplicate_violation(entry, error.details or {}, document)
    found = refusal([violation], model=entry.name)
    assert isinstance(found, DuplicateValue)
    # What the server said stays readable where PyMongo's users read it.
    found.__dict__["_OperationFailure__details"] = error.details
    return found


def duplicate_violation(
    entry: Entry, details: Mapping[str, Any], document: Mapping[str, Any] | None = None
) -> Violation:
    """Return the violation that the server's duplicate key details tell of.

    Args:
        entry: The model's entry.
        details: The write error, with ``keyPattern``, ``keyValue`` and, where the index has one, ``collation``.
        document: What was written, where that is known.
    """
    values = dict(details.get("keyValue") or {})
    fields = list(details.get("keyPattern") or values) or ["_id"]
    if "collation" in details or _collated(entry, fields):
        # The server shows strings as its collation sorts them, which nobody can read.
        known = {each: value_at(document or {}, tuple(each.split("."))) for each in fields}
        legible = {name: value for name, value in values.items() if not isinstance(value, str | dict | list)}
        values = {**{name: value for name, value in known.items() if value is not ABSENT}, **legible}
    value: Any = values.get(fields[0], NOT_SHOWN) if len(fields) == 1 else values or NOT_SHOWN
    path = ", ".join(fields)
    at = At(entry.collection, (document or {}).get("_id"), path, path)
    return duplicate_value.RULE.violation(at, duplicate_value.fault(value))


def by_validator(entry: Entry, error: OperationFailure) -> Exception:
    """Return ours for what the server's validator refused; the driver's where it does not say what."""
    violations = refused_by_server.violations(entry, error.details or {})
    if not violations:
        return error
    found = refusal(violations, model=entry.name)
    found.__dict__["_OperationFailure__details"] = error.details
    return found


def too_large(entry: Entry, error: OperationFailure, document: Mapping[str, Any] | None = None) -> InvalidDocument:
    """Return ours for what the server refused as too large."""
    found = refusal([oversized.violation(entry, document)], model=entry.name)
    found.__dict__["_OperationFailure__details"] = error.details
    return found


def by_server(error: InvalidDocument) -> bool:
    """Whether it is the server that refused, and not the library before anything was sent."""
    cause = error.__cause__
    return isinstance(cause, OperationFailure) and not isinstance(cause, InvalidDocument)


def _collated(entry: Entry, fields: Sequence[str]) -> bool:
    return any(
        each.unique.case_insensitive
        and {".".join(s for s in place.steps if s != "[]") for place in each.places} == set(fields)
        for each in entry.uniques
    )


def unencodable(entry: Entry, error: Exception, document: Mapping[str, Any] | None = None) -> InvalidDocument:
    """Return ours for what PyMongo's encoder raised; nothing was sent."""
    at = At(entry.collection, (document or {}).get("_id"), "", "")
    if isinstance(error, DocumentTooLarge):
        fault = Fault(f"is too large for BSON: {error}.", "Store less, or split it (16 MB is the limit).")
        return refusal([constraint_not_met.RULE.violation(at, fault)], model=entry.name)
    fault = Fault(f"cannot be encoded as BSON: {error}.", "Declare the field with a type that BSON has.")
    return refusal([wrong_type.RULE.violation(at, fault)], model=entry.name)


def from_driver(entry: Entry, error: Exception, document: Mapping[str, Any] | None = None) -> Exception:
    """Return ours for an error of the driver that tells of a broken rule, and any other error as it is."""
    if isinstance(error, InvalidDocument):
        return error
    if isinstance(error, DuplicateKeyError) or (isinstance(error, WriteError) and error.code == DUPLICATE_KEY):
        return duplicate(entry, error, document)  # type: ignore[arg-type]  # its details are what is read
    if isinstance(error, OperationFailure) and error.code == DOCUMENT_VALIDATION_FAILURE:
        return by_validator(entry, error)
    if isinstance(error, OperationFailure) and oversized.tells(error.details or {}):
        return too_large(entry, error, document)
    # What could not be decoded was read: by then a find_one_and_update has been done.
    if isinstance(error, ENCODING_ERRORS) and not isinstance(error, InvalidBSON):
        return unencodable(entry, error, document)
    return error
