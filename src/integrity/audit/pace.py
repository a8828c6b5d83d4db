"""Being a good guest: not faster than asked, not while a pause file is there, not longer than allowed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from integrity.audit.load import Load
from integrity.store.port import Store

_LOOK = 0.5
#: While the server stays busy it is left alone for so long at most, after which a little is read all the same.
_LONGEST = 30.0
#: Documents of the largest piece.
_LARGEST = 128_000


class OutOfTime(Exception):
    """The audit has taken as long as it may."""


@dataclass
class Pace:
    """How fast an audit may go.

    Args:
        rate: The most documents a second, or None.
        seconds: The longest that it may take, or None.
        pause: While a file of this name is there, nothing is read; or None.
        load: Wait while the server is busy, and read in short pieces; None not to look.
    """

    rate: float | None = None
    seconds: float | None = None
    pause: Path | None = None
    load: Load | None = None
    _begun: float = field(default_factory=time.monotonic, init=False)
    _owed: float = field(default=0.0, init=False)
    _last: float | None = field(default=None, init=False)

    @property
    def asked(self) -> bool:
        """Whether there is a pace to be kept, for which the audit stops now and then."""
        return any(each is not None for each in (self.rate, self.seconds, self.pause, self.load))

    @property
    def most(self) -> int:
        """The most documents between two stops: a second's, where so many a second are allowed."""
        return _LARGEST if self.rate is None else max(100, min(_LARGEST, int(self.rate)))

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
        if self.load is not None:
            await self._yield(store, self.load, read, now - (self._last if self._last is not None else self._begun))
        await self.stand(store)
        self._last = time.monotonic()

    async def stand(self, store: Store) -> None:
        """Wait while the pause file is there.

        Args:
            store: Waits.

        Raises:
            OutOfTime: It has taken as long as it may.
        """
        while self.pause is not None and self.pause.exists():
            self._check()
            await store.sleep(_LOOK)
        self._check()

    async def _yield(self, store: Store, load: Load, read: int, took: float) -> None:
        """Leave the server to others: as long as it took to read, and then while operations wait in it."""
        if load.slowed(read, took):
            await store.sleep(min(took, _LONGEST))
        waited, pause = 0.0, _LOOK
        while waited < _LONGEST and await load.queued(store):
            self._check()
            await store.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 5.0)

    def _check(self) -> None:
        if self.seconds is not None and time.monotonic() - self._begun >= self.seconds:
            raise OutOfTime
