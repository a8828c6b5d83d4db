"""The keys that this process has seen lately: an insert under one of them need not look before it writes.

What dies between its two steps leaves an orphan that only a sweep finds, and a sweep looks where something was deleted
within the grace. A key that was seen within a part of that was there, or its deletion is still remembered.

A key counts as seen once an insert under it is acknowledged by a majority, and not when it was only read: what stands
before that insert in the oplog then stays as well. A parent that was only read may be taken back by an election, which
is no deletion, and is remembered by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable

from integrity.writes.references.timing import Timing

#: How many keys a process remembers.
MOST = 20_000


class Witnesses:
    """When keys were seen.

    Args:
        timing: The times.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._seen: dict[Hashable, float] = {}

    def lack(self, keys: Iterable[Hashable]) -> bool:
        """Whether one of the keys was not seen lately: what is inserted under it could be an orphan from the start."""
        limit = self._timing.monotonic() - self._timing.grace / 4
        return any(self._seen.get(each, -math.inf) < limit for each in keys)

    def add(self, keys: Iterable[Hashable], when: float) -> None:
        """Remember that keys were seen."""
        if len(self._seen) > MOST:
            self._seen.clear()
        self._seen.update(dict.fromkeys(keys, when))

    def forget(self, keys: Iterable[Hashable]) -> None:
        """Remember no more that keys were seen."""
        for each in keys:
            self._seen.pop(each, None)
