"""The pool under torture: its exact meaning, again and again, with the bounds on time that tests leave out.

    python benchmarks/torture_pool.py [--runs 10]

For the blocking client, the asynchronous one and Motor, with the gate alone and with strict overflow, for reads and
writes: 51 slow operations at once on a warm pool of 20 + 30 with a timeout of 200 ms. Exactly 50 are served, and one
is refused after 0.19 to 0.30 s. Then the server may see no more than 20 connections within `max_idle` (strict: 2 s).
A machine that is busy with other work may miss the 0.30 s; the counts hold on any. Exits 1 when anything does not.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from integrity.client import Pool
from integrity.embedded import Mongod
from tests.client.colours import COLOURS, Burst, Bursts
from tests.client.slow import Slow

HELD = 0.8
TIMEOUT = 0.2
EARLIEST, LATEST = 0.19, 0.30
MAX_IDLE = 4.0


class Torture:
    """One colour and variant."""

    def __init__(self, runs: int, slow: Slow, *, strict: bool) -> None:
        self.runs, self.slow, self.strict = runs, slow, strict
        self.faults: list[str] = []
        self.waited: list[float] = []

    def __call__(self, burst: Burst) -> None:
        self.slow.start(HELD)
        for number in range(self.runs):
            for kind in ("read", "write"):
                served, refused = burst.fire(51, kind)
                if (served, len(refused)) != (50, 1):
                    self.faults.append(f"run {number}, {kind}: {served} served, {len(refused)} refused")
                for error in refused:
                    self.waited.append(error.waited)
                    if not EARLIEST <= error.waited <= LATEST:
                        self.faults.append(f"run {number}, {kind}: refused after {error.waited:.3f} s")
                if (seen := self.slow.connections()) > 50:
                    self.faults.append(f"run {number}, {kind}: {seen} connections")
        self.slow.stop()
        stats = burst.opened.stats()
        if (stats.in_use, stats.waiting, stats.requests) != (0, 0, 100 * self.runs):
            self.faults.append(f"{stats.in_use} permits taken, {stats.waiting} waiting, {stats.requests} served")
        allowed = 2.0 if self.strict else MAX_IDLE
        ended = time.monotonic()
        while (seen := self.slow.connections()) > 20:
            if time.monotonic() - ended > allowed:
                self.faults.append(f"{seen} connections {allowed:g} s after the last burst")
                break
            time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="bursts in a row")
    arguments = parser.parse_args()
    faults = 0
    with (
        Mongod(args=("--setParameter", "enableTestCommands=1")) as server,
        MongoClient[dict[str, Any]](server.uri) as client,
    ):
        for colour in COLOURS:
            for strict in (False, True):
                slow = Slow(client, f"torture_{uuid.uuid4().hex[:12]}")
                torture = Torture(arguments.runs, slow, strict=strict)
                pool = Pool(
                    size=20,
                    max_overflow=30,
                    timeout=TIMEOUT,
                    max_idle=MAX_IDLE,
                    strict_overflow=strict,
                    application_name=slow.application,
                )
                Bursts(colour, server.uri, pool, "torture").run(torture)
                faults += len(torture.faults)
                name = f"{colour}, {'strict' if strict else 'gate'}"
                print(
                    f"{name:22} {2 * arguments.runs} bursts of 51, refused after {min(torture.waited):.3f} to "
                    f"{max(torture.waited):.3f} s: {'; '.join(torture.faults) or 'as promised'}",
                    flush=True,
                )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
