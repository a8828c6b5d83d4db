"""Being a good guest: not faster than asked, not while a pause file is there, not longer than allowed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from integrity.store.port import Store

_LOOK = 0.5


class OutOfTime(Exception):
    """The audit has taken as long as it may."""


@dataclass
class Pace:
    """How fast an audit may go.

    Args:
        rate: The most documents a second, or None.
        seconds: The longest that it may take, or None.
        pause: While a file of this name is there, nothing is read; or None.
    """

    rate: float | None = None
    seconds: float | None = None
    pause: Path | None = None
    _begun: float = field(default_factory=time.monotonic, init=False)
    _owed: float = field(default=0.0, init=False)
    _last: float | None = field(default=None, init=False)

    @property
    def partition(self) -> int | None:
        """How large a partition may be, so that the pace is kept; None where any size will do."""
        if self.rate is not None:
            return max(100, min(50_000, int(self.rate)))
        return 50_000 if self.seconds is not None or self.pause is not None else None

    async def keep(self, store: Store, read: int) -> None:
        """Wait as long as it takes, after documents were read and with no cursor open.

        Args:
            store: Waits.
            read: The documents read since the last call.

        Raises:
            OutOfTime: It has taken as long as it may.
        """
        now = time.monotonic()
        if self.rate is not None:
            # What reading took is part of the time that the documents are allowed to take.
            self._owed += read / self.rate - (now - (self._last if self._last is not None else self._begun))
            self._owed = max(self._owed, -1.0)
            if self._owed > 0:
                await store.sleep(self._owed)
                self._owed = 0.0
        while self.pause is not None and self.pause.exists():
            self._check()
            await store.sleep(_LOOK)
        self._last = time.monotonic()
        self._check()

    def _check(self) -> None:
        if self.seconds is not None and time.monotonic() - self._begun >= self.seconds:
            raise OutOfTime
