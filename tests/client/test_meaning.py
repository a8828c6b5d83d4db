"""`Pool(size=20, max_overflow=30, timeout=...)` means what it says, whatever the colour."""

import time

import pytest

from integrity.client import Pool
from tests.client.colours import COLOURS, Burst, Bursts
from tests.client.slow import Slow

#: Much longer than the timeout, so that nobody is done before the last is refused, however busy the machine is.
HELD = 2.0
TIMEOUT = 0.2


def pool(slow: Slow, *, strict: bool, max_idle: float | None = 180.0, timeout: float = 60.0) -> Pool:
    return Pool(
        size=20,
        max_overflow=30,
        timeout=timeout,
        max_idle=max_idle,
        strict_overflow=strict,
        application_name=slow.application,
    )


# Motor's strict pool is the blocking client's, behind the gate of Motor's other case.
@pytest.mark.parametrize(
    ("colour", "strict"),
    [
        pytest.param(colour, strict, id=f"{colour}-{'strict' if strict else 'gate'}")
        for colour in COLOURS
        for strict in (False, True)
        if not (strict and colour == "motor")
    ],
)
def test_of_51_at_once_50_are_served_and_one_is_refused_in_time_and_once(
    colour: str, strict: bool, uri: str, slow: Slow, database_name: str
) -> None:
    """The long form, ten in a row with an upper bound on the wait, is benchmarks/torture_pool.py."""

    def scenario(burst: Burst) -> None:
        slow.start(HELD)
        for kind in ("read", "write"):
            served, refused = burst.fire(51, kind)
            assert (served, len(refused)) == (50, 1)
            error = refused[0]
            assert (error.size, error.overflow, error.in_use, error.waiting) == (20, 30, 50, 1)
            assert error.waited >= TIMEOUT * 0.95
            assert slow.connections() <= 50
        slow.stop()
        stats = burst.opened.stats()
        assert (stats.in_use, stats.waiting, stats.requests) == (0, 0, 100)
        assert stats.waits.count == 0
        # A read that the driver's own queue refuses is retried, and its caller waits twice: not here.
        assert sum(stats.timeouts.values()) == 2
        deadline = time.monotonic() + 7
        while slow.connections() > 20:
            assert time.monotonic() < deadline, "overflow connections stay open"
            time.sleep(0.05)

    max_idle = None if strict else 2.0
    Bursts(colour, uri, pool(slow, strict=strict, max_idle=max_idle, timeout=TIMEOUT), database_name).run(scenario)


def test_strict_overflow_closes_exactly_the_overflow(uri: str, slow: Slow, database_name: str) -> None:
    """30 of 50 go when they come back, and 20 stay open."""

    def scenario(burst: Burst) -> None:
        slow.start(HELD)
        assert burst.fire(50, "read") == (50, [])
        (server,) = burst.opened.stats().servers.values()
        assert (server.created, server.idle, server.in_use, dict(server.closed)) == (50, 20, 0, {"idle": 30})

    Bursts("blocking", uri, pool(slow, strict=True), database_name).run(scenario)


def test_the_overflow_is_made_only_while_all_persistent_ones_are_busy(uri: str, slow: Slow, database_name: str) -> None:
    def scenario(burst: Burst) -> None:
        slow.start(0.3)
        assert burst.fire(20, "write") == (20, [])
        (server,) = burst.opened.stats().servers.values()
        assert (server.created, server.idle, server.overflow) == (20, 20, 0)

    Bursts("blocking", uri, pool(slow, strict=False), database_name).run(scenario)
