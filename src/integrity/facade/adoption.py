"""The audit and the stages of constraints, for both facades: what they need is imported when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from integrity.declare.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from integrity.adopt import Advance, Row
    from integrity.audit import AuditResult, Options
    from integrity.audit.engine import OnProgress
    from integrity.facade.guards import Guards

#: A stage, or its name.
To = Stage | Literal["declared", "warn", "moderate", "enforced"]


async def audit(guards: Guards, options: Options | None, progress: OnProgress | None) -> AuditResult:
    """Audit the declared collections, see `integrity.audit.audit`."""
    from integrity.audit import audit as run

    return await run(guards.store, guards.registry, options, progress=progress)


async def status(guards: Guards, progress: OnProgress | None, *, audited: bool) -> tuple[Row, ...]:
    """Return how far each constraint has come, see `integrity.adopt.status`."""
    from integrity.adopt import status as run

    return await run(guards.store, guards.registry, audited=audited, progress=progress)


async def enforce(guards: Guards, names: Sequence[str], to: To, progress: OnProgress | None) -> tuple[Advance, ...]:
    """Move constraints to a stage, see `integrity.adopt.enforce`.

    Raises:
        ValueError: There is no such stage.
    """
    from integrity.adopt import enforce as run

    if to not in tuple(Stage):
        raise ValueError(f"to={to!r}; choose {', '.join(repr(str(each)) for each in Stage)}.")
    try:
        return await run(guards.store, guards.registry, names, to=Stage(to), progress=progress)
    finally:
        guards.indexes.staging.forget()
