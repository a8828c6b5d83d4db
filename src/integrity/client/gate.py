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

    #: Whether there is a permit for one more round trip beside the caller's.
    room = True

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
        self.reset()

    def reset(self) -> None:
        """Let everybody out: in a forked child, where those inside have stayed in the parent."""
        self._mutex = threading.Lock()
        self._free = self.size + self.overflow
        self._requests = 0
        self._waiters: OrderedDict[_Permit, None] = OrderedDict()
        self._forgotten: deque[_Permit] = deque()
        self._waits = Histogram()
        self._timeouts: Counter[str] = Counter()

    @property
    def in_use(self) -> int:
        """Permits taken."""
        return self.size + self.overflow - self._free

    @property
    def room(self) -> bool:
        """Whether there is a permit for one more round trip beside the caller's."""
        return self._free > 1

    @property
    def waiting(self) -> int:
        """Requests that wait for a permit."""
        return len(self._waiters)

    def counts(self) -> tuple[int, Spread, dict[str, int]]:
        """Return how many were let in, how long those waited who had to, and how many were refused, by cause."""
        with self._mutex:
            return self._requests, self._waits.spread(), dict(self._timeouts)

    def permit(self) -> _Permit:
        """Return what ``with`` takes around one round trip: ``with gate.permit(): ...``."""
        return _Permit(self)

    def urgent(self) -> _Permit:
        """Return what ``with`` takes around a commit or abort, which goes first: it frees what others wait for."""
        return _Urgent(self)

    # A KeyboardInterrupt comes after a call, or where a function begins. So whatever counts is done without a call in
    # between, together with the permit's own note of it: `_Permit` gives back what is noted.

    def take(self, permit: _Permit) -> None:
        """Let a permit's owner in, or wait for that."""
        while self._forgotten:
            self.give(self._forgotten.popleft())
        with self._mutex:
            if self._free:  # then nobody waits: a permit that comes back goes to the first who does
                self._free -= 1
                permit.taken = True
                self._requests += 1
                return
        self.wait(permit)

    def give(self, permit: _Permit) -> None:
        """Give a permit back, if it is taken: to the first who waits, so that nobody can overtake."""
        with self._mutex:
            if not permit.taken:
                return
            following = next(iter(self._waiters), None)
            if following is None:
                self._free += 1
                permit.taken = False
                return
            following.taken = True
            permit.taken = False
            del self._waiters[following]
            self._requests += 1
            following.opened.release()

    def wait(self, permit: _Permit) -> None:
        """Wait for a permit, at the head of the queue where it is an urgent one."""
        started = time.monotonic()
        permit.opened = threading.Lock()
        permit.opened.acquire()
        with self._mutex:
            if self._free:
                self._free -= 1
                permit.taken = True
                self._requests += 1
                return
            self._waiters[permit] = None
            if permit.first:
                self._waiters.move_to_end(permit, last=False)
        try:
            # pymongo.timeout() is a promise to the same caller
            served = permit.opened.acquire(timeout=max(0.0, _csot.clamp_remaining(self.timeout)))
        except BaseException:  # KeyboardInterrupt above all
            self._leave(permit)
            raise
        waited = time.monotonic() - started
        if not served:
            waiting = self.waiting
            if self._leave(permit):
                raise self._refuse(waited, waiting)
        with self._mutex:  # served, or the permit was handed over at the last moment
            self._waits.add(waited)
        if self.samples is not None:
            self.samples.append(("wait_time", "", waited))

    def forget(self, permit: _Permit) -> None:
        """Give back what nobody holds any more. The collector may ask for it at any moment, and in any thread."""
        if self._mutex.locked():  # by this very thread, it may be
            self._forgotten.append(permit)
        else:
            self.give(permit)

    def _leave(self, permit: _Permit) -> bool:
        """Stop waiting; False when the permit has been handed over already."""
        with self._mutex:
            return self._waiters.pop(permit, permit) is None

    def _refuse(self, waited: float, waiting: int) -> Exception:
        connected, idle, opening = self._connections()
        figures = Figures(self.size, self.overflow, self.in_use, connected, idle, opening, waiting, waited)
        error = refusal(figures)
        with self._mutex:
            self._timeouts[error.cause] += 1
        return error


class _Permit:
    """A permit of one caller, given back at the end of the ``with`` block, or when the caller is gone without that."""

    #: Whether it goes before all others.
    first = False
    taken = False
    #: Held until the permit is handed over; only where it is waited for.
    opened: threading.Lock

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        try:
            self._gate.take(self)
        except BaseException:
            self._gate.give(self)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._gate.give(self)
        except BaseException:  # a KeyboardInterrupt on the way
            self._gate.give(self)
            raise

    def __del__(self) -> None:
        if self.taken:  # interrupted where `__exit__` begins
            self._gate.forget(self)


class _Urgent(_Permit):
    """A permit that is given before all others."""

    first = True
