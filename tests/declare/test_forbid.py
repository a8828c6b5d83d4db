"""`Forbid` on values of every kind: what is stored as a long, what a function was not written for."""

from typing import Annotated, Any

import pytest
from bson import Int64

from integrity import Forbid, Model, Registry
from integrity.rules.judge import Judge


def shouts(value: str) -> bool:
    return value.isupper()


def breaks(value: str) -> bool:
    raise LookupError(value)


class Guarded(Model, collection="guarded"):
    count: Annotated[int, Forbid(0)] = 1
    name: Annotated[str, Forbid(shouts)] = "quiet"
    broken: Annotated[str | None, Forbid(breaks)] = None


JUDGE = Judge(Registry([Guarded]).entry(Guarded))


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"count": Int64(0)}, [("FRB002", "count")]),
        ({"count": 0}, [("FRB002", "count")]),
        ({"count": False}, [("SCH001", "count")]),
        ({"name": "LOUD"}, [("FRB002", "name")]),
        ({"name": True}, [("SCH001", "name")]),
        ({"broken": "x"}, [("FRB002", "broken")]),
        ({"count": 2, "name": "x"}, []),
    ],
)
def test_a_forbidden_value_is_found_whatever_its_type(document: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [(each.code, each.path) for each in JUDGE.stored({"_id": 1, **document})] == found


def test_a_function_that_fails_is_named_and_nothing_passes_it() -> None:
    (violation,) = JUDGE.stored({"_id": 1, "broken": "x"})
    assert "could not judge: LookupError: x" in violation.message
