"""Every order of every pair of operations, with a crash at every step: what tests/references tries a part of.

    python benchmarks/torture_orders.py [WORD]

Minutes to an hour, by the machine. The numbers are kept in docs/explanation/references-measured.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from integrity.embedded import Mongod
from tests.references.test_every_order import MOVES, SCENES, tried


def main(word: str) -> None:
    print("| operations | protocol | schedules | states | crashes |\n|---|---|---|---|---|")
    for mode in ("pinned", "optimistic", "auto"):
        with Mongod(standalone=mode == "auto") as server, MongoClient[dict[str, Any]](server.uri) as client:
            for name in SCENES if mode == "auto" else {**SCENES, **MOVES}:
                if word not in name:
                    continue
                found = tried(client, "orders", name, mode)
                way = "optimistic, standalone" if mode == "auto" else mode
                print(f"| {name} | {way} | {found.schedules} | {found.states} | {found.crashes} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
