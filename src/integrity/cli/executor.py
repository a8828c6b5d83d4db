"""What runs the tasks of ``integrity audit``: processes of its own, or the workers of a Dask cluster."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from integrity.cli.failure import Failure

if TYPE_CHECKING:
    from integrity.audit import Workers


@contextmanager
def running(jobs: int, executor: str | None, models: str, uri: str, database: str) -> Iterator[Workers | None]:
    """Yield what runs the tasks: processes, Dask's workers, or None for this process."""
    from integrity.audit import Workers, Workplace
    from integrity.cli.models import is_file, registry

    if executor is None and jobs == 1:
        yield None
        return
    # A worker's folder need not be this one.
    place = Workplace(registry, str(Path(models).resolve()) if is_file(models) else models, uri, database)
    if executor is None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        from integrity.audit.workers import end_with_parent

        # Not forked: a client's threads and locks do not survive that.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent) as pool:
            yield Workers(pool, place, ahead=2 * jobs)
        return
    with _dask(executor) as client:
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        if not (threads := sum(client.nthreads().values())):
            click.echo(f"There is no worker at {executor} yet; one is waited for.", err=True)
        yield Workers(
            client.get_executor(pure=False),
            place,
            ahead=2 * max(1, threads),
            lost=(KilledWorker, CommClosedError),
            many=lambda: len(client.nthreads()),
        )


@contextmanager
def _dask(address: str) -> Iterator[Any]:
    scheme, _, host = address.partition("://")
    if scheme != "dask" or not re.fullmatch(r"[^\s/]+:[0-9]+", host):
        raise click.UsageError(f"--executor {address}: write dask://HOST:PORT.")
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise Failure("--executor needs Dask: pip install 'mongo-integrity[dask]'.") from error
    if not os.environ.get("INTEGRITY_TRACEBACK"):
        for name in ("distributed", "distributed.client", "tornado", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what they lose is told in a sentence
    try:
        client: Any = Client(f"tcp://{host}", timeout=5)  # type: ignore[no-untyped-call]  # no type hints upstream
    except (OSError, TimeoutError, ValueError) as error:
        raise Failure(f"No Dask scheduler answered at {host}.") from error
    with client:
        yield client
