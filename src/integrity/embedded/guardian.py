"""The process between a program and its mongods: when the program is gone, so are they.

It is started as a script with nothing but the standard library, reads one JSON request a line, and
answers each with one line. The end of its input is the end of the program, however that came about
(a normal exit, SIGTERM, SIGKILL, the out-of-memory killer): it then stops every mongod and removes
the folder, if that is a temporary one.

Why not PR_SET_PDEATHSIG on the mongods alone: the kernel sends that signal when the *thread* that
forked ends, not the process (prctl(2)), and a server that is started by `asyncio.to_thread` or in a
test's worker thread outlives that thread. This process has one thread, so here the signal is right:
it covers the guardian's own sudden death. Why not a handler for SIGTERM in the program: handlers
belong to the application, and none runs on SIGKILL.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

# A mongod flushes its files and hands over as primary within this, or it is killed.
STOP_TIMEOUT = 20.0

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

Request = dict[str, Any]


class Guardian:
    """Starts, watches and stops mongods by request; each is named by its process id."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def answer(self, request: Request) -> Request:
        """Does what the request says; a failure is an answer too."""
        try:
            match request["do"]:
                case "start":
                    return {"pid": self._start(request["argv"], request["output"])}
                case "poll":
                    return {"status": self._children[request["pid"]].poll()}
                case "kill":
                    child = self._children[request["pid"]]
                    child.kill()
                    return {"status": child.wait()}
                case unknown:
                    return {"error": f"unknown request {unknown!r}"}
        except OSError as error:
            return {"error": str(error)}

    def stop(self, *, hard: bool) -> None:
        """Ends all mongods, together and not one by one: a primary waits for its secondaries."""
        for child in self._children.values():
            if child.poll() is None:
                child.kill() if hard else child.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT
        for child in self._children.values():
            try:
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _start(self, argv: list[str], output: str) -> int:
        with open(output, "ab") as file:  # noqa: PTH123 - pathlib is not worth its import here
            child = subprocess.Popen(  # noqa: S603 - argv comes from our own program
                argv,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - this process has one thread
            )
        self._children[child.pid] = child
        return child.pid


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    guardian = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:  # it died before the call, and no signal will come
            os._exit(1)

    return ask_kernel


def main() -> None:
    """Serves requests until `quit` or the end of the input."""
    # Handlers, not SIG_IGN: an ignored signal would stay ignored in the mongods. What ends this
    # process is the end of its input; a signal to the whole group is the program's to answer.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    remove = sys.argv[1]
    guardian = Guardian()
    hard = False
    # A line cut short (the program died while writing) or a reader that is gone: also an end.
    with contextlib.suppress(ValueError, BrokenPipeError):
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "quit":
                hard = request["hard"]
                break
            print(json.dumps({"n": request["n"], **guardian.answer(request)}), flush=True)  # noqa: T201 - the answer
    guardian.stop(hard=hard)
    if remove:
        shutil.rmtree(remove, ignore_errors=True)


if __name__ == "__main__":
    main()
