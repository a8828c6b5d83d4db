"""The model of the optimistic protocol, checked exhaustively by Spin; and broken, one ordering at a time.

    python benchmarks/torture_model.py

Needs `spin` and a C compiler (Debian: apt-get install spin gcc); without them it says so and does nothing. About three
minutes and 2 GB. The numbers are kept in docs/explanation/references-measured.md. Exit 1 where the model fails, or a
broken one does not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).parent.parent / "docs" / "explanation" / "optimistic.pml"

#: What breaks one ordering, with its number in references.md.
BROKEN = {
    "NO_LOOK": "the writer looks before its insert only (4)",
    "LOOK_BEFORE_CONDEMNING": "the deleter looks before it condemns (5)",
    "DELETE_WITHOUT_FLAG": "the deleter deletes what has lost its flag (7)",
    "RECORD_FIRST": "the record is forgotten before the flag (8)",
    "NO_SWEEP": "nothing is swept (9)",
    "EXISTENCE_FIRST": "the sweep looks for the key before the children (9)",
    "YOUNGER_IGNORED": "the sweep passes over a younger deletion of the key (9)",
    "BLIND_INSERT": "the writer looks after its insert only (10)",
}


def checked(folder: Path, broken: str | None) -> tuple[int, int, int]:
    """Check the model; return the errors, the states that were stored and the depth."""
    for each in folder.iterdir():
        each.unlink()
    spin, compiler = shutil.which("spin"), shutil.which("gcc") or shutil.which("cc")
    assert spin is not None
    assert compiler is not None
    define = [] if broken is None else [f"-D{broken}"]

    def run(*arguments: str) -> str:
        return subprocess.run(arguments, cwd=folder, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own

    run(spin, *define, "-a", str(MODEL))
    errors = states = depth = 0
    # With the claim: nothing acknowledged is ever lost or orphaned. Without it: nobody waits for ever.
    for claim in ([], ["-DNOCLAIM"]):
        run(compiler, "-O2", "-DSAFETY", "-DVECTORSZ=2048", *claim, "-o", "pan", "pan.c")
        told = run("./pan", "-m100000")
        if "too small" in told or "out of memory" in told:
            raise SystemExit(f"Spin did not see everything:\n{told}")
        errors += _number(r"errors: (\d+)", told)
        states, depth = max(states, _number(r"(\d+) states, stored", told)), max(depth, _number(r"reached (\d+)", told))
        if errors:
            break
    return errors, states, depth


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1])


def main() -> int:
    if shutil.which("spin") is None or (shutil.which("gcc") or shutil.which("cc")) is None:
        print("Not checked: the model needs `spin` and a C compiler (Debian: apt-get install spin gcc).")
        return 0
    good = True
    print("| model | found | states | depth |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in {None: "as it is", **BROKEN}.items():
            errors, states, depth = checked(Path(folder), name)
            good &= bool(errors) == (name is not None)
            print(f"| {words} | {'an error' if errors else 'no error'} | {states:,} | {depth} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
