"""When the program is gone, however it went, so are its servers and their temporary folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integrity.embedded import Mongod
from tests.embedded.system import alive, eventually

PROGRAM = """
import time
from integrity.embedded import Mongod
with Mongod(standalone=True) as server:
    member = server.members[0]
    print(member.pid, member.folder.parent, flush=True)
    {then}
"""


def run(then: str) -> tuple[subprocess.Popen[str], int, Path]:
    """A program with a server, as far as its `with` block."""
    program = subprocess.Popen([sys.executable, "-c", PROGRAM.format(then=then)], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    pid, folder = program.stdout.readline().split()
    return program, int(pid), Path(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_program_ends_the_server(number: signal.Signals) -> None:
    program, pid, folder = run("time.sleep(60)")
    with program:
        assert alive(pid)
        program.send_signal(number)
    assert eventually(lambda: not alive(pid))
    assert eventually(lambda: not folder.exists())


def test_a_program_that_ends_without_unwinding_ends_the_server() -> None:
    program, pid, folder = run("import os; os._exit(3)")
    with program:
        pass
    assert program.returncode == 3
    assert eventually(lambda: not alive(pid))
    assert eventually(lambda: not folder.exists())


def test_a_forked_child_leaves_its_parents_server_alone() -> None:
    program, pid, folder = run(
        "import os, warnings; warnings.simplefilter('ignore')\n"
        "    child = os.fork()\n"
        "    if child == 0: raise SystemExit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    print('child gone', flush=True); time.sleep(60)"
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "child gone\n"
        assert not eventually(lambda: not alive(pid), seconds=0.5)
        program.kill()
    assert eventually(lambda: not alive(pid) and not folder.exists())


def test_the_death_of_the_guardian_ends_the_server() -> None:
    with Mongod(standalone=True) as server:
        pid, folder = server.members[0].pid, server.members[0].folder.parent
        guardian = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert guardian != os.getpid()
        os.kill(guardian, signal.SIGKILL)
        assert eventually(lambda: not alive(pid))
    assert not folder.exists()
