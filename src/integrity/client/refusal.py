"""Why a request got no connection: the verdict and its words, from the figures at that moment."""

from __future__ import annotations

from dataclasses import dataclass

from integrity.errors import PoolTimeout

EXHAUSTED, CONNECTING, STALLED, UNBUDGETED = "exhausted", "connecting", "loop stalled", "not budgeted"

_WORDS = {
    EXHAUSTED: (
        "Every connection works for somebody: make operations shorter, or raise size or max_overflow as far as "
        "`integrity pool plan` says that the server bears."
    ),
    CONNECTING: (
        "Most of those who were let in wait for a connection to open or for a server to be found: look at the server "
        "and the network, and keep connections warm (warm_up=True)."
    ),
    STALLED: (
        "The event loop stood still for {stalled:.2f} s of that, so that nobody could give a connection back: move "
        "work that computes out of the loop (asyncio.to_thread, a process pool, a task queue)."
    ),
}


@dataclass(frozen=True)
class Figures:
    """The pool at the moment of a refusal.

    Args:
        size: Persistent connections.
        overflow: Temporary connections that are allowed.
        in_use: Permits taken.
        connected: Connections that work for an operation, of all servers.
        idle: Connections open and free, of all servers.
        opening: Connections that are being opened.
        waiting: Requests that wait, this one included.
        waited: Seconds that this one waited.
        stalled: Seconds of them that the event loop stood still.
    """

    size: int
    overflow: int
    in_use: int
    connected: int
    idle: int
    opening: int
    waiting: int
    waited: float
    stalled: float = 0.0


def cause_of(figures: Figures) -> str:
    """Return the cause that the figures show.

    A stalled loop comes first, since it falsifies the rest. Then the majority decides: those who were let in either
    use a connection or are still on their way to one.
    """
    if figures.stalled * 4 >= figures.waited:
        return STALLED
    on_their_way = figures.in_use - figures.connected
    return CONNECTING if on_their_way * 2 > figures.in_use else EXHAUSTED


def refusal(figures: Figures) -> PoolTimeout:
    """Return the error for one who waited in vain."""
    cause = cause_of(figures)
    return PoolTimeout(
        f"No connection came free in {figures.waited:.2f} s (pool of {figures.size} + {figures.overflow} overflow: "
        f"{figures.in_use} in use, {figures.idle} idle, {figures.opening} opening, {figures.waiting} waiting). "
        f"Cause: {cause}. {_WORDS[cause].format(stalled=figures.stalled)}",
        size=figures.size,
        overflow=figures.overflow,
        in_use=figures.in_use,
        idle=figures.idle,
        opening=figures.opening,
        waiting=figures.waiting,
        waited=figures.waited,
        cause=cause,
    )


def unbudgeted() -> PoolTimeout:
    """Return the error for a change stream where none is budgeted."""
    return PoolTimeout(
        "A change stream holds a connection as long as it is open, and none is budgeted: Pool(change_streams=0). "
        "Say how many there are at once, as in Pool(change_streams=2).",
        cause=UNBUDGETED,
    )


def spent(budget: int) -> PoolTimeout:
    """Return the error for one change stream more than are budgeted."""
    return PoolTimeout(
        f"{budget} change streams are open, as many as are budgeted: Pool(change_streams={budget}). "
        "Close one, or say how many there are at once.",
        in_use=budget,
        cause=UNBUDGETED,
    )


def cold(servers: list[str], figures: Figures) -> PoolTimeout:
    """Return the error for a pool that is not warm in time."""
    return PoolTimeout(
        f"The pool is not warm after {figures.waited:.2f} s: fewer than {figures.size} connections are open to "
        f"{', '.join(servers)} ({figures.idle} idle, {figures.opening} opening). Look at the server's limit "
        "(`integrity pool watch`), the network, and at the credentials.",
        size=figures.size,
        overflow=figures.overflow,
        in_use=figures.in_use,
        idle=figures.idle,
        opening=figures.opening,
        waiting=figures.waiting,
        waited=figures.waited,
        cause=CONNECTING,
    )
