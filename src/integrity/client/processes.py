"""One client a process, and for asynchronous ones a loop: whoever opens the same again shares it.

A service that connects in two places has one pool, so that `Pool.limit` holds for the process. After a fork the child
starts with nothing: what it opens is its own, and what it inherited is kept but not used, because closing it, or
letting it be collected, is the parent's affair.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lease(Generic[T]):
    """Something shared, with the number of those who hold it."""

    def __init__(self, key: Hashable, shared: T) -> None:
        self.key = key
        self.shared = shared
        self.holders = 0


class Clients:
    """What is open in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Hashable, Lease[Any]] = {}
        self._inherited: list[Lease[Any]] = []
        #: Called with everything that was shared, in a child after a fork.
        self.on_fork: Callable[[Any], None] = lambda _: None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def take(self, key: Hashable | None, make: Callable[[], T]) -> Lease[T]:
        """Return what is open under `key`, opening it if it is not; None is never shared."""
        with self._lock:
            lease = self._open.get(key) if key is not None else None
            if lease is None:
                lease = Lease(key if key is not None else object(), make())
                self._open[lease.key] = lease
            lease.holders += 1
            return lease

    def forget(self, stale: Callable[[Hashable], bool]) -> None:
        """Share no longer what is open under a stale key, such as that of a loop that is closed."""
        with self._lock:
            for key in [each for each in self._open if stale(each)]:
                del self._open[key]

    def give_back(self, lease: Lease[Any]) -> bool:
        """Note that one holder less needs it; return whether it was the last, who closes it."""
        with self._lock:
            lease.holders -= 1
            last = lease.holders == 0
            if last and self._open.get(lease.key) is lease:
                del self._open[lease.key]
            return last

    def __len__(self) -> int:
        return len(self._open)

    def _forked(self) -> None:
        # Another thread of the parent may have held the lock; in the child there is only this one.
        self._lock = threading.Lock()
        inherited, self._open = list(self._open.values()), {}
        self._inherited += inherited
        for each in inherited:
            self.on_fork(each.shared)


CLIENTS = Clients()
