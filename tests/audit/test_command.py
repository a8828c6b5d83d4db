"""`integrity audit`: what the options of the audit at scale do, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from integrity.cli import main

SHOP = str(Path(__file__).parent / "shop.py")


class Command:
    """Runs `integrity audit` on the test's database."""

    def __init__(self, uri: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.first = ["audit", SHOP, "--uri", uri, "--database", name]
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = main([*self.first, *arguments])
        said = self.capsys.readouterr()
        return status, said.out, said.err


@pytest.fixture
def command(uri: str, database: Database[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> Command:
    database.items.insert_many({"_id": i, "code": f"secret{i}", "size": i if i % 10 else "secret"} for i in range(100))
    database.boxes.insert_many({"_id": i, "item": i + 5} for i in range(100))
    return Command(uri, database.name, capsys)


def counts(out: str) -> dict[str, dict[str, int]]:
    return {each["name"]: each["counts"] for each in json.loads(out)["collections"]}


EXPECTED = {"items": {"SCH001": 10}, "boxes": {"REF001": 5, "OWN001": 95}}


@pytest.mark.parametrize(
    "how",
    [
        [],
        ["--no-pushdown"],
        ["--suspects", "server"],
        ["--suspects", "client"],
        ["--jobs", "2"],
        ["--jobs", "2", "--suspects", "client"],
        ["--max-rate", "100000"],
        ["--max-rate", "100000", "--suspects", "client"],
    ],
    ids=str,
)
def test_the_findings_are_the_same_however_they_are_found(command: Command, how: list[str]) -> None:
    status, out, _ = command("-f", "json", *how)
    assert (status, counts(out)) == (1, EXPECTED)


def test_a_plan_reads_nothing_and_exits_0(command: Command) -> None:
    status, out, _ = command("--plan")
    assert status == 0
    assert "items: 100 documents" in out
    assert "items._id by $in" in out


def test_a_baseline_is_written_and_compared_with(
    command: Command, tmp_path: Path, database: Database[dict[str, Any]]
) -> None:
    file = str(tmp_path / "known")
    status, _, error = command("--write-baseline", file)
    assert status == 0
    assert "knows 110 violations" in error
    status, out, _ = command("--baseline", file)
    assert status == 0
    assert "0 new, 110 known, 0 gone" in out
    database.items.insert_one({"_id": 100, "code": "new", "size": None})
    status, out, _ = command("--baseline", file, "-f", "json")
    assert status == 1
    # The new item is what one of the boxes was missing.
    assert json.loads(out)["baseline"] == {"new": 2, "known": 109, "gone": 1, "others": 0}


def test_a_baseline_of_an_incomplete_audit_is_not_written(command: Command, tmp_path: Path) -> None:
    status, _, _ = command("--write-baseline", str(tmp_path / "known"), "--max-time", "0")
    assert status == 2
    assert not (tmp_path / "known").exists()


def test_several_reports_at_once(command: Command, tmp_path: Path) -> None:
    sarif, lines = tmp_path / "report.sarif", tmp_path / "report.jsonl"
    status, out, _ = command("--statistics", "--output", f"sarif={sarif}", "--output", f"jsonl={lines}")
    assert status == 1
    assert out.splitlines()[0].split() == ["95", "OWN001", "stale-copy"]
    assert len(json.loads(sarif.read_text())["runs"][0]["results"]) == 110
    assert len(lines.read_text().splitlines()) == 111


def test_redacted_reports_hold_no_value(command: Command) -> None:
    _, plain, _ = command("-f", "jsonl")
    _, out, _ = command("-f", "jsonl", "--redact")
    assert "secret" in plain
    assert "secret" not in out
    assert len(out.splitlines()) == 111


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--output", "html"], "FORMAT=FILE"),
        (["--output", "nonsense=x"], "FORMAT=FILE"),
        (["--executor", "ssh://x"], "dask://HOST:PORT"),
        (["--executor", "dask://127.0.0.1:1"], "No Dask scheduler answered at 127.0.0.1:1"),
        (["--baseline", "/nonexistent/file"], "cannot be read"),
        (["--state", "/nonexistent/file"], "cannot be opened"),
        (["--max-time", "0"], "The time that the audit may take was over"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command: Command, arguments: list[str], why: str) -> None:
    status, _, error = command(*arguments)
    assert status == 2
    assert why in error
    assert "Traceback" not in error
