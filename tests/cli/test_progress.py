"""Progress goes to stderr where that is a terminal, and nowhere else; the report on stdout is the same."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from pymongo.database import Database


def test_a_terminal_sees_collections_rate_and_findings_and_stdout_only_the_report(
    models: Path, at: str, database: Database[dict[str, Any]]
) -> None:
    database.customers.insert_many([{"_id": number, "name": ""} for number in range(10, 5000)])
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "integrity", "audit", str(models), "--uri", at],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how Linux says that the other end of a terminal is closed
        pass
    finally:
        os.close(ours)
        report, _ = running.communicate()
    assert running.returncode == 1
    assert b"customers" in shown
    assert b"/4991" in shown
    assert b"found" in shown
    assert b"is an empty string" not in shown
    last = shown.rstrip().splitlines()[-1]
    assert b"Next: `integrity rule EMP001` explains the most frequent rule, `integrity repair " in last
    assert "\x1b" not in report
    assert report.splitlines()[0] == "customers: 4,991 documents, all read"


def test_a_collection_with_a_hostile_name_does_not_reach_the_terminal_as_it_is() -> None:
    program = (
        "import sys; from integrity.cli.progress import progress; from integrity.audit.result import Progress\n"
        "with progress() as show:\n"
        "    show(Progress('[red]\\x1b[2J', 1, 2, 0)); show(Progress('[red]\\x1b[2J', 2, 2, 0, finished=True))\n"
    )
    ours, theirs = pty.openpty()
    running = subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # as above
        pass
    finally:
        os.close(ours)
        running.wait()
    assert running.returncode == 0
    assert b"[red]\\x1b[2J" in shown
    assert b"[red]\x1b[2J" not in shown
