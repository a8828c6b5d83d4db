"""The tree of errors: as drawn, picklable, redacted on request, and PyMongo's own where PyMongo has one."""

import builtins
import multiprocessing
import pickle
import re
from typing import Any

import pymongo.errors
import pytest
from bson import ObjectId

from integrity import errors
from integrity.errors import (
    DuplicateValue,
    IntegrityError,
    InvalidBulkWrite,
    InvalidDocument,
    PoolTimeout,
    Referrers,
    RestrictedDelete,
)
from integrity.rules.rule import At
from integrity.rules.schema import constraint_not_met, own_validator
from integrity.violation import REDACTED, Violation, quote

SECRET = "s3cret@example.org"
CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, IntegrityError)]


def violation(path: str = "mail", **changes: Any) -> Violation:
    fields: dict[str, Any] = {
        "code": "SCH003", "rule": "constraint-not-met", "collection": "people", "id": 1, "path": path,
        "message": f"is {SECRET!r}, and must be short.", "hint": f"Not {SECRET!r}.", "values": (repr(SECRET),),
    }  # fmt: skip
    return Violation(**fields | changes)


def sample(cls: type[IntegrityError]) -> Any:
    """An error of a class, with a secret wherever it can hold one."""
    made: Any = cls
    if issubclass(cls, InvalidBulkWrite):
        failed = {"index": 3, "code": 121, "errmsg": SECRET, "op": {"mail": SECRET}, "keyValue": {"mail": SECRET}}
        error = made({"writeErrors": [failed], "nInserted": 2}, [violation()])
    elif issubclass(cls, RestrictedDelete):
        error = made([violation()], referrers=[Referrers("orders", "by", 3, (1, 2))])
    elif issubclass(cls, InvalidDocument):
        error = made([violation()])
    else:
        error = made("Something happened to people; do this.")
    error.__cause__ = ValueError(SECRET)
    error.add_note(SECRET)
    return error


def test_a_text_names_the_first_violations_and_the_error_has_all() -> None:
    many = [violation(f"mail{each}") for each in range(10_000)]
    failed = [{"index": each, "code": 121, "errmsg": "", "op": {}} for each in range(10_000)]
    for error in (InvalidDocument(many), InvalidBulkWrite({"writeErrors": failed}, many, range(10_000))):
        lines = str(error).splitlines()
        assert "SCH003 mail49: " in lines[-2]
        assert lines[-1] == "  ... and 9,950 more; the error's `violations` has all of them"
        assert len(error.violations) == 10_000
        assert str(error.redacted()).splitlines()[-1] == lines[-1]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^ {4}((?:│ {3}| {4})*)[├└]── (\w+) +(.*)$", errors.__doc__ or "", re.MULTILINE)
    parents: list[str] = ["IntegrityError"]
    tree = {"IntegrityError": ("Exception", "")}
    for indent, name, text in drawn:
        depth = len(indent) // 4 + 1
        parents[depth:] = [name]
        tree[name] = (parents[depth - 1], text)
    assert set(tree) == {each.__name__ for each in CLASSES}
    for cls in CLASSES:
        parent, text = tree[cls.__name__]
        assert cls.__bases__[0].__name__ == parent
        for other in re.findall(r"\(also an? (?:pymongo )?(\w+)(?: and an? (\w+))?\)", text):
            for base in filter(None, other):
                found = getattr(pymongo.errors, base, None) or getattr(builtins, base)
                assert issubclass(cls, found), (cls, base)
        foreign = {base for base in cls.__bases__ if not issubclass(base, IntegrityError) and base is not Exception}
        assert not foreign or "also" in text, (cls, foreign)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_pickles_whole(cls: type[IntegrityError]) -> None:
    error: Any = sample(cls)
    again: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled here
    assert type(again) is cls
    assert (str(again), again.args, again.violations) == (str(error), error.args, error.violations)
    assert again.to_json() == error.to_json()
    for name in ("code", "details", "referrers", "waited"):
        assert getattr(again, name, None) == getattr(error, name, None)


def _raise(cls: type[IntegrityError]) -> None:
    raise sample(cls)


def test_errors_cross_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for cls in (InvalidDocument, InvalidBulkWrite, DuplicateValue, PoolTimeout):
            with pytest.raises(cls) as raised:
                pool.apply(_raise, (cls,))
            assert str(raised.value) == str(sample(cls))


@pytest.mark.parametrize("cls", CLASSES)
def test_a_redacted_error_holds_no_value_anywhere(cls: type[IntegrityError]) -> None:
    error = sample(cls).redacted()
    assert type(error) is cls
    texts = [str(error), repr(error), repr(error.args), repr(error.violations), repr(error.to_json())]
    texts += [repr(error.__dict__), repr(error.__cause__), repr(error.__context__)]
    texts.append(repr(pickle.loads(pickle.dumps(error)).__dict__))  # noqa: S301 - what was pickled here
    assert [each for each in texts if SECRET in each] == []
    if error.violations:
        assert REDACTED in str(error)
        assert "mail" in str(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_is_told_once(cls: type[IntegrityError]) -> None:
    error: Any = sample(cls)
    assert "full error" not in str(error)
    assert error.to_json()["message"] == str(error)
    assert error.to_json()["error"] == cls.__name__


def test_pymongos_handlers_catch_ours_and_find_what_they_look_for() -> None:
    with pytest.raises(pymongo.errors.DuplicateKeyError) as duplicate:
        raise sample(DuplicateValue)
    assert duplicate.value.code == 11000
    assert duplicate.value.details is not None
    assert duplicate.value.details["code"] == 11000
    with pytest.raises(pymongo.errors.WriteError) as refused:
        raise sample(InvalidDocument)
    assert refused.value.code == 121
    with pytest.raises(pymongo.errors.BulkWriteError) as several:
        raise sample(InvalidBulkWrite)
    assert several.value.details["nInserted"] == 2
    assert not issubclass(PoolTimeout, pymongo.errors.ConnectionFailure)


def test_a_refusal_lists_each_violation_with_its_hint() -> None:
    error = InvalidDocument([violation(), violation("", message="is wrong.", hint="Mend it.")])
    assert str(error).splitlines() == [
        "people: 2 violations",
        f"  SCH003 mail: is {SECRET!r}, and must be short. Not {SECRET!r}.",
        "  SCH003 (document): is wrong. Mend it.",
    ]


def test_a_validator_without_words_is_redacted_too() -> None:
    at = At("people", ObjectId(), "mail", "mail")
    found = own_validator.RULE.violation(at, own_validator.fault(SECRET, "", whole=False))
    assert found.redacted().message.count(REDACTED) == 1
    number = constraint_not_met.RULE.violation(at, constraint_not_met.fault(5, "must be greater than 5"))
    assert number.redacted().message.startswith(f"is {REDACTED}, and must be greater than")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ("x" * 100, "'" + "x" * 58 + "…' (100 characters)"),
        ("a\nb\x00", r"'a\nb\x00'"),
        (b"abc", "3 bytes"),
        ([1, 2], "[1, 2]"),
        (list(range(100)), "an array of 100 elements"),
        ({str(each): each for each in range(100)}, "an object with 100 fields"),
        ({"a": "\n"}, r"{'a': '\n'}"),
        (1.5, "1.5"),
    ],
)
def test_a_value_is_quoted_on_one_short_line(value: Any, text: str) -> None:
    assert quote(value) == text
    assert "\n" not in quote(value)
