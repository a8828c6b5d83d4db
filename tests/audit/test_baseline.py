"""The baseline: what is known does not fail a run; what is new does; what is gone is said."""

import stat
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from integrity.audit import Baseline, Options, State, audit
from integrity.audit import baseline as files
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.violation import Violation
from tests.audit.conftest import audited
from tests.audit.shop import Item


def violation(id_: Any = 1, path: str = "size", code: str = "SCH001", message: str = "is wrong.") -> Violation:
    return Violation(code, "wrong-type", "items", id_, path, message, "")


def test_a_violation_is_known_by_code_collection_id_and_path() -> None:
    known = {files.fingerprint(each) for each in (violation(), violation(message="is otherwise wrong."))}
    assert len(known) == 1
    others = [violation(2), violation("1"), violation(ObjectId()), violation(path="x"), violation(code="SCH003")]
    assert len({files.fingerprint(each) for each in others} | known) == 6


def test_new_known_and_gone(database: Database[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "baseline"
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    store = BlockingStore(database)
    first = audited(store, [Item])
    assert files.write(path, map(files.fingerprint, first.violations)) == 5
    database.items.update_one({"_id": 0}, {"$set": {"size": 1}})
    database.items.insert_one({"_id": 9, "code": "c9", "size": None})
    known = files.read(path)
    found = audited(store, [Item], baseline=known)
    assert found.places == [("EMP004", 9, "size")]
    assert found.counts == {"items": {"EMP004": 1}}
    assert known.gone == 1
    assert len(list(known.seen())) == 4


def test_a_baseline_holds_no_value_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "baseline"
    files.write(path, [files.fingerprint(violation("secret", message="is 'secret'."))] * 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.read_text()
    assert len(files.read(path)) == 1


@pytest.mark.parametrize("text", ["", "something else", "# integrity baseline 1\nnot a number"])
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline"
    path.write_text(text)
    with pytest.raises(AuditError, match="is no baseline"):
        files.read(path)
    with pytest.raises(AuditError, match="cannot be read"):
        files.read(tmp_path / "absent")


def test_an_empty_baseline_knows_nothing() -> None:
    assert not Baseline().knows(violation())


def test_the_history_of_a_state_counts_what_is_known_too(database: Database[dict[str, Any]], tmp_path: Path) -> None:
    """Else a baseline would look like the day on which everything was mended."""
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    store = BlockingStore(database)
    known = files.Baseline(map(files.fingerprint, audited(store, [Item]).violations))
    with State(tmp_path / "state") as state:
        assert audited(store, [Item], baseline=known, state=state).violations == []
        assert [each.counts for each in state.runs()] == [{"items SCH001": 5}]


def test_what_is_gone_is_not_told_of_a_part(database: Database[dict[str, Any]]) -> None:
    """What was not looked at may be there still."""
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    store = BlockingStore(database)
    known = files.Baseline(map(files.fingerprint, audited(store, [Item]).violations))
    with run(audit(store, Registry([Item]), Options(sample=0.5), baseline=known)) as result:
        assert result.compared is not None
        assert result.compared.gone is None
