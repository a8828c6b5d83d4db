"""The command as a whole: it answers at once, and runs in every way that a Python program is run."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.cli.conftest import Command


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_python_dash_m_is_the_command() -> None:
    found = run("-m", "integrity", "--version")
    assert (found.returncode, found.stdout) == (0, f"integrity {version('mongo-integrity')}\n")


def test_the_script_is_the_command() -> None:
    script = Path(sys.executable).with_name("integrity")
    if not script.exists():
        pytest.skip("the environment has no scripts: the project is not installed in it")
    found = subprocess.run([script, "rule", "nothing"], capture_output=True, text=True, check=False)
    assert found.returncode == 2


@pytest.mark.parametrize(
    "arguments", [["--help"], ["audit", "--help"], ["rule", "--help"], ["--version"]], ids=" ".join
)
def test_help_waits_for_none_of_the_heavy_modules(arguments: list[str]) -> None:
    program = f"import sys; from integrity.cli import main; print(main({arguments!r})); print(*sys.modules)"
    *_, status, modules = run("-c", program).stdout.splitlines()
    assert status == "0"
    assert {"pymongo", "bson", "pydantic", "rich", "asyncio"} & set(modules.split()) == set()


def test_a_command_or_an_option_that_does_not_exist_is_exit_2_on_stderr(command: Command) -> None:
    for arguments in (["adit"], ["audit", "x.py", "--formt"], ["audit"], ["audit", "x.py", "-f", "xml"]):
        found = command(*arguments)
        assert (found.status, found.out) == (2, "")
        assert "Usage: integrity" in found.err


def test_without_arguments_it_shows_its_help_and_did_nothing(command: Command) -> None:
    found = command()
    assert found.status == 2
    assert "audit" in found.out + found.err


def test_what_stdout_cannot_encode_is_escaped_and_no_error(
    models: Path, at: str, database: Database[dict[str, Any]]
) -> None:
    database.customers.insert_one({"_id": 2, "name": "N/A", "Zürich": 1})
    found = subprocess.run(
        [sys.executable, "-m", "integrity", "audit", str(models), "--uri", at],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
    )
    assert (found.returncode, found.stderr) == (1, "")
    assert "Z\\xfcrich: 1" in found.stdout


def test_an_errors_text_does_not_reach_the_terminal_as_it_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text("raise ValueError('\\x1b[2J\\u202e')\n")
    assert "ValueError: \\x1b[2J\\u202e." in command("audit", tmp_path / "hostile.py").err
