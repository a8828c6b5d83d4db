"""How long things may take: the lease of a condemnation, the grace after a deletion, the patience of a writer.

None of these numbers decides whether a live process leaves an orphan: the orderings do. They decide how long a process
that died keeps others waiting, and how long its last insert may be under way and still be found.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bson import ObjectId


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Timing:
    """The times, in seconds, and where they come from.

    Clocks of two machines may differ: a lease that is taken over too early costs the slow process its delete, which
    is fenced by the record, and never a reference.

    Args:
        lease: How long a condemnation holds without a sign of life from who made it.
        grace: How long a deletion is remembered; longer than the longest insert is under way.
        patience: How long a write waits for a condemnation, or repeats a transaction that met a conflict.
        notice: How old a writer's knowledge of the side collection's use may be.
        now: The time, as BSON stores it: UTC without a zone.
        monotonic: Seconds on a clock that is never set.
        token: A fresh name for a deletion.
        jitter: A random number from 0 to 1, for pauses.
    """

    lease: float = 30.0
    grace: float = 120.0
    patience: float = 45.0
    notice: float = 3.0
    now: Callable[[], dt.datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    token: Callable[[], ObjectId] = ObjectId
    jitter: Callable[[], float] = field(default=lambda: secrets.randbelow(1000) / 1000)

    def until(self, seconds: float) -> dt.datetime:
        """Return the time in so many seconds."""
        return self.now() + dt.timedelta(seconds=seconds)

    def pause(self, attempt: int) -> float:
        """Return how long to wait before an attempt: longer each time, never the same for two processes."""
        return float(min(0.002 * 2.0 ** min(attempt, 6), 0.1) * (0.5 + self.jitter()))
