"""What a pool tells about itself is true."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient, monitoring
from pymongo.errors import AutoReconnect, OperationFailure

from integrity.client import Pool, open_async_client, open_client
from integrity.client.census import Census
from integrity.client.statistics import BOUNDS, Histogram
from integrity.errors import PoolTimeout
from tests.client.slow import Slow


@given(st.lists(st.floats(0, 150), min_size=1, max_size=200))
def test_a_percentile_is_right_to_within_the_steps_of_the_histogram(durations: list[float]) -> None:
    histogram = Histogram()
    for each in durations:
        histogram.add(each)
    spread = histogram.spread()
    ordered = sorted(durations)
    assert spread.count == len(durations)
    assert spread.longest == ordered[-1]
    assert spread.total == pytest.approx(sum(durations))
    for share, found in ((0.5, spread.p50), (0.9, spread.p90), (0.99, spread.p99)):
        exact = next(each for number, each in enumerate(ordered, start=1) if number >= len(ordered) * share)
        assert exact <= found <= max(exact * 2**0.5, BOUNDS[0]) * 1.000001


def test_nothing_measured_is_no_duration() -> None:
    assert Histogram().spread().p99 == 0.0


def test_the_figures_follow_what_happens(uri: str, slow: Slow, database_name: str) -> None:
    pool = Pool(size=2, max_overflow=1, timeout=0.05, application_name=slow.application)
    with open_client(uri, pool) as opened:
        opened.warm()
        (address,) = opened.stats().servers
        assert address in uri
        collection = opened.client[database_name].c
        slow.start(0.4, ("find",))

        def find() -> None:
            with opened.gate.permit():
                collection.find_one({})

        threads = [threading.Thread(target=find, name="pool-test") for _ in range(3)]
        for thread in threads:
            thread.start()
        while opened.stats().servers[address].in_use < 3:
            pass
        stats = opened.stats()
        server = stats.servers[address]
        assert (stats.in_use, stats.open, server.overflow, server.idle) == (3, 3, 1, 0)
        assert "3 in use, 0 idle, 0 opening, 0 waiting; 2 + 1 overflow" in repr(opened)
        with pytest.raises(TimeoutError), opened.gate.permit():
            pass
        for thread in threads:
            thread.join()
        slow.stop()
        server = opened.stats().servers[address]
        assert opened.stats().timeouts == {"exhausted": 1}
        assert (server.in_use, server.idle, server.created) == (0, 3, 3)
        assert server.use.count == server.checkouts == server.wait.count
        assert server.use.longest >= 0.4


def test_a_connection_that_breaks_in_use_is_counted_out_once(
    uri: str, slow: Slow, client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    """The driver announces it twice: when it breaks, and when it comes back."""
    pool = Pool(size=1, max_overflow=0, retry_reads=False, application_name=slow.application)
    with open_client(uri, pool) as opened:
        opened.warm()
        data = {"failCommands": ["find"], "closeConnection": True, "appName": slow.application}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        with pytest.raises(AutoReconnect):
            opened.client[database_name].c.find_one({})
        (server,) = opened.stats().servers.values()
        assert sum(server.closed.values()) == 1
        assert (server.idle, server.in_use) == (0, 0)
        opened.client[database_name].c.find_one({})
        (server,) = opened.stats().servers.values()
        assert (server.open, server.in_use) == (1, 0)


def test_what_comes_back_after_it_was_forgotten_is_not_counted() -> None:
    """A child begins to count while connections of the parent are in use; one may be closed under its user."""
    address = ("db.example", 27017)
    census = Census()
    census.connection_created(monitoring.ConnectionCreatedEvent(address, 1))
    census.connection_ready(monitoring.ConnectionReadyEvent(address, 1, 0.1))
    census.connection_checked_out(monitoring.ConnectionCheckedOutEvent(address, 1, 0.1))
    assert census.connections() == (1, 0, 0)
    census.reset()
    census.connection_checked_in(monitoring.ConnectionCheckedInEvent(address, 1))
    census.connection_closed(monitoring.ConnectionClosedEvent(address, 1, "error"))
    assert census.connections() == (0, 0, 0)
    assert census.servers(1)["db.example:27017"].closed == {}


async def test_the_asynchronous_pool_tells_the_same(uri: str) -> None:
    async with open_async_client(uri, Pool(size=2, max_overflow=0)) as opened:
        await opened.warm()
        assert opened.stats().idle == 2
        async with opened.gate.permit():
            await opened.client.admin.command("ping")
            assert opened.stats().in_use == 1
        assert opened.stats().requests == 1
        assert "AsyncClientPool open" in repr(opened)
    assert "AsyncClientPool closed" in repr(opened)


def test_a_repr_shows_no_password(mongod: Any, uri: str) -> None:
    opened = open_client(uri.replace("mongodb://", "mongodb://nobody:secret@"), Pool(size=1, warm_up=False))
    with opened, pytest.raises(OperationFailure):
        opened.client.admin.command("ping")
    assert "secret" not in repr(opened)
    assert "secret" not in repr(opened.stats())


def test_a_pool_that_does_not_get_warm_says_to_which_server(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = Census.cold
    with open_client(uri, Pool(size=3, max_overflow=0)) as opened:
        with monkeypatch.context() as patched:
            patched.setattr(Census, "cold", lambda self, size: cold(self, size + 1))  # which three never are
            with pytest.raises(TimeoutError, match="not warm after") as caught:
                opened.warm(timeout=0.0)
        assert "fewer than 3 connections" in str(caught.value)
        opened.warm()
        assert opened.stats().idle == 3


def test_warm_up_warms_when_the_client_opens(uri: str) -> None:
    with open_client(uri, Pool(size=3, max_overflow=0, warm_up=True)) as opened:
        assert opened.stats().idle == 3


def test_change_streams_have_a_budget_of_their_own(uri: str, database_name: str) -> None:
    with open_client(uri, Pool(size=1, max_overflow=0, change_streams=1)) as opened:
        collection = opened.client[database_name].c
        collection.insert_one({})
        with opened.streams.permit(), collection.watch(max_await_time_ms=100) as stream:
            assert opened.stats().streams == 1
            with opened.gate.permit():
                collection.insert_one({"_id": 1})
            assert next(stream)["documentKey"] == {"_id": 1}
            with pytest.raises(TimeoutError, match="1 change streams are open"):
                opened.streams.enter()
        assert opened.stats().streams == 0
    with open_client(uri, Pool(size=1)) as opened, pytest.raises(PoolTimeout, match="none is budgeted") as caught:
        opened.streams.enter()
    assert caught.value.cause == "not budgeted"
