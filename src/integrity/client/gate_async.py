"""The gate of an asynchronous client; `integrity.client.gate` says what it is for.

It belongs to the event loop of its first use, as the client behind it does.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Self

from pymongo import _csot  # the deadline of `with pymongo.timeout(...)`; there is no public word for what is left

from integrity.client.gate import nobody
from integrity.client.pulse import Pulse
from integrity.client.refusal import Figures, refusal
from integrity.client.statistics import Histogram, Spread


def running() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs here.

    Raises:
        RuntimeError: None of asyncio's does: the caller's tasks are Trio's, or there is no loop at all.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "integrity.aio, as PyMongo's asynchronous client, needs an event loop of asyncio, and none runs here. "
            'With AnyIO run it with backend="asyncio"; under Trio call integrity.connect in threads '
            "(trio.to_thread.run_sync)."
        ) from None


class OpenAsyncGate:
    """A gate that lets everybody pass: for a client that the application opened itself."""

    __slots__ = ()

    #: Whether there is a permit for one more round trip beside the caller's.
    room = True

    def permit(self) -> Self:
        """Return what ``async with`` takes around one round trip."""
        return self

    def urgent(self) -> Self:
        """Return what ``async with`` takes around a round trip that ends a transaction."""
        return self

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None

    async def acquire(self, *, first: bool = False) -> None:
        """Take a permit that `release` gives back."""

    def release(self) -> None:
        """Give a permit back."""


NO_ASYNC_GATE = OpenAsyncGate()


class AsyncGate:
    """A counted, fair gate for the tasks of one event loop.

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._free = self.size + self.overflow
        self._requests = 0
        self._waiters: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._waits = Histogram()
        self._timeouts: Counter[str] = Counter()
        self._pulse = Pulse(self.timeout)

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
        return self._requests, self._waits.spread(), dict(self._timeouts)

    def permit(self) -> Self:
        """Return what ``async with`` takes around one round trip: ``async with gate.permit(): ...``."""
        return self

    def urgent(self) -> _Urgent:
        """Return what ``async with`` takes around a commit or abort, which goes first."""
        return self._urgent

    async def __aenter__(self) -> None:
        # Free permits mean that nobody waits: one that comes back goes to the first who does.
        if self._free and self._loop is not None and self._loop is running():
            self._free -= 1
            self._requests += 1
            return
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give a permit back: to the first who waits, so that nobody can overtake."""
        while self._waiters:
            waiter = self._waiters.popitem(last=False)[0]
            if not waiter.done():  # one that is done was cancelled, and leaves when its task runs
                self._requests += 1
                waiter.set_result(True)
                return
        self._free += 1

    async def acquire(self, *, first: bool = False) -> None:
        """Take a permit that `release` gives back; wait at the head of the queue if `first`.

        Raises:
            PoolTimeout: None came free in time.
            RuntimeError: The client belongs to another event loop or process, or no loop of asyncio is running.
        """
        loop = running()
        self._claim(loop)
        if self._free:
            self._free -= 1
            self._requests += 1
            return
        started = loop.time()
        self._pulse.start(loop)
        stalled_before = self._pulse.stalled(loop)
        try:
            served = await self._turn(loop, _csot.clamp_remaining(self.timeout), first=first)
            stalled = self._pulse.stalled(loop) - stalled_before
            if not served and stalled * 4 >= self.timeout:
                # While the loop stood still, replies arrived that nobody could read. They are read now, before
                # this one is told that the pool is exhausted: a few turns of the loop, a tenth of the timeout.
                served = await self._turn(loop, min(stalled, self.timeout / 10), first=True)
            waited = loop.time() - started
            if not served and self._free:  # one came back after the last turn and before this task's
                self._free -= 1
                self._requests += 1
            elif not served:
                raise self._refuse(waited, stalled)
            self._waits.add(waited)
            if self.samples is not None:
                self.samples.append(("wait_time", "", waited))
        finally:
            if not self._waiters:
                self._pulse.stop()

    async def _turn(self, loop: asyncio.AbstractEventLoop, seconds: float, *, first: bool) -> bool:
        """Wait in the queue; return whether a permit was handed over."""
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters[waiter] = None
        self._waiters.move_to_end(waiter, last=not first)
        timer = loop.call_later(max(0.0, seconds), _expire, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # Handed over and cancelled in the same turn of the loop: the next one gets it.
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.release()
            raise
        finally:
            self._waiters.pop(waiter, None)
            timer.cancel()

    def _claim(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the gate for the loop of its first use."""
        if self._loop is None:  # nothing is open yet, so that a process forked meanwhile shares nothing
            self._loop, self._pid = loop, os.getpid()
        elif self._pid != os.getpid():
            raise RuntimeError(
                "This asynchronous client was opened before the process was forked, and its sockets are the parent's. "
                "Call integrity.aio.connect in the child, for instance when the worker starts."
            )
        elif self._loop is not loop:
            raise RuntimeError(
                "This asynchronous client belongs to another event loop, that of its first use. "
                "Call integrity.aio.connect inside of the loop that uses it."
            )

    def _refuse(self, waited: float, stalled: float) -> Exception:
        connected, idle, opening = self._connections()
        waiting = len(self._waiters) + 1
        error = refusal(
            Figures(self.size, self.overflow, self.in_use, connected, idle, opening, waiting, waited, stalled)
        )
        self._timeouts[error.cause] += 1
        return error


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


class _Urgent:
    """A permit that is given before all others."""

    __slots__ = ("_gate",)

    def __init__(self, gate: AsyncGate) -> None:
        self._gate = gate

    async def __aenter__(self) -> None:
        await self._gate.acquire(first=True)

    async def __aexit__(self, *_: object) -> None:
        self._gate.release()
