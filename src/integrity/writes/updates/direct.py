"""Updates that are seen at once to be proved: ``$set`` and ``$inc``, at places where the value is all that matters.

They are most of what an application sends, and need no plan: nothing of it would be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from integrity.declare.registry import Entry
from integrity.declare.slot import VALUE
from integrity.writes.updates.arithmetic import increased
from integrity.writes.updates.target import Target, targets


def direct(entry: Entry, update: Any, filter: Any) -> dict[str, Any] | None:
    """Return an update with its values coerced, or None where it takes a plan to tell whether it is proved.

    Args:
        entry: The model's entry in the registry.
        update: Update operators, or anything else that PyMongo takes.
        filter: The filter.
    """
    if type(update) is not dict or type(filter) is not dict or not update:
        return None
    known = targets(entry)
    made: dict[str, Any] = {}
    for operator, operands in update.items():
        coerced = _COERCED.get(operator)
        if coerced is None or type(operands) is not dict:
            return None
        values = made[operator] = {}
        for path, value in operands.items():
            target = known[path]
            found = coerced(target, value, filter) if target.direct else None
            if found is None:
                return None
            values[path] = found
    return made


def _set(target: Target, value: Any, _: Mapping[str, Any]) -> Any:
    made = target.judge.glance({VALUE: value})
    return None if made is None else made[VALUE]


_COERCED: dict[str, Callable[[Target, Any, Mapping[str, Any]], Any]] = {"$set": _set, "$inc": increased}
