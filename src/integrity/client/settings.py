"""Where a setting comes from: the keyword, then the URI, then the environment, then the default.

A keyword (a field of `Pool`, or an option of PyMongo's given to ``connect``) and the URI both speak for this very
client: when they say different things, nobody can tell which was meant, and that is refused. The environment
(``INTEGRITY_POOL_SIZE`` and so on) replaces defaults, so that one setting can be given to every process of a host;
whatever is said for this client goes before it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from integrity.client.pool import Pool
from integrity.errors import PoolSettingError

PREFIX = "INTEGRITY_POOL_"


def _seconds(value: Any) -> float:
    return float(value) / 1000


def _truth(value: Any) -> bool:
    if str(value).lower() in ("true", "1", "yes", "on"):
        return True
    if str(value).lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError(value)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)


def _members(value: Any) -> int | str:
    return int(value) if str(value).lstrip("-").isdigit() else str(value)


#: PyMongo's option, our field, and how the one's value becomes the other's.
#: https://www.mongodb.com/docs/manual/reference/connection-string-options/
OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "minPoolSize": ("size", int),
    "waitQueueTimeoutMS": ("timeout", _seconds),
    "maxIdleTimeMS": ("max_idle", _seconds),
    "serverSelectionTimeoutMS": ("server_selection_timeout", _seconds),
    "connectTimeoutMS": ("connect_timeout", _seconds),
    "timeoutMS": ("operation_timeout", _seconds),
    "heartbeatFrequencyMS": ("heartbeat", _seconds),
    "retryReads": ("retry_reads", _truth),
    "retryWrites": ("retry_writes", _truth),
    "compressors": ("compressors", _names),
    "readConcernLevel": ("read_concern", str),
    "w": ("write_concern", _members),
    "appName": ("application_name", str),
}
SPELLING = {name.lower(): name for name in (*OPTIONS, "maxPoolSize")}


@dataclass(frozen=True)
class Said:
    """A value and who said it, as a message names it."""

    value: Any
    where: str


@dataclass(frozen=True)
class Settings:
    """What a client opens with.

    Args:
        pool: Every field decided.
        options: PyMongo's own options that are none of the pool's fields.
    """

    pool: Pool
    options: Mapping[str, Any]


def settle(uri: str, pool: Pool, options: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """Decide every setting.

    Args:
        uri: The connection string.
        pool: What the application said.
        options: PyMongo's options, as given to ``connect``.
        environment: ``os.environ`` when None.

    Raises:
        PoolSettingError: Two places contradict each other, or a value cannot be read.
    """
    defaults = from_environment(os.environ if environment is None else environment)
    said: dict[str, list[Said]] = {}
    for name in sorted(pool.said):
        said.setdefault(name, []).append(Said(getattr(pool, name), f"Pool({name}={getattr(pool, name)!r})"))
    ours, others = _apart(options.items())
    _collect(said, ours, "the keyword")
    _collect(said, _apart(_of_uri(uri))[0], "the URI's")
    limit = said.pop("limit", [])
    decided = {name: _agreed(name, values) for name, values in said.items()}
    unsaid = {each.name: getattr(pool, each.name) for each in dataclasses.fields(pool)} | defaults
    fields = unsaid | decided
    if limit:
        fields |= _within(_agreed("the pool's limit", limit), limit[0].where, fields, decided.keys())
    return Settings(Pool(**fields), others)


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that the environment sets.

    Raises:
        PoolSettingError: A variable's value cannot be read, or no field is called so.
    """
    fields: dict[str, Any] = {}
    known = {each.name: each for each in dataclasses.fields(Pool)}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            raise PoolSettingError(f"{variable} is no setting of a pool; there are {PREFIX}SIZE, {PREFIX}TIMEOUT, ...")
        try:
            fields[name] = _read(str(known[name].type), text)
        except ValueError as error:
            raise PoolSettingError(f"{variable}={text!r} cannot be read: {known[name].type} is wanted.") from error
    return fields


def _read(kind: str, text: str) -> Any:
    if "None" in kind and text.lower() in ("", "none"):
        return None
    if kind == "int | str":
        return _members(text)
    readers: dict[str, Callable[[Any], Any]] = {"bool": _truth, "float": float, "int": int, "tuple": _names}
    for word, reader in readers.items():
        if kind.startswith(word):
            return reader(text)
    return text


def _of_uri(uri: str) -> list[tuple[str, str]]:
    return parse_qsl(uri.partition("?")[2], keep_blank_values=True)


def _apart(options: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that are the pool's, under PyMongo's spelling, and the others."""
    ours, others = {}, {}
    for name, value in options:
        if (known := SPELLING.get(name.lower())) is not None:
            ours[known] = value
        else:
            others[name] = value
    return ours, others


def _collect(said: dict[str, list[Said]], options: Mapping[str, Any], place: str) -> None:
    for name, value in options.items():
        if value is None:
            continue
        where = f"{place} {name}={value}"
        field, reader = OPTIONS.get(name, ("limit", int))
        try:
            said.setdefault(field, []).append(Said(reader(value), where))
        except (TypeError, ValueError) as error:
            raise PoolSettingError(f"{where} cannot be read.") from error


def _agreed(name: str, values: list[Said]) -> Any:
    first = values[0]
    for other in values[1:]:
        if other.value != first.value:
            raise PoolSettingError(
                f"{name}: {first.where} and {other.where} contradict each other; say it in one place."
            )
    return first.value


def _within(limit: int, where: str, fields: Mapping[str, Any], decided: Iterable[str]) -> dict[str, int]:
    """Return size and overflow for a limit that was said as PyMongo's ``maxPoolSize``."""
    if limit < 1:
        raise PoolSettingError(f"{where} means no limit to PyMongo; a pool here has one: say how many.")
    size, overflow = fields["size"], fields["max_overflow"]
    match "size" in decided, "max_overflow" in decided:
        case True, True:
            fits = size + overflow == limit
        case True, False:
            fits, overflow = size <= limit, limit - size
        case False, True:
            fits, size = overflow <= limit, limit - overflow
        case _:
            fits, size = True, min(size, limit)
            overflow = limit - size
    if not fits:
        raise PoolSettingError(
            f"{where} and size={fields['size']} with max_overflow={fields['max_overflow']} contradict each other: "
            "the limit is size + max_overflow; say it in one place."
        )
    return {"size": size, "max_overflow": overflow}
