"""Which constraints a command is about."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.declare.registry import Registry
from integrity.declare.stage import Constraint, constraints
from integrity.errors import EnforcementError


def chosen(registry: Registry, names: Sequence[str] = ()) -> tuple[Constraint, ...]:
    """Return the constraints of these names; all of them without any.

    Args:
        registry: The declarations.
        names: Names such as ``"orders.schema"`` or ``"customers.unique(email)"``, or of whole collections.

    Raises:
        EnforcementError: A name is none of them.
    """
    every = tuple(constraints(registry))
    if not names:
        return every
    found: dict[Constraint, None] = {}
    for name in names:
        named = [each for each in every if name in {each.name, each.collection}]
        if not named:
            known = ", ".join(each.name for each in every)
            raise EnforcementError(f"There is no constraint and no collection {name!r}; there are {known}.")
        found |= dict.fromkeys(named)
    return tuple(found)
