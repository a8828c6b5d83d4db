"""Where a setting comes from: the command line, then the environment, then the nearest file."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from integrity.audit import marks
from tests.cli.conftest import Command

Raw = Database[dict[str, Any]]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Raw) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    database.customers.insert_many([{"_id": 2, "name": ""}, {"_id": 3, "name": "N/A"}, {"_id": 4}])


def codes(command: Command, models: Path, at: str, *more: str) -> set[str]:
    found = command("audit", models, "--uri", at, "-f", "json", *more)
    assert found.out, found.err
    return {code for each in json.loads(found.out)["collections"] for code in each["counts"]}


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    command: Command, models: Path, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert codes(command, models, at) == {"EMP001", "FRB001", "SCH002"}
    (tmp_path / "pyproject.toml").write_text('[tool.integrity]\nselect = ["EMP", "FRB"]\n')
    assert codes(command, models, at) == {"EMP001", "FRB001"}
    monkeypatch.setenv("INTEGRITY_AUDIT_SELECT", "FRB")
    assert codes(command, models, at) == {"FRB001"}
    assert codes(command, models, at, "--select", "SCH") == {"SCH002"}
    assert codes(command, models, at, "--extend-select", "SCH") == {"FRB001", "SCH002"}


def test_the_nearest_file_counts_and_a_pyproject_without_the_table_is_none(
    command: Command, models: Path, at: str, tmp_path: Path
) -> None:
    (tmp_path / "integrity.toml").write_text('select = "EMP"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.integrity]\nselect = "FRB"\n')
    inner = tmp_path / "inner" / "pyproject.toml"
    inner.write_text('[project]\nname = "shop"\n')
    assert codes(command, models, at) == {"EMP001"}
    inner.write_text('[tool.integrity]\nselect = ["SCH"]\n')
    assert codes(command, models, at) == {"SCH002"}
    assert codes(command, models, at, "--config", str(tmp_path / "pyproject.toml")) == {"FRB001"}


def test_severities_are_laid_over_those_of_the_file(command: Command, models: Path, at: str, tmp_path: Path) -> None:
    """A warning does not fail, what is off is not reported, and the longest code counts."""
    settings = tmp_path / "integrity.toml"
    settings.write_text('[severity]\nEMP = "off"\nEMP001 = "warn"\nFRB = "warn"\nSCH002 = "off"\n')
    found = command("audit", models, "--uri", at)
    assert found.status == 0
    assert "EMP001 empty-string (warning): 1" in found.out
    assert "SCH002" not in found.out
    assert "2 violations (none of them an error) in 2 collections" in found.out
    assert command("audit", models, "--uri", at, "--severity", "FRB001=error").status == 1
    # What is selected by hand is looked for, whatever the file says.
    assert codes(command, models, at, "--select", "SCH") == {"SCH002"}


def test_a_path_in_the_file_is_beside_the_file(command: Command, models: Path, at: str, tmp_path: Path) -> None:
    (tmp_path / "integrity.toml").write_text('baseline = "known"\n')
    known = tmp_path / "known"
    assert "known cannot be read" in command("audit", models, "--uri", at).err
    assert command("audit", models, "--uri", at, "--write-baseline", known, "--baseline", "/dev/null").status == 2
    known.write_text("# integrity baseline 1\n")
    assert command("audit", models, "--uri", at).status == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('selct = "EMP"', "there is no setting 'selct'; there are back-off, "),
        ('uri = "mongodb://host"', "uri may hold a password"),
        ('jobs = "many"', "jobs: 'many' is not a valid"),
        ("jobs = true", "jobs is one value, not True"),
        ("jobs = 1.5", "jobs is a whole number, not 1.5"),
        ('pause-file = ""', "pause-file: File "),  # a folder is there for ever
        ("redact = 1", "redact is true or false"),
        ("select = [1]", "select is a list of strings"),
        ("severity = 1", "severity is a table of codes"),
        ('[severity]\nEMP = "fatal"', "The severity of EMP is 'fatal'; there are error, warn, off."),
        ('[severity]\nXYZ = "warn"', "No rule has the code 'XYZ'"),
        ("select = ", "are no valid TOML"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(
    command: Command, models: Path, at: str, tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "integrity.toml").write_text(text)
    found = command("audit", models, "--uri", at)
    assert (found.status, found.out) == (2, "")
    assert why in found.err
    assert len(found.err.splitlines()) == 1


def test_a_part_is_never_clean(command: Command, models: Path, at: str, database: Raw, tmp_path: Path) -> None:
    """What was asked for is done, and the exit status says so; the words never do."""
    database.customers.delete_many({"_id": {"$gt": 1}})
    for how in (["--sample", "0.9"], ["--since", "0"], ["--since", "2020-01-01"]):
        found = command("audit", models, "--uri", at, *how)
        assert (found.status, found.err) == (0, "")
        assert "NOT COMPLETE: Only " in found.out
        assert "No violation" not in found.out
    report = json.loads(command("audit", models, "--uri", at, "--since", "0", "-f", "json").out)
    assert report["complete"] is False
    assert report["unseen"].startswith("Only ")
    state = tmp_path / "state"
    last = ["--since", "last", "--state", state]
    assert "knows of no audit that saw all that is asked for" in command("audit", models, "--uri", at, *last).err
    assert command("audit", models, "--uri", at, "--state", state).status == 0
    database.customers.insert_one({"_id": 9, "name": ""})
    assert command("audit", models, "--uri", at, *last, "--max-time", "0").status == 2  # which has seen nothing
    assert command("audit", models, "--uri", at, *last).status == 1
    assert command("audit", models, "--uri", at, *last).status == 0
    refused = command("audit", models, "--uri", at, "--sample", "0.5", "--write-baseline", tmp_path / "known")
    assert "--write-baseline needs an audit of everything" in refused.err


def test_what_no_audit_has_judged_so_is_not_passed_over(
    command: Command, models: Path, at: str, database: Raw, tmp_path: Path
) -> None:
    """A model that is new, or declares more, has been asked of nothing yet: what has not changed is not known."""
    database.customers.delete_many({"_id": {"$gt": 1}})
    database.pets.insert_one({"_id": 1, "name": ""})
    state, text = tmp_path / "state", models.read_text()
    for added in ("    age: int\n", '\nclass Pet(Model, collection="pets"):\n    id: int\n    name: str\n'):
        file = tmp_path / f"declared_{len(added)}.py"
        for declared in (text, text + added):
            file.write_text(declared)
            last = ["audit", file, "--uri", at, "--state", state, "--since", "last"]
            if declared is text:
                assert command(*last[:6]).status == 0
                assert command(*last).status == 0
                continue
            sys.modules.pop(file.stem, None)
            found = command(*last)
            assert found.status == 2
            assert "by the declarations as they are now; run one with --state and without --since." in found.err
            assert command(*last[:6]).status == 1
            assert command(*last).status == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_what_could_not_be_told_is_found_again(
    command: Command, models: Path, at: str, database: Raw, tmp_path: Path
) -> None:
    """An audit whose report is lost has not ended: the next one would begin after what it found."""
    database.customers.delete_many({"_id": {"$gt": 2}})
    whole = ["audit", models, "--uri", at, "--state", tmp_path / "state"]
    last = [*whole, "--since", "last"]
    assert command(*whole, "-o", "/dev/full").status == 2
    assert "knows of no audit" in command(*last).err
    del sys.modules[models.stem]  # as in a process of its own
    assert command(*whole).status == 1
    assert command(*last).status == 0
    database.customers.insert_one({"_id": 9, "name": ""})
    assert command(*last, "-o", "/dev/full").status == 2
    assert command(*last).status == 1
    assert command(*last).status == 0


def test_what_is_written_while_changes_are_read_is_the_next_audits(
    command: Command, models: Path, at: str, database: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark for the next audit stands before this one reads: what comes between is read twice, and never missed."""
    database.customers.delete_many({"_id": {"$gt": 1}})
    whole = ["audit", models, "--uri", at, "--state", tmp_path / "state"]
    assert command(*whole).status == 0
    read = marks.since_last

    async def written_behind(*given: Any) -> Any:
        found = await read(*given)
        database.customers.insert_one({"_id": 9, "name": ""})
        return found

    with monkeypatch.context() as patched:
        patched.setattr(marks, "since_last", written_behind)
        assert command(*whole, "--since", "last").status == 0  # which had read already
    assert command(*whole, "--since", "last").status == 1


def test_a_plan_names_what_is_not_there(command: Command, models: Path, at: str, database: Raw) -> None:
    database.orders.drop()
    found = command("audit", models, "--uri", at, "--plan")
    assert f"orders: not in the database {database.name!r}; the audit would not be complete." in found.out
