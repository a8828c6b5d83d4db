"""Whether an event loop stands still: a timer that notes how late it is called, while somebody waits."""

from __future__ import annotations

import asyncio

#: Being late by less than this many seconds is a busy loop, not one that stands still.
TOLERANCE = 0.01


class Pulse:
    """A timer that repeats; it costs nothing while it is stopped.

    Args:
        timeout: The wait that it watches over: twenty beats in it, and at most twenty a second.
    """

    def __init__(self, timeout: float) -> None:
        self._interval = max(0.001, min(0.05, timeout / 20))
        self._timer: asyncio.TimerHandle | None = None
        self._stalled = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to beat, unless it does."""
        if self._timer is None:
            self._timer = loop.call_later(self._interval, self._beat, loop)

    def stop(self) -> None:
        """Stop to beat."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stalled(self, loop: asyncio.AbstractEventLoop) -> float:
        """Return for how many seconds the loop has stood still, ever since the pulse was made."""
        return self._stalled + self._late(loop)

    def _late(self, loop: asyncio.AbstractEventLoop) -> float:
        late = 0.0 if self._timer is None else loop.time() - self._timer.when()
        return late if late > TOLERANCE else 0.0

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stalled += self._late(loop)
        self._timer = loop.call_later(self._interval, self._beat, loop)
