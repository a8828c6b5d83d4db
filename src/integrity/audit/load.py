"""Whether a server is busy: by what waits in it, where it may be asked, and by how slow it has become.

Source: https://www.mongodb.com/docs/manual/reference/command/serverStatus/#globallock
"""

from __future__ import annotations

from pymongo.errors import OperationFailure

from integrity.store.port import Document, Store

#: Operations that wait: a moment's chance is one or two.
_WAITING = 4
#: So much slower than at its best, per document, is a server that others use.
_SLOWER = 3.0
_LEFT_OUT = ("metrics", "repl", "sharding", "tcmalloc", "transactions", "opLatencies", "locks", "asserts", "network")


class Load:
    """Tells whether a server is busy."""

    def __init__(self) -> None:
        self._best = 0.0
        self._asked = True

    def slowed(self, read: int, seconds: float) -> bool:
        """Whether reading has become much slower than it was at its best.

        Args:
            read: The documents read just now.
            seconds: How long that took.
        """
        if not read or seconds <= 0:
            return False
        speed = read / seconds
        self._best = max(self._best, speed)
        return speed * _SLOWER < self._best

    async def queued(self, store: Store) -> bool:
        """Whether operations wait in the server, as far as it tells."""
        if not self._asked:
            return False
        try:
            status = await store.admin({"serverStatus": 1, **dict.fromkeys(_LEFT_OUT, 0)})
        except OperationFailure:  # the role `read` may not ask
            self._asked = False
            return False
        return busy(status)


def busy(status: Document) -> bool:
    """Whether operations wait, by a reply of ``serverStatus``.

    Args:
        status: The reply; what it does not have says nothing.
    """
    waiting = status.get("globalLock", {}).get("currentQueue", {}).get("total", 0)
    tickets = status.get("wiredTiger", {}).get("concurrentTransactions", {})
    exhausted = any(each.get("available", 1) <= 0 for each in tickets.values() if isinstance(each, dict))
    return waiting >= _WAITING or exhausted
