"""The baseline: what is known does not fail a run; what is new does; what is gone is said."""

import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from integrity.audit import Baseline, Options, State, audit
from integrity.audit import baseline as files
from integrity.audit.spool import packed, unpacked
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.violation import Violation
from tests.audit.conftest import audited
from tests.audit.shop import Box, Item


def violation(id_: Any = 1, path: str = "size", code: str = "SCH001", message: str = "is wrong.") -> Violation:
    return Violation(code, "wrong-type", "items", id_, path, message, "")


FULL = """
import resource, signal, sys
from pathlib import Path
from integrity.audit.baseline import write
from integrity.errors import AuditError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    write(Path(sys.argv[1]), [])
except AuditError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_of_a_baseline(tmp_path: Path) -> None:
    said = subprocess.run([sys.executable, "-c", FULL, tmp_path / "known"], capture_output=True, text=True, check=True)
    assert "cannot be written" in said.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_violation_is_known_by_code_collection_id_and_path() -> None:
    known = {files.fingerprint(each) for each in (violation(), violation(message="is otherwise wrong."))}
    assert len(known) == 1
    others = [violation(2), violation("1"), violation(ObjectId()), violation(path="x"), violation(code="SCH003")]
    assert len({files.fingerprint(each) for each in others} | known) == 6


def test_what_is_no_utf8_is_known_too() -> None:
    """Kept on disk, a long list of violations has it escaped; both are one violation."""
    odd = violation("a\udcff", path="\udcfe.size")
    (kept,) = unpacked(packed(odd))
    assert kept.path != odd.path
    assert files.fingerprint(kept) == files.fingerprint(odd)


def test_new_known_and_gone(database: Database[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "baseline"
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    store = BlockingStore(database)
    first = audited(store, [Item])
    assert files.write(path, map(files.known, first.violations)) == 5
    database.items.update_one({"_id": 0}, {"$set": {"size": 1}})
    database.items.insert_one({"_id": 9, "code": "c9", "size": None})
    known = files.read(path)
    found = audited(store, [Item], baseline=known)
    assert found.places == [("EMP004", 9, "size")]
    assert found.counts == {"items": {"EMP004": 1}}
    assert known.gone(lambda _: True) == 1
    assert len(list(known.kept(lambda _: True))) == 4


def test_a_baseline_holds_no_value_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "baseline"
    files.write(path, [files.known(violation("secret", message="is 'secret'."))] * 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.read_text()
    assert len(files.read(path)) == 1


@pytest.mark.parametrize(
    "text", ["", "something else", "# integrity baseline 1\nnot a number", '# integrity baseline 2\n["x"']
)
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
    known = files.Baseline(map(files.known, audited(store, [Item]).violations))
    with State(tmp_path / "state") as state:
        assert audited(store, [Item], baseline=known, state=state).violations == []
        assert [each.counts for each in state.runs()] == [{"items SCH001": 5}]


def test_what_is_gone_is_not_told_of_a_part(database: Database[dict[str, Any]]) -> None:
    """What was not looked at may be there still."""
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    store = BlockingStore(database)
    known = files.Baseline(map(files.known, audited(store, [Item]).violations))
    with run(audit(store, Registry([Item]), Options(sample=0.5), baseline=known)) as result:
        assert result.compared is not None
        assert result.compared.gone is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(), (0, 5, 2, 0)),
        (Options(collections=("boxes",)), (0, 1, 1, 5)),
        (Options(select=("SCH",)), (0, 4, 1, 2)),
        (Options(ignore=("SCH",)), (0, 1, 1, 5)),
        (Options(collections=("boxes",), select=("SCH",)), (0, 0, 0, 7)),
    ],
)
def test_what_was_not_looked_at_is_not_gone(
    database: Database[dict[str, Any]], tmp_path: Path, options: Options, told: tuple[int, ...]
) -> None:
    """With fewer collections or rules than the baseline was written with, which knows them still when written again."""
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    database.boxes.insert_many({"_id": i, "item": 7} for i in range(2))
    models: list[type[Model]] = [Item, Box]
    path, store = tmp_path / "baseline", BlockingStore(database)
    files.write(path, map(files.known, audited(store, models).violations))
    database.items.update_one({"_id": 0}, {"$set": {"size": 1}})
    database.boxes.delete_one({"_id": 0})
    known = files.read(path)
    with run(audit(store, Registry(models), options, baseline=known)) as result:
        compared = result.compared
        assert compared is not None
        assert (result.total, compared.known, compared.gone, compared.others) == told
        assert files.write(path, known.kept(compared.looked)) == compared.known + compared.others
    assert audited(store, models, baseline=files.read(path)).violations == []


def test_an_earlier_file_without_scopes_is_read(database: Database[dict[str, Any]], tmp_path: Path) -> None:
    """What is gone of it, only an audit of everything can tell."""
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": "x"} for i in range(5))
    store, path = BlockingStore(database), tmp_path / "baseline"
    lines = [f"{files.fingerprint(each):016x}" for each in audited(store, [Item]).violations]
    path.write_text("\n".join(["# integrity baseline 1", *lines, "0" * 16]))
    for options, gone, others in ((Options(), 1, 0), (Options(select=("SCH001",)), 0, 1)):
        with run(audit(store, Registry([Item]), options, baseline=files.read(path))) as result:
            assert result.compared is not None
            assert (result.total, result.compared.known) == (0, 5)
            assert (result.compared.gone, result.compared.others) == (gone, others)
