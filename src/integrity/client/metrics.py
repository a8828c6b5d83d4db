"""A pool's figures as OpenTelemetry metrics, under the names of its semantic conventions; the extra ``otel``.

Nothing is added to a checkout but an entry in a queue: what is counted is read, and the queue emptied into the
histograms, when a reader collects. https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from integrity.client.opening import AsyncClientPool, ClientPool

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

NAME = "db.client.connection."
#: How many times are kept between two collections; the oldest go first.
KEPT = 100_000


def observe(pool: ClientPool | AsyncClientPool, *, meter: Meter | None = None) -> None:
    """Report a pool's figures from now on, as long as it is open.

    Connections are reported by server, with ``db.client.connection.pool.name`` = ``APPLICATION@HOST:PORT``; what
    waits at the gate, which stands before all servers, under ``APPLICATION`` alone.

    Args:
        pool: What ``db.pool`` is.
        meter: OpenTelemetry's meter; that of the global provider when None.

    Raises:
        ImportError: The extra ``otel`` is not installed.
    """
    _Report(pool, meter or _meter())


def _meter() -> Meter:
    try:
        from opentelemetry import metrics  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("OpenTelemetry is not installed: pip install 'mongo-integrity[otel]'.") from error
    return metrics.get_meter("mongo-integrity")


class _Report:
    """The instruments of one pool, which their meter keeps alive."""

    def __init__(self, pool: ClientPool | AsyncClientPool, meter: Meter) -> None:
        from opentelemetry.metrics import Observation  # noqa: PLC0415 - an extra

        self._observation = Observation
        self._pool = weakref.ref(pool)
        self._samples = pool.keep_samples(deque(maxlen=KEPT))
        self._times: dict[str, Any] = {
            each: meter.create_histogram(NAME + each, unit="s", description=description)
            for each, description in (
                ("create_time", "The time it took to create a new connection."),
                ("wait_time", "The time it took to obtain an open connection from the pool."),
                ("use_time", "The time between borrowing a connection and returning it to the pool."),
            )
        }
        gauges = (
            ("count", self._count, "{connection}", "Connections by state."),
            ("idle.min", self._idle_min, "{connection}", "The minimum number of idle open connections."),
            ("idle.max", self._idle_max, "{connection}", "The maximum number of idle open connections allowed."),
            ("max", self._max, "{connection}", "The maximum number of open connections allowed."),
            ("pending_requests", self._pending, "{request}", "Pending requests for an open connection."),
        )
        for name, callback, unit, description in gauges:
            meter.create_observable_up_down_counter(NAME + name, [callback], unit=unit, description=description)
        meter.create_observable_counter(
            NAME + "timeouts",
            [self._timeouts],
            unit="{timeout}",
            description="Requests that got no connection in time.",
        )

    def _count(self, _: CallbackOptions) -> Iterable[Observation]:
        pool = self._pool()
        if pool is None or pool.closed:
            return
        self._empty(pool.settings.application_name)
        for server in pool.stats().servers.values():
            attributes = _pool_name(pool.settings.application_name, server.address)
            yield self._observation(server.idle, {**attributes, NAME + "state": "idle"})
            yield self._observation(server.in_use, {**attributes, NAME + "state": "used"})

    def _empty(self, application: str) -> None:
        """Put what has been kept since the last collection into the histograms."""
        while self._samples:
            kind, address, seconds = self._samples.popleft()
            self._times[kind].record(seconds, _pool_name(application, address))

    def _bounds(self, number: str) -> Iterator[Observation]:
        pool = self._pool()
        if pool is None or pool.closed:
            return
        settings = pool.settings
        value = {
            "min": settings.size,
            "max": settings.limit,
            "idle": settings.size if settings.strict_overflow else settings.limit,
        }[number]
        for address in pool.stats().servers:
            yield self._observation(value, _pool_name(settings.application_name, address))

    def _idle_min(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._bounds("min")

    def _idle_max(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._bounds("idle")

    def _max(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._bounds("max")

    def _pending(self, _: CallbackOptions) -> Iterable[Observation]:
        pool = self._pool()
        if pool is not None and not pool.closed:
            yield self._observation(pool.gate.waiting, _pool_name(pool.settings.application_name))

    def _timeouts(self, _: CallbackOptions) -> Iterable[Observation]:
        pool = self._pool()
        if pool is None or pool.closed:
            return
        attributes = _pool_name(pool.settings.application_name)
        for cause, number in pool.stats().timeouts.items():
            yield self._observation(number, {**attributes, "error.type": cause.replace(" ", "_")})


def _pool_name(application: str, address: str = "") -> dict[str, str]:
    # The gate's own waits have no server yet, and its samples the empty address.
    return {NAME + "pool.name": f"{application}@{address}" if address else application}
