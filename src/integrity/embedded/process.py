"""The mongod processes of one server, kept by a guardian process (see `guardian`)."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrity.embedded import guardian
from integrity.embedded.errors import MongodFailed


@dataclass(frozen=True)
class Member:
    """One mongod of a server.

    Attributes:
        index: Its place in the server, from 0; it keeps its folder by it.
        port: Where it listens, on 127.0.0.1.
        pid: Its process id; another one after `restart`.
        folder: Its data files and `mongod.log`.
    """

    index: int
    port: int
    pid: int
    folder: Path

    @property
    def address(self) -> str:
        """`host:port`, as a replica set's configuration has it."""
        return f"127.0.0.1:{self.port}"


class Processes:
    """Asks the guardian for processes; ends with all of them.

    When this object is forgotten or its process dies, the guardian's input ends, and with it
    everything that it has started.
    """

    def __init__(self, *, remove: Path | None) -> None:
        """Starts the guardian.

        Args:
            remove: A folder to remove when the last process has ended.
        """
        self._lock = threading.Lock()
        self._asked = 0
        self._guardian = subprocess.Popen(  # noqa: S603 - our own script
            # Isolated and without site-packages: quick to start, and deaf to PYTHON* variables.
            [sys.executable, "-I", "-S", guardian.__file__, str(remove or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C goes to the program, which then unwinds in order
            text=True,
        )

    def start(self, argv: list[str], *, output: Path) -> int:
        """Starts a process and returns its id; what it prints is appended to `output`."""
        return int(self._ask({"do": "start", "argv": argv, "output": str(output)})["pid"])

    def status(self, pid: int) -> int | None:
        """None while it runs; then its exit status, negative for a signal."""
        status: int | None = self._ask({"do": "poll", "pid": pid})["status"]
        return status

    def kill(self, pid: int) -> None:
        """SIGKILL, and waits until the process is gone."""
        self._ask({"do": "kill", "pid": pid})

    def close(self, *, hard: bool) -> None:
        """Ends all processes, and waits for that.

        Args:
            hard: Kill at once, instead of letting them finish: for data that nobody will read.
        """
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        try:
            # Not only the end of the input: a forked child of ours may hold the pipe open.
            self._guardian.stdin.write(json.dumps({"do": "quit", "hard": hard}) + "\n")
            self._guardian.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already
        # After the mongods the guardian removes their folder, which takes its time on a busy disk.
        self._guardian.wait(timeout=guardian.STOP_TIMEOUT + 60)
        self._guardian.stdout.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        with self._lock:
            self._asked += 1
            try:
                self._guardian.stdin.write(json.dumps({"n": self._asked, **request}) + "\n")
                self._guardian.stdin.flush()
            except BrokenPipeError:
                raise MongodFailed("The guardian of the embedded mongod has ended.") from None
            while line := self._guardian.stdout.readline():
                answer: dict[str, Any] = json.loads(line)
                # A KeyboardInterrupt may have left the answer to an earlier question behind.
                if answer["n"] == self._asked:
                    if "error" in answer:
                        raise MongodFailed(f"mongod could not be started: {answer['error']}.")
                    return answer
        raise MongodFailed("The guardian of the embedded mongod has ended.")
