"""What no file of the project may hold, and how its changelog fragments are called."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Spelled in pieces, so that this file does not hold what it looks for.
HOME_OR_SESSION = re.compile("|".join(["/home" + r"/\w", "/root" + r"/", "/work" + r"/\w", "/Users" + r"/\w"]))
REGISTRY = re.compile(
    "|".join(
        [
            "--(extra-)?index" + "-url",
            "--find" + "-links",
            r"pypi\." + r"org/simple",
            "files." + "pythonhosted",
        ]
    )
)
CREDENTIAL = re.compile(
    "|".join(
        [
            "BEGIN ([A-Z]+ )?PRIVATE " + "KEY",
            r"AKIA" + r"[0-9A-Z]{16}",
            r"gh[pousr]_" + r"[A-Za-z0-9]{36}",
            # A password in an address, unless it is plainly a word of an example.
            r"mongodb(\+srv)?://[^\s:/@{}<]+:" + r"(?!(password|secret|pw|\*+|<|\{))[^\s:/@]+@",
        ]
    )
)


def tracked() -> list[Path]:
    """The files that git knows and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: there is no list of files")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("forbidden", [HOME_OR_SESSION, REGISTRY, CREDENTIAL], ids=["path", "registry", "credential"])
def test_no_file_holds_a_path_of_this_machine_a_registry_or_a_credential(
    forbidden: re.Pattern[str],
) -> None:
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), start=1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found


def test_every_changelog_fragment_is_named_so_that_towncrier_finds_it() -> None:
    """`WORD.TYPE.md`, or `+WORD.TYPE.md` when no issue belongs to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    types = "|".join(each["directory"] for each in project["tool"]["towncrier"]["type"])
    fragment = re.compile(rf"(\d+|\+[a-z0-9-]+)\.({types})(\.\d+)?\.md")
    others = {"template.md", "README.md", ".gitkeep"}
    names = {path.name for path in (ROOT / "changelog.d").iterdir()} - others
    assert {name for name in names if not fragment.fullmatch(name)} == set()


def test_the_constraints_pin_everything_and_name_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", line)] == []
