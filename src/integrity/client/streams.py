"""The budget of change streams: each holds a connection as long as it is open, so they are counted apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from integrity.client.refusal import spent, unbudgeted


class Streams:
    """How many change streams may be open at once.

    Args:
        budget: ``Pool.change_streams``.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._process = 0
        self.reset()

    def reset(self) -> None:
        """Forget those that are open: in a forked child they are the parent's."""
        self._lock = threading.RLock()  # the collector may let one leave while this thread counts
        self.open = 0
        self._process += 1

    def enter(self) -> int:
        """Count one that opens, and return its place, with which `leave` counts it out.

        Raises:
            PoolTimeout: The budget is spent, or there is none. At once: a stream may stay open for ever.
        """
        with self._lock:
            if self.open >= self.budget:
                raise spent(self.budget) if self.budget else unbudgeted()
            self.open += 1
            return self._process

    def leave(self, place: int) -> None:
        """Count one out; not the parent's, which a forked child forgets too."""
        with self._lock:
            if place == self._process:
                self.open -= 1

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Hold a place for the time that a stream is open."""
        place = self.enter()
        try:
            yield
        finally:
            self.leave(place)
