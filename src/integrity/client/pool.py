"""The pool as a value: how many connections, for how long, and what a tuned client sets besides."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

from integrity.client.sqlalchemy_names import from_sqlalchemy
from integrity.errors import PoolSettingError

#: The module that PyMongo needs for a compressor, https://www.mongodb.com/docs/languages/python/pymongo-driver/current/connect/connection-options/network-compression/
COMPRESSORS = {"zlib": "zlib", "snappy": "snappy", "zstd": "zstandard"}
READ_CONCERNS = ("local", "majority", "available", "linearizable", "snapshot")

#: What `max_idle` may not go below: the driver looks for idle connections once a second.
SHORTEST_IDLE = 2.0
#: The server keeps no more of an application's name, and PyMongo refuses a longer one.
LONGEST_NAME = 128

#: Why ``w=0`` is refused, wherever it is said.
UNCONFIRMED = "a write that nobody confirms cannot be guarded; say 'majority', a number of members from 1, or a tag."


@dataclass(frozen=True, kw_only=True)
class Pool:
    """How many connections a process keeps to each server, and how long a request waits for one.

    Every time is in seconds. The reference page gives the reason of every default: docs/reference/pool.md.

    Args:
        size: Persistent connections.
        max_overflow: Temporary connections, made only while all `size` are busy.
        timeout: How long a request waits for a connection before it gets `PoolTimeout`.
        max_idle: How soon a connection that nobody uses is closed, the overflow ones above all. None: never, which
            needs `strict_overflow`.
        warm_up: Open the persistent connections when the client opens, and wait for them.
        strict_overflow: Close an overflow connection when it comes back. Uses a private class of PyMongo; where
            that has changed, a warning is given and `max_idle` closes them.
        change_streams: Connections apart from the others for change streams, each of which holds one.
        server_selection_timeout: How long an operation looks for a server that can serve it.
        connect_timeout: How long a connection may take to open, and a monitor's check to be answered.
        operation_timeout: How long an operation may take in all, retries included. None: as long as it takes.
        heartbeat: How often each server is checked.
        retry_reads: Try a read a second time after a network error.
        retry_writes: Try a write a second time after a network error; the server does it once.
        compressors: Of ``zlib``, ``snappy``, ``zstd``, the preferred first.
        read_concern: What a read may see.
        write_concern: How many members confirm a write: a number, ``"majority"`` or a tag.
        application_name: What the server's log and ``$currentOp`` call this client.

    Raises:
        PoolSettingError: A value is impossible.
    """

    size: int = 20
    max_overflow: int = 30
    timeout: float = 5.0
    max_idle: float | None = 180.0
    warm_up: bool = False
    strict_overflow: bool = False
    change_streams: int = 0
    server_selection_timeout: float = 15.0
    connect_timeout: float = 5.0
    operation_timeout: float | None = None
    heartbeat: float = 10.0
    retry_reads: bool = True
    retry_writes: bool = True
    compressors: tuple[str, ...] = ()
    read_concern: str = "majority"
    write_concern: int | str = "majority"
    application_name: str = "integrity"

    def __new__(cls, *_: Any, **said: Any) -> Self:
        """Remember which fields were said, so that the URI may say the others."""
        self = super().__new__(cls)
        object.__setattr__(self, "_said", frozenset(said))
        return self

    def __post_init__(self) -> None:
        # A list is what people write.
        object.__setattr__(self, "compressors", tuple(self.compressors))
        for problem in _problems(self):
            raise PoolSettingError(problem)

    @property
    def said(self) -> frozenset[str]:
        """The names of the fields that were given, whether or not they equal the default."""
        return self._said  # type: ignore[attr-defined, no-any-return]  # set by __new__; no field, so not compared

    @property
    def limit(self) -> int:
        """The most connections that operations use at once: ``size + max_overflow``."""
        return self.size + self.max_overflow

    @classmethod
    def from_sqlalchemy(cls, **options: Any) -> Self:
        """Return the pool that SQLAlchemy's ``create_engine`` options mean.

        Args:
            options: ``pool_size``, ``max_overflow``, ``pool_timeout``, ``pool_recycle``, ``pool_pre_ping`` and
                ``pool_use_lifo``; `Pool`'s own fields may stand beside them.

        Raises:
            PoolSettingError: An option means what MongoDB's driver cannot do; the message says why.
        """
        return cls(**from_sqlalchemy(options, own={each.name for each in fields(cls)}))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _problems(pool: Pool) -> Iterator[str]:
    yield from _counts(pool)
    yield from _times(pool)
    for name in ("warm_up", "strict_overflow", "retry_reads", "retry_writes"):
        if not isinstance(getattr(pool, name), bool):
            yield f"Pool({name}={getattr(pool, name)!r}): say True or False."
    yield from _words(pool)


def _counts(pool: Pool) -> Iterator[str]:
    for name in ("size", "max_overflow", "change_streams"):
        value = getattr(pool, name)
        if not _whole(value) or value < 0:
            yield f"Pool({name}={value!r}): say a number of connections, 0 or more."
    if pool.limit < 1:
        yield "Pool(size=0, max_overflow=0) has no connection at all: say size=1 or more."


def _times(pool: Pool) -> Iterator[str]:
    for name in (
        "timeout",
        "server_selection_timeout",
        "connect_timeout",
        "heartbeat",
        "operation_timeout",
        "max_idle",
    ):
        value = getattr(pool, name)
        if value is None and name in ("operation_timeout", "max_idle"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            yield f"Pool({name}={value!r}): say a finite number of seconds, 0 or more."
        elif value == 0 and name != "timeout":
            yield f"Pool({name}=0): nothing takes no time; say a number of seconds above 0."
    if pool.heartbeat < 0.5:  # noqa: PLR2004 - PyMongo's own lower bound
        yield f"Pool(heartbeat={pool.heartbeat!r}): the driver checks a server every 0.5 s at most."
    if pool.max_idle is None and not pool.strict_overflow:
        yield (
            "Pool(max_idle=None) would keep every overflow connection open for ever: "
            "say a number of seconds, or strict_overflow=True."
        )
    if pool.max_idle is not None and pool.max_idle < SHORTEST_IDLE:
        yield (
            f"Pool(max_idle={pool.max_idle!r}): the driver looks for idle connections once a second, "
            f"so say {SHORTEST_IDLE:g} s or more, or strict_overflow=True to close them at once."
        )


def _words(pool: Pool) -> Iterator[str]:
    for name in pool.compressors:
        if name not in COMPRESSORS:
            yield f"Pool(compressors={pool.compressors!r}): {name!r} is none of {', '.join(COMPRESSORS)}."
        elif importlib.util.find_spec(COMPRESSORS[name]) is None:
            yield f"Pool(compressors={pool.compressors!r}): {name} needs the package {COMPRESSORS[name]}; install it."
    if pool.read_concern not in READ_CONCERNS:
        yield f"Pool(read_concern={pool.read_concern!r}) is none of {', '.join(READ_CONCERNS)}."
    concern = pool.write_concern
    if not (isinstance(concern, str) and concern) and not (_whole(concern) and concern != 0):
        yield f"Pool(write_concern={concern!r}): {UNCONFIRMED}"
    elif isinstance(concern, int) and concern < 0:
        yield f"Pool(write_concern={concern!r}): say a number of members from 1."
    if not isinstance(pool.application_name, str) or len(pool.application_name.encode()) > LONGEST_NAME:
        yield f"Pool(application_name=...): say a text of at most {LONGEST_NAME} bytes."
