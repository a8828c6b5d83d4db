"""One more thread of this process: for what may be done while a blocking caller waits for the server.

A thread that is started for it takes as long as what it is to save, so it stays for a while. There is one: whoever
finds it taken does its work one after the other, as without it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: Seconds without work after which the thread ends.
IDLE = 10.0


class Job(Generic[T]):
    """What the thread is to do, or has done.

    Args:
        work: Does it.
        context: The caller's context: ``pymongo.timeout()`` is kept there.
    """

    __slots__ = ("_context", "_outcome", "_work", "ended")

    def __init__(self, work: Callable[[], T], context: Context) -> None:
        self._work = work
        self._context = context
        self._outcome: T | None = None
        #: Held until it is done.
        self.ended = threading.Lock()
        self.ended.acquire()

    def run(self) -> None:
        """Do it; what goes wrong is nobody's affair."""
        with suppress(BaseException):  # the caller does it by itself, and raises it there
            self._outcome = self._context.run(self._work)

    def outcome(self) -> T | None:
        """Wait for it; return what came of it, or None where it went wrong."""
        with self.ended:
            return self._outcome


class _Served:
    """What callers and the thread share; a thread that a fork has left behind, or a test, keeps its own."""

    def __init__(self) -> None:
        #: Held by whoever has the thread, or the only word in it.
        self.taken = threading.Lock()
        self.wake = threading.Lock()
        self.wake.acquire()
        self.job: Job[Any] | None = None
        self.thread: threading.Thread | None = None

    def serve(self) -> None:
        """Do what is to be done, until nobody comes."""
        while True:
            if not self.wake.acquire(timeout=IDLE):
                if not self.taken.acquire(blocking=False):
                    continue  # somebody is about to wake it
                self.thread = None
                self.taken.release()
                return
            job, self.job = self.job, None
            assert job is not None
            job.run()
            # Free before that is told: its caller may come again at once.
            self.taken.release()
            job.ended.release()


class Aside:
    """The thread."""

    def __init__(self) -> None:
        self._served = _Served()
        self._process = os.getpid()

    def begin(self, work: Callable[[], T]) -> Job[T] | None:
        """Let the thread begin with something.

        Args:
            work: It. What it raises is dropped.

        Returns:
            What to wait for the outcome by; None where the thread is taken, or none can be started.
        """
        if self._process != os.getpid():  # a fork: the thread has stayed with the parent
            self._served, self._process = _Served(), os.getpid()
        served = self._served
        # A KeyboardInterrupt within leaves it taken for ever: everybody goes on without it.
        if not served.taken.acquire(blocking=False):
            return None
        if served.thread is None:
            thread = threading.Thread(target=served.serve, name="integrity-aside", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there are as many threads as there may be, or the interpreter is at its end
                served.taken.release()
                return None
            served.thread = thread
        job = served.job = Job(work, copy_context())
        served.wake.release()
        return job


#: This process's.
ASIDE = Aside()
