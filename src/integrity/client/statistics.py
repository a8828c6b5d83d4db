"""What a pool tells about itself: values, and the histogram that they come from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

#: Upper bounds in seconds, from 10 µs in steps of √2 to three minutes: a percentile is right to within 20 %.
BOUNDS = tuple(1e-5 * 2 ** (step / 2) for step in range(50))


@dataclass(frozen=True)
class Spread:
    """How a duration is distributed, in seconds.

    Args:
        count: How many were measured.
        total: Their sum.
        p50: Half of them took no longer.
        p90: Nine in ten took no longer.
        p99: All but one in a hundred took no longer.
        longest: The longest.
    """

    count: int = 0
    total: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


class Histogram:
    """Counts durations by size. Not locked: its owner holds a lock."""

    __slots__ = ("_counts", "_longest", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._total += seconds
        if seconds > self._longest:  # noqa: PLR1730 - a call of max() takes longer, at every checkout
            self._longest = seconds

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def spread(self) -> Spread:
        """Return what was counted."""
        count = self.count
        p50, p90, p99 = (self._at(count, share) for share in (0.5, 0.9, 0.99))
        return Spread(count, self._total, p50, p90, p99, self._longest)

    def _at(self, count: int, share: float) -> float:
        wanted, seen = count * share, 0
        for bound, number in zip((*BOUNDS, self._longest), self._counts, strict=True):
            seen += number
            if number and seen >= wanted:
                return min(bound, self._longest)
        return 0.0


@dataclass(frozen=True)
class ServerStats:
    """The connections of this process to one server.

    Args:
        address: ``host:port``.
        idle: Open and free.
        in_use: Working for an operation.
        opening: Being opened.
        overflow: How many more than the pool's `size` are open.
        checkouts: How often an operation got one.
        failures: How often one did not, by the driver's reason.
        created: How many were opened, or begun to.
        closed: How many were closed, by the driver's reason.
        wait: How long operations waited for one inside the driver, opening it included.
        use: How long they kept it.
    """

    address: str
    idle: int
    in_use: int
    opening: int
    overflow: int
    checkouts: int
    failures: Mapping[str, int]
    created: int
    closed: Mapping[str, int]
    wait: Spread
    use: Spread

    @property
    def open(self) -> int:
        """Connections that are open."""
        return self.idle + self.in_use


@dataclass(frozen=True)
class PoolStats:
    """The pool of one client.

    Args:
        size: Persistent connections to each server.
        max_overflow: Temporary ones besides.
        in_use: Operations under way: permits taken.
        waiting: Requests at the gate.
        requests: How many were let in.
        waits: How long those waited who had to.
        timeouts: How many were refused, by cause.
        streams: Change streams open.
        servers: Each server's connections, by address.
    """

    size: int
    max_overflow: int
    in_use: int
    waiting: int
    requests: int
    waits: Spread
    timeouts: Mapping[str, int]
    streams: int
    servers: Mapping[str, ServerStats]

    @property
    def idle(self) -> int:
        """Connections open and free, of all servers."""
        return sum(each.idle for each in self.servers.values())

    @property
    def open(self) -> int:
        """Connections open, of all servers."""
        return sum(each.open for each in self.servers.values())

    @property
    def opening(self) -> int:
        """Connections being opened, to all servers."""
        return sum(each.opening for each in self.servers.values())
