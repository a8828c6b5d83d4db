"""What the pool costs a round trip: the gate, and the counting of connections by events.

    python benchmarks/bench_pool.py [--number 200000]

The gate is measured on its own, uncontended. The counting is the listener's work for a checkout and its return (two
events), and what the driver adds because somebody listens. At most 10 microseconds a checkout are promised, all told.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from pymongo import MongoClient, monitoring

from integrity.client import AsyncGate, Gate
from integrity.client.census import Census
from integrity.embedded import Mongod

PROMISED = 10.0
ADDRESS = ("db.example", 27017)


def best(measured: Callable[[], float], times: int = 5) -> float:
    """The best of several runs, in microseconds of CPU: what disturbs a run only makes it longer."""
    return min(measured() for _ in range(times))


def gate(number: int) -> float:
    stands = Gate(20, 30, 5.0)
    started = time.process_time()
    for _ in range(number):
        with stands.permit():
            pass
    took = time.process_time() - started
    started = time.process_time()
    for _ in range(number):
        pass
    return (took - (time.process_time() - started)) / number * 1e6


def gate_async(number: int) -> float:
    async def run() -> float:
        stands = AsyncGate(20, 30, 5.0)
        async with stands.permit():
            pass
        started = time.process_time()
        for _ in range(number):
            async with stands.permit():
                pass
        return (time.process_time() - started) / number * 1e6

    return asyncio.run(run())


def census(number: int) -> float:
    listens = Census()
    listens.connection_created(monitoring.ConnectionCreatedEvent(ADDRESS, 1))
    listens.connection_ready(monitoring.ConnectionReadyEvent(ADDRESS, 1, 0.01))
    taken = monitoring.ConnectionCheckedOutEvent(ADDRESS, 1, 0.00001)
    back = monitoring.ConnectionCheckedInEvent(ADDRESS, 1)
    started = time.process_time()
    for _ in range(number):
        listens.connection_checked_out(taken)
        listens.connection_checked_in(back)
    return (time.process_time() - started) / number * 1e6


def checkout(pool: Any, number: int) -> float:
    started = time.process_time()
    for _ in range(number):
        with pool.checkout():
            pass
    return (time.process_time() - started) / number * 1e6


def listening(number: int) -> float:
    """What a checkout of the driver's costs more when the census listens; without the wire."""
    with Mongod() as server:
        times: dict[bool, list[float]] = {False: [], True: []}
        clients = {
            listens: MongoClient[dict[str, Any]](server.uri, event_listeners=[Census()] if listens else [])
            for listens in times
        }
        pools = {}
        for listens, client in clients.items():
            client.admin.command("ping")
            # Private, and only to measure what no public call does alone.
            (serves,) = client._topology._servers.values()  # noqa: SLF001 - as above
            pools[listens] = serves.pool
        for _ in range(7):
            for listens, pool in pools.items():
                times[listens].append(checkout(pool, number))
        for client in clients.values():
            client.close()
    return statistics.median(times[True]) - statistics.median(times[False])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--number", type=int, default=100_000, help="of round trips in a run")
    number = parser.parse_args().number
    threads = best(lambda: gate(number))
    tasks = best(lambda: gate_async(number))
    counting = best(lambda: census(number))
    driver = listening(number // 10)
    print("| part | microseconds a round trip |\n|---|---|")
    print(f"| gate, threads | {threads:.2f} |")
    print(f"| gate, tasks | {tasks:.2f} |")
    print(f"| counting, the listener alone | {counting:.2f} |")
    print(f"| counting, with the driver's events | {driver:.2f} |")
    total = max(threads, tasks) + driver
    print(f"| all told | {total:.2f} ({'within' if total <= PROMISED else 'MORE THAN'} {PROMISED:g}) |")


if __name__ == "__main__":
    main()
