"""References on the write path: what keeps them from dangling.

Every operation that stores or deletes goes through a `Protocol`. It is given the act as a coroutine function and
decides what happens around it: the act runs in a transaction beside its pins, or it is looked at after it was done,
and taken back. See docs/explanation/references.md.

::

    keys        what references go by        plan        what a delete would do
    pins        the table of pins            carry_out   doing it
    condemned   records and flags            deleting    condemn, look, act
    notices     who writes how               inside      the same in a user's transaction
    existence   looking references up        optimistic  insert, look, take back
    recovery    after a crash                deferred    checks at the commit
    pinned      look, pin, store             standing    replaced, with the references that it has
    witnesses   what was seen lately
"""

from __future__ import annotations

from integrity.declare.registry import Registry
from integrity.writes.references.deleting import Deleted, Progress, Wish
from integrity.writes.references.existence import verify
from integrity.writes.references.plan import DeletePlan
from integrity.writes.references.protocol import Mode, Protocol
from integrity.writes.references.recovery import Recovered, recover
from integrity.writes.references.timing import Timing
from integrity.writes.references.work import Faults, Storing, Whole, Work

#: How references are kept: one class, whatever the protocol.
References = Protocol


def protocol(mode: str, registry: Registry, *, timing: Timing | None = None) -> Protocol:
    """Return the protocol of a mode.

    Args:
        mode: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        registry: All models.
        timing: Leases and graces; the defaults when None.

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in {"auto", "pinned", "optimistic"}:
        raise ValueError(f'references={mode!r}; choose "auto", "pinned" or "optimistic".')
    return Protocol(registry, mode, timing=timing)  # type: ignore[arg-type]  # one of three, as looked at above


__all__ = [
    "DeletePlan",
    "Deleted",
    "Faults",
    "Mode",
    "Progress",
    "Protocol",
    "Recovered",
    "References",
    "Registry",
    "Storing",
    "Timing",
    "Whole",
    "Wish",
    "Work",
    "protocol",
    "recover",
    "verify",
]
