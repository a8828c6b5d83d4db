"""The pool's figures under OpenTelemetry's names, and as Prometheus text."""

from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from prometheus_client import REGISTRY, generate_latest

from integrity.client import ClientPool, Pool, open_async_client, open_client
from integrity.client.metrics import observe

POOL = Pool(size=2, max_overflow=1, timeout=0.01, application_name="shop")
PREFIX = "db.client.connection."


def provider(reader: MetricReader) -> MeterProvider:
    return MeterProvider(metric_readers=[reader], shutdown_on_exit=False)


def points(reader: InMemoryMetricReader) -> dict[str, dict[tuple[str, ...], Any]]:
    """Return the metrics' values, by name and the values of their attributes."""
    data = reader.get_metrics_data()
    assert data is not None
    found: dict[str, dict[tuple[str, ...], Any]] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            key = tuple(str(value) for _, value in sorted((point.attributes or {}).items()))
            found.setdefault(metric.name, {})[key] = getattr(point, "value", getattr(point, "count", None))
    return found


def use(opened: ClientPool) -> None:
    """Read twice, and be refused once."""
    for _ in range(2):
        with opened.gate.permit():
            opened.client.admin.command("ping")
    with (
        opened.gate.permit(),
        opened.gate.permit(),
        opened.gate.permit(),
        pytest.raises(TimeoutError),
        opened.gate.permit(),
    ):
        pass


def test_the_names_and_values_are_those_of_the_semantic_conventions(uri: str) -> None:
    reader = InMemoryMetricReader()
    with provider_of(reader) as meters, open_client(uri, POOL) as opened:
        observe(opened, meter=meters.get_meter("test"))
        opened.warm()
        use(opened)
        (address,) = opened.stats().servers
        server = f"shop@{address}"
        found = points(reader)
        assert found[PREFIX + "count"] == {(server, "idle"): 2, (server, "used"): 0}
        assert found[PREFIX + "idle.min"] == {(server,): 2}
        assert found[PREFIX + "idle.max"] == {(server,): 3}
        assert found[PREFIX + "max"] == {(server,): 3}
        assert found[PREFIX + "pending_requests"] == {("shop",): 0}
        assert found[PREFIX + "timeouts"] == {("shop", "connecting"): 1}
        found = points(reader)
        assert found[PREFIX + "create_time"] == {(server,): 2}
        assert found[PREFIX + "use_time"] == {(server,): opened.stats().servers[address].checkouts}
        assert found[PREFIX + "wait_time"] == {(server,): opened.stats().servers[address].checkouts}


class provider_of:  # noqa: N801 - a context manager
    """A meter provider over a reader, shut down after."""

    def __init__(self, reader: MetricReader) -> None:
        self.provider = provider(reader)

    def __enter__(self) -> MeterProvider:
        return self.provider

    def __exit__(self, *_: object) -> None:
        self.provider.shutdown()


def test_a_pool_that_is_closed_is_not_reported_any_more(uri: str) -> None:
    reader = InMemoryMetricReader()
    with provider_of(reader) as meters:
        with open_client(uri, POOL) as opened:
            observe(opened, meter=meters.get_meter("test"))
            opened.warm()
            assert PREFIX + "count" in points(reader)
        data = reader.get_metrics_data()
        names = [
            metric.name
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.data.data_points
        ]
        assert PREFIX + "count" not in names


async def test_an_asynchronous_pool_is_reported_too(uri: str) -> None:
    reader = InMemoryMetricReader()
    with provider_of(reader) as meters:
        async with open_async_client(uri, POOL) as opened:
            observe(opened, meter=meters.get_meter("test"))
            await opened.warm()
            assert sum(points(reader)[PREFIX + "count"].values()) == 2


def test_prometheus_reads_them_as_text(uri: str) -> None:
    reader = PrometheusMetricReader()
    with provider_of(reader) as meters, open_client(uri, POOL) as opened:
        observe(opened, meter=meters.get_meter("test"))
        opened.warm()
        use(opened)
        (address,) = opened.stats().servers
        text = generate_latest(REGISTRY).decode()
    lines = [line for line in text.splitlines() if line.startswith("db_client_connection_count")]
    assert any(address in line and 'state="idle"' in line and line.endswith(" 2.0") for line in lines), text
    assert "db_client_connection_timeouts" in text
    assert "db_client_connection_use_time_seconds_bucket" in text
