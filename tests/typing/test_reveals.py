"""The public surface has the types that it says, under mypy and under pyright."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SURFACE = Path(__file__).with_name("surface.py")
REVEALED = re.compile(r"reveal_type\(.*\)  # (?P<type>.+)")


def expected() -> dict[int, str]:
    lines = SURFACE.read_text().splitlines()
    return {number: found["type"] for number, line in enumerate(lines, 1) if (found := REVEALED.search(line))}


def plain(revealed: str) -> str:
    """A type without the modules of its names and with the unions that Python writes."""
    text = re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", revealed.replace("builtins.", ""))
    text = text.removeprefix('Revealed type is "').removesuffix('"')
    return re.sub(r"\bUnion\[(.+), None\]$", r"\1 | None", text)


@pytest.mark.slow
def test_mypy_reveals_what_is_written() -> None:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(SURFACE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        _, number, kind, message = line.split(":", 3)
        assert kind.strip() == "note", line
        found[int(number)] = plain(message.strip())
    assert found == expected()
    assert done.returncode == 0


@pytest.mark.slow
def test_pyright_reveals_what_is_written() -> None:
    command = [sys.executable, "-m", "pyright", "--outputjson", str(SURFACE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        assert each["severity"] == "information", each
        match = re.fullmatch(r'Type of ".*" is "(.+)"', each["message"], re.DOTALL)
        assert match, each
        found[each["range"]["start"]["line"] + 1] = plain(match[1])
    assert found == expected()
