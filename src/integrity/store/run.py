"""Running a coroutine that never suspends."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine over the blocking store, which does its work without ever suspending.

    There is no event loop and no thread: the coroutine is stepped once, in the caller's own stack, so that it
    works inside of any loop, and its traceback is contiguous.

    Raises:
        RuntimeError: The coroutine suspended: it awaits something that belongs to an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]  # a StopIteration's value is untyped
    coroutine.close()
    raise RuntimeError(
        f"{coroutine!r} awaits an event loop over a blocking store; use integrity.aio for asynchronous clients."
    )
