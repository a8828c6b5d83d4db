"""`integrity pool`: the connection budget, and a live view of a server's connections."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from integrity.cli import server
from integrity.cli.failure import Failure
from integrity.cli.finite import Finite

if TYPE_CHECKING:
    from integrity.client.budget import Plan

DOES_NOT_FIT = 1
POSITIVE = click.IntRange(min=1)
COUNT = click.IntRange(min=0)


@click.group()
def pool() -> None:
    """The connection budget, and a live view of a server's connections."""


@pool.command(epilog="Exit status: 0 it fits, 1 it does not, 2 not done.")
@click.option("--workers", type=POSITIVE, default=1, show_default=True, help="Worker processes on each host.")
@click.option("--hosts", type=POSITIVE, default=1, show_default=True, help="Hosts or pods with so many workers each.")
@click.option("--processes", type=COUNT, default=0, show_default=True, help="Further processes: task workers, jobs.")
@click.option("--clients", type=POSITIVE, default=1, show_default=True, help="Clients in each process.")
@click.option("--threads", type=POSITIVE, help="Threads of a sync worker: operations that it can have under way.")
@click.option("--members", type=POSITIVE, default=1, show_default=True, help="Members of the replica set.")
@click.option("--limit", type=POSITIVE, required=True, help="Connections that one server accepts.")
@click.option("--size", type=COUNT, default=20, show_default=True, help="The pool's persistent connections.")
@click.option("--max-overflow", type=COUNT, default=30, show_default=True, help="Its temporary connections.")
@click.option("--change-streams", type=COUNT, default=0, show_default=True, help="Change streams of each process.")
@click.option("--ulimit", type=POSITIVE, help="Open files of a process; by default this shell's `ulimit -n`.")
@click.option("--ops-per-second", type=Finite(min=0, min_open=True), help="Of all processes together.")
@click.option("--latency-ms", type=Finite(min=0, min_open=True), help="Of an operation, in the mean.")
def plan(
    *,
    workers: int,
    hosts: int,
    processes: int,
    clients: int,
    threads: int | None,
    members: int,
    limit: int,
    size: int,
    max_overflow: int,
    change_streams: int,
    ulimit: int | None,
    ops_per_second: float | None,
    latency_ms: float | None,
) -> int:
    """Tell whether the pools of a deployment fit, per server and per process, and which knob to turn if not."""
    from integrity.client.budget import Deployment
    from integrity.client.budget import plan as make

    if (ops_per_second is None) != (latency_ms is None):
        raise click.UsageError("--ops-per-second and --latency-ms make sense together only (Little's law).")
    made = make(
        Deployment(
            workers=workers,
            hosts=hosts,
            processes=processes,
            clients=clients,
            members=members,
            limit=limit,
            size=size,
            max_overflow=max_overflow,
            change_streams=change_streams,
            open_files=ulimit or _open_files(),
            operations=ops_per_second,
            latency=None if latency_ms is None else latency_ms / 1000,
            threads=threads,
        )
    )
    for line in _lines(made):
        click.echo(line)
    return 0 if made.fits else DOES_NOT_FIT


def _open_files() -> int | None:
    """Return this process's limit of open files; None where there is none, or no such thing."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _lines(made: Plan) -> list[str]:
    lines = []
    for check in made.checks:
        lines += [f"{'fits' if check.fits else 'DOES NOT FIT'}: {check.name}", f"    {check.sum}"]
        if not check.fits:
            lines.append(f"    {check.knob}")
    return [*lines, *(f"note: {each}" for each in made.notes)]


@pool.command(epilog="Exit status: 0 stopped (also by Ctrl-C), 2 not done.")
@click.option(
    "--uri",
    envvar="MONGODB_URI",
    metavar="URI",
    help="MongoDB's connection string; by default the environment variable MONGODB_URI, where a password does not "
    "stand in the list of processes.",
)
@click.option("--interval", type=Finite(min=0.1), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--count", type=POSITIVE, help="Look so many times; by default until Ctrl-C.")
@click.option("--load", type=POSITIVE, help="Ping with so many threads through a pool of 20 + 30, and show it too.")
def watch(*, uri: str | None, interval: float, count: int | None, load: int | None) -> None:
    """Show a server's connections as they come and go, by application.

    A user needs the role clusterMonitor; what may not be seen is said, and not guessed.
    """
    from pymongo.errors import PyMongoError

    from integrity.client.watching import frames, render
    from integrity.store.failure import hosts, sentence

    with server.opened(uri, None, "admin") as store:
        assert uri is not None  # or server.opened would have said so
        try:
            with contextlib.suppress(KeyboardInterrupt), contextlib.closing(frames(store, uri, interval, load)) as seen:
                for number, frame in enumerate(seen, start=1):
                    click.echo(render(frame))
                    if number == count:
                        break
        except PyMongoError as error:
            raise Failure(sentence(error, hosts(uri))) from error
