"""Every order of every pair of operations, with a crash at every step: what tests/references tries a part of.

    python benchmarks/torture_orders.py [WORD]

WORD is a part of a line's name, such as "delete, delete" or "re-parent, delete, pinned". A line takes a minute to an
hour, by the machine; the numbers do not depend on it, and are kept in docs/explanation/references-measured.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from integrity.embedded import Mongod
from tests.references.test_every_order import GLIMPSED, MORE, MOVES, SCENES, STANDING, tried


def main(word: str) -> None:
    print("| operations | protocol | schedules | states | crashes |\n|---|---|---|---|---|")
    for mode in ("pinned", "optimistic", "auto"):
        with Mongod(standalone=mode == "auto") as server, MongoClient[dict[str, Any]](server.uri) as client:
            # Without transactions, a reference or a key that changes is refused: there is nothing to try.
            names = {"auto": [*SCENES, *GLIMPSED, *STANDING], "pinned": [*SCENES, *MOVES, *MORE]}
            for name in names.get(mode, [*SCENES, *GLIMPSED, *MOVES, *MORE]):
                way = "optimistic, standalone" if mode == "auto" else mode
                if word not in f"{name}, {way}":
                    continue
                found = tried(client, "orders", name, mode)
                print(f"| {name} | {way} | {found.schedules} | {found.states} | {found.crashes} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
