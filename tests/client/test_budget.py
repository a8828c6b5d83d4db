"""`integrity pool plan`: the budget in both directions, and the knob to turn."""

import dataclasses

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from integrity.cli import integrity
from integrity.client.budget import MONITORS, SHARE, Deployment, largest, most_processes, plan

deployments = st.builds(
    Deployment,
    workers=st.integers(1, 64),
    hosts=st.integers(1, 20),
    processes=st.integers(0, 50),
    clients=st.integers(1, 3),
    members=st.integers(1, 7),
    limit=st.integers(10, 20_000),
    size=st.integers(0, 60),
    max_overflow=st.integers(0, 60),
    change_streams=st.integers(0, 5),
    open_files=st.none() | st.integers(10, 70_000),
    operations=st.none() | st.floats(0.1, 1e5),
    latency=st.none() | st.floats(1e-4, 10),
    threads=st.none() | st.integers(1, 64),
)


def test_eight_workers_with_the_default_pool_fit_a_limit_of_1500() -> None:
    deployment = Deployment(workers=8, members=3, limit=1500, open_files=1024)
    made = plan(deployment)
    assert made.fits
    incoming, outgoing = made.checks
    assert (incoming.used, incoming.allowed) == (8 * (20 + 30 + 2), 1200)
    assert (outgoing.used, outgoing.allowed) == (3 * (20 + 30 + 2), 1024)


@given(deployments)
def test_what_fits_one_way_fits_the_other(deployment: Deployment) -> None:
    """The largest pool that is named fits, one connection more does not; and so for the processes."""
    room = largest(deployment)
    if room >= 1:
        fitting = dataclasses.replace(deployment, size=room, max_overflow=0, operations=None)
        assert plan(fitting).fits
        assert not plan(dataclasses.replace(fitting, size=room + 1)).fits
    processes = most_processes(deployment)
    if processes >= 1:
        many = dataclasses.replace(
            deployment, workers=processes, hosts=1, processes=0, open_files=None, operations=None
        )
        assert plan(many).fits
        assert not plan(dataclasses.replace(many, workers=processes + 1)).fits


@given(deployments)
def test_the_servers_budget_is_the_sum_over_all_processes(deployment: Deployment) -> None:
    incoming = plan(deployment).checks[0]
    each = deployment.size + deployment.max_overflow + deployment.change_streams + MONITORS
    processes = deployment.workers * deployment.hosts + deployment.processes
    assert incoming.used == processes * deployment.clients * each
    assert incoming.fits == (incoming.used <= int(deployment.limit * SHARE))


def test_by_littles_law_what_is_under_way_is_the_rate_times_the_duration() -> None:
    deployment = Deployment(workers=4, limit=10_000, operations=1000, latency=0.1)
    little = plan(deployment).checks[-1]
    assert (little.used, little.allowed, little.fits) == (25, 25, True)
    assert not plan(dataclasses.replace(deployment, operations=1001)).fits
    assert not plan(dataclasses.replace(deployment, threads=49)).fits, "a thread has one operation under way"
    assert any("more than size=20" in note for note in plan(deployment).notes)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(integrity, ["pool", "plan", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value), result.output


def test_the_command_exits_0_when_it_fits_and_1_with_the_knob_when_not() -> None:
    status, output = run("--workers", "8", "--members", "3", "--limit", "1500", "--ulimit", "1024")
    assert (status, "DOES NOT FIT" in output) == (0, False)
    assert "8 processes x 1 client x (20 + 30 + 2 monitors) = 416, of 80% of 1500" in output
    status, output = run("--workers", "8", "--hosts", "4", "--limit", "1500", "--ulimit", "1024")
    assert status == 1
    assert "DOES NOT FIT: connections that each server sees" in output
    assert (
        "size + max_overflow of at most 35, or 23 processes with this pool, or has its limit raised to 2080" in output
    )


@pytest.mark.parametrize(
    ("arguments", "knob"),
    [
        (("--members", "3", "--limit", "9999", "--ulimit", "100"), "ulimit -n, LimitNOFILE) to 156"),
        (("--limit", "9999", "--ops-per-second", "10000", "--latency-ms", "50"), "or operations of at most 2.5 ms"),
        (("--workers", "1000", "--limit", "1000"), "no pool at all with so many processes"),
    ],
)
def test_each_thing_that_does_not_fit_names_what_to_turn(arguments: tuple[str, ...], knob: str) -> None:
    status, output = run(*arguments)
    assert status == 1
    assert knob in output


def test_the_knob_that_is_named_does_it() -> None:
    arguments = ("--workers", "8", "--hosts", "4")
    assert run(*arguments, "--limit", "2080", "--ulimit", "1024")[0] == 0
    assert run(*arguments, "--limit", "2079", "--ulimit", "1024")[0] == 1
    assert run(*arguments, "--limit", "1500", "--size", "20", "--max-overflow", "15", "--ulimit", "1024")[0] == 0
    assert run(*arguments, "--limit", "1500", "--size", "20", "--max-overflow", "16", "--ulimit", "1024")[0] == 1


def test_littles_law_needs_both_of_its_numbers() -> None:
    with pytest.raises(Exception, match="make sense together"):
        run("--limit", "1500", "--ops-per-second", "10")


def test_watch_shows_the_connections_by_application_and_the_pool_of_a_load(uri: str) -> None:
    result = CliRunner().invoke(
        integrity,
        ["pool", "watch", "--uri", uri, "--count", "3", "--interval", "0.2", "--load", "3"],
        standalone_mode=False,
    )
    assert result.exception is None
    assert result.output.count("server: ") == 3
    assert "integrity-pool-watch" in result.output
    assert "pool of 20 + 30:" in result.output
    assert "more accepted" in result.output
