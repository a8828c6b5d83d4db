"""Every order of an owner's change and another write, with crashes, and random histories of several services.

    python benchmarks/torture_copies.py

Half an hour or more, by the machine; TORTURE_EXAMPLES says how many histories.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import Any

import hypothesis
from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from integrity.embedded import Mongod
from tests.ownership import test_derived_copies, test_interleavings, test_machine

#: How long a search may take is the caller's to say.
EXAMPLES = int(os.environ.get("TORTURE_EXAMPLES", "150"))


def main() -> int:
    """Try them all; what is wrong is raised."""
    hypothesis.settings.register_profile("torture", deadline=None, print_blob=True, database=None)
    hypothesis.settings.load_profile("torture")
    with (
        Mongod(args=("--setParameter", "enableTestCommands=1")) as server,
        MongoClient[dict[str, Any]](server.uri) as client,
    ):
        test_machine.tried(client, examples=EXAMPLES, steps=40)
        sys.stderr.write(f"{EXAMPLES} histories: every copy equals its owner\n")
        for name in test_interleavings.PAIRS:
            for limits in ((1000, 1000), (0, 1000), (0, 0)):
                crashes = limits == (1000, 1000) or name == "change alone"
                database = f"torture_{uuid.uuid4().hex[:8]}"
                test_interleavings.tried(client, database, name, mode="pinned", limits=limits, crashes=crashes)
                client.drop_database(database)
        for limit in (1000, 0):
            database = f"torture_{uuid.uuid4().hex[:8]}"
            test_derived_copies.tried(client[database], limit)
            client.drop_database(database)
    return 0


if __name__ == "__main__":
    sys.exit(main())
