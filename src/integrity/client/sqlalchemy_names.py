"""SQLAlchemy's names for a pool's settings: each is mapped, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from integrity.errors import PoolSettingError

#: Why an option is refused, https://docs.sqlalchemy.org/en/20/core/engines.html#sqlalchemy.create_engine
REFUSED = {
    "pool_reset_on_return": "a connection keeps no transaction between operations, so there is nothing to reset",
    "poolclass": "there is one kind of pool, which PyMongo's client owns",
    "pool": "a pool belongs to one client; integrity.connect makes it",
    "echo_pool": "PyMongo logs its pool by the standard logger pymongo.connection",
    "pool_logging_name": "PyMongo logs its pool by the standard logger pymongo.connection",
    "pool_events": "PyMongo's event_listeners=[...] has them",
}


def from_sqlalchemy(options: Mapping[str, Any], own: AbstractSet[str]) -> dict[str, Any]:
    """Return `Pool`'s fields for SQLAlchemy's options.

    Args:
        options: What would be given to ``create_engine``.
        own: The names that are `Pool`'s own and pass through.

    Raises:
        PoolSettingError: An option that has no counterpart.
    """
    said: dict[str, Any] = {}
    for name, value in options.items():
        if name in REFUSED:
            raise PoolSettingError(f"{name}={value!r} has no counterpart: {REFUSED[name]}. Leave it out.")
        said |= _mapped(name, value, own)
    return said


def _mapped(name: str, value: Any, own: AbstractSet[str]) -> dict[str, Any]:
    match name, value:
        case "pool_size", 0:
            raise PoolSettingError("pool_size=0 means no limit in SQLAlchemy; a pool here has one: say how many.")
        case "max_overflow", -1:
            raise PoolSettingError("max_overflow=-1 means no limit in SQLAlchemy; a pool here has one: say how many.")
        case "pool_size", _:
            return {"size": value}
        case "pool_timeout", _:
            return {"timeout": value}
        case "pool_recycle", -1:
            return {}
        case "pool_recycle", _:
            # Age there, idleness here: what cuts connections (firewalls, load balancers) goes by idleness.
            return {"max_idle": value}
        case "pool_pre_ping", bool():
            # The driver looks at every connection that rested for a second before it hands it out, and retries.
            return {}
        case "pool_use_lifo", True:
            return {}
        case "pool_use_lifo", _:
            raise PoolSettingError(
                "pool_use_lifo=False: PyMongo hands out the connection that was used last. Leave it out."
            )
        case _ if name in own:
            return {name: value}
    raise PoolSettingError(f"{name}={value!r} is no setting of a pool, SQLAlchemy's or ours. Leave it out.")
