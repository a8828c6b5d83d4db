"""The transaction that is open: what operations inside of its ``with`` block join."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any


class Binding:
    """Which session the operations of a database's handles join, per thread and per task."""

    def __init__(self) -> None:
        self._current: ContextVar[Any] = ContextVar("integrity_session", default=None)
        #: Returns the session of the transaction that is open here, or None.
        self.session: Callable[[], Any] = self._current.get

    def bind(self, session: Any) -> Any:
        """Let operations join `session`; return the one that they joined before."""
        before = self._current.get()
        self._current.set(session)
        return before
