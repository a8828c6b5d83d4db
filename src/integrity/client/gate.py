"""The gate of a blocking client: as many round trips at once as the pool has connections, first come, first served.

The driver's own ``waitQueueTimeoutMS`` also counts the time that a connection takes to open, and retries a read
that it refused, so that a caller waits twice. This gate stands in front of the driver: whoever holds a permit finds
a connection, or is the one for whom a connection is opened.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Self

from pymongo import _csot  # the deadline of `with pymongo.timeout(...)`; there is no public word for what is left

from integrity.client.refusal import Figures, refusal
from integrity.client.statistics import Histogram, Spread


class OpenGate:
    """A gate that lets everybody pass: for a client that the application opened itself."""

    __slots__ = ()

    def permit(self) -> Self:
        """Return what ``with`` takes around one round trip."""
        return self

    def urgent(self) -> Self:
        """Return what ``with`` takes around a round trip that ends a transaction."""
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


NO_GATE = OpenGate()


def nobody() -> tuple[int, int, int]:
    """Return the connections of a client that nothing is known of."""
    return 0, 0, 0


class Gate:
    """A counted, fair gate for threads.

    It counts only; the figures of its refusals come from the pool that it stands for.

    Args:
        size: The pool's persistent connections.
        overflow: The temporary ones; ``size + overflow`` may be inside at once.
        timeout: Seconds to wait before `PoolTimeout`.
        connections: Returns how many connections are in use, idle and opening.
    """

    def __init__(
        self, size: int, overflow: int, timeout: float, connections: Callable[[], tuple[int, int, int]] = nobody
    ) -> None:
        self.size = size
        self.overflow = overflow
        self.timeout = timeout
        self._connections = connections
        #: What an exporter has asked to be kept for it; the gate stands before all servers and names none.
        self.samples: deque[tuple[str, str, float]] | None = None
        self._urgent = _Urgent(self)
        self.reset()

    def reset(self) -> None:
        """Let everybody out: in a forked child, where those inside have stayed in the parent."""
        self._mutex = threading.Lock()
        self._free = self.size + self.overflow
        self._requests = 0
        self._waiters: OrderedDict[threading.Lock, None] = OrderedDict()
        self._waits = Histogram()
        self._timeouts: Counter[str] = Counter()

    @property
    def in_use(self) -> int:
        """Permits taken."""
        return self.size + self.overflow - self._free

    @property
    def waiting(self) -> int:
        """Requests that wait for a permit."""
        return len(self._waiters)

    def counts(self) -> tuple[int, Spread, dict[str, int]]:
        """Return how many were let in, how long those waited who had to, and how many were refused, by cause."""
        with self._mutex:
            return self._requests, self._waits.spread(), dict(self._timeouts)

    def permit(self) -> Self:
        """Return what ``with`` takes around one round trip: ``with gate.permit(): ...``."""
        return self

    def urgent(self) -> _Urgent:
        """Return what ``with`` takes around a commit or abort, which goes first: it frees what others wait for."""
        return self._urgent

    def __enter__(self) -> None:
        with self._mutex:
            if self._free:  # then nobody waits: a permit that comes back goes to the first who does
                self._free -= 1
                self._requests += 1
                return
        self.wait(first=False)

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._waiters:
                self._requests += 1
                self._waiters.popitem(last=False)[0].release()  # handed over, so that nobody can overtake
            else:
                self._free += 1

    def wait(self, *, first: bool) -> None:
        """Wait for a permit, at the head of the queue if `first`."""
        started = time.monotonic()
        waiter = threading.Lock()
        waiter.acquire()
        with self._mutex:
            if self._free:
                self._free -= 1
                self._requests += 1
                return
            self._waiters[waiter] = None
            self._waiters.move_to_end(waiter, last=not first)
        try:
            # pymongo.timeout() is a promise to the same caller
            served = waiter.acquire(timeout=max(0.0, _csot.clamp_remaining(self.timeout)))
        except BaseException:  # KeyboardInterrupt above all: what has been handed over goes to the next
            if not self._leave(waiter):
                self.__exit__()
            raise
        waited = time.monotonic() - started
        if not served:
            waiting = self.waiting
            if self._leave(waiter):
                raise self._refuse(waited, waiting)
        with self._mutex:  # served, or the permit was handed over at the last moment
            self._waits.add(waited)
        if self.samples is not None:
            self.samples.append(("wait_time", "", waited))

    def _leave(self, waiter: threading.Lock) -> bool:
        """Stop waiting; False when the permit has been handed over already."""
        with self._mutex:
            return self._waiters.pop(waiter, waiter) is None

    def _refuse(self, waited: float, waiting: int) -> Exception:
        connected, idle, opening = self._connections()
        figures = Figures(self.size, self.overflow, self.in_use, connected, idle, opening, waiting, waited)
        error = refusal(figures)
        with self._mutex:
            self._timeouts[error.cause] += 1
        return error


class _Urgent:
    """A permit that is given before all others."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.wait(first=True)

    def __exit__(self, *_: object) -> None:
        self._gate.__exit__()
