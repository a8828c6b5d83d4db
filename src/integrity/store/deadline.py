"""The caller's deadline, as ``with pymongo.timeout(...)`` sets it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import _csot  # there is no public word for the deadline that is set


def is_set() -> bool:
    """Whether the caller has set one."""
    return _csot.get_timeout() is not None


def left() -> float:
    """Return the seconds until it: infinite where there is none."""
    found = _csot.remaining()
    return math.inf if found is None else float(found)


@contextmanager
def in_any_case(seconds: float = 1.0) -> Iterator[None]:
    """Give what a ``with`` block sends a time of its own where the caller's deadline is over, or nearly."""
    if left() >= seconds:
        yield
    else:
        with within(seconds):
            yield


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give what a ``with`` block sends a time of its own, whatever the caller's deadline is."""
    timeout, deadline = _csot.TIMEOUT.set(seconds), _csot.DEADLINE.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _csot.TIMEOUT.reset(timeout)
        _csot.DEADLINE.reset(deadline)
