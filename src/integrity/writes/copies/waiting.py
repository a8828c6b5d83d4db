"""Telling what a synchronisation waits for: a transaction that has written the same.

One whose process was killed stays open on the server, and with it what it has written, until the server ends it. What
is written meanwhile conflicts, is tried again soon, and goes on as soon as it can; all there is to do is to say so.

Source: https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.transactionLifetimeLimitSeconds
"""

from __future__ import annotations

from collections.abc import Callable

#: WriteConflict, and LockTimeout: https://www.mongodb.com/docs/manual/reference/error-codes/
_HELD = frozenset({112, 24})

#: Seconds after which it is told: two transactions of processes that live get out of each other's way sooner.
PATIENCE = 3.0


def waiting(tell: Callable[[str], None], what: str) -> Callable[[BaseException, float], None]:
    """Return what is called before a transaction is run again: it tells, once, when that goes on for long.

    Args:
        tell: Is given the line.
        what: What is waited with.
    """
    told = False

    def met(error: BaseException, seconds: float) -> None:
        nonlocal told
        if told or seconds < PATIENCE or getattr(error, "code", None) not in _HELD:
            return
        told = True
        tell(
            f"{what}: waiting for another transaction, which has written the same; if its process was killed, the "
            "server ends it within a minute and a half of its beginning (transactionLifetimeLimitSeconds, 60, and half "
            "of that until it looks)"
        )

    return met
