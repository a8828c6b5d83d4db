"""Tasks on a `concurrent.futures.Executor`: processes of this machine, or Dask's of many.

A task carries values only. Each worker process imports the models, opens a client of its own and makes the plan
once; a client does not survive a fork, and is not pickled.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

from pymongo.read_preferences import ReadPreference

from integrity.audit.after import after
from integrity.audit.identity import declarations
from integrity.audit.options import Options
from integrity.audit.plan import Known
from integrity.audit.scan import Scan
from integrity.audit.task import Piece, Task, performed
from integrity.declare.registry import Registry
from integrity.errors import AuditError, IntegrityError
from integrity.store import opening
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.violation import Violation

#: Loads a registry by the name of its models: picklable, as what a worker is sent must be.
Load = Callable[[str], Registry]

#: Seconds between two looks at whether there is anybody who works.
_LOOK = 5.0
#: Seconds without any worker after which none is waited for: a cluster that grows on demand has begun one by then.
_PATIENCE = 60.0
_LOST = (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError)
_OPENING = threading.Lock()


class LostWorkers(Exception):
    """What runs the tasks is gone, or the server for one that runs them: one sentence without its beginning."""


@dataclass(frozen=True)
class Workplace:
    """What a worker needs to begin.

    Args:
        load: Makes the registry; a function of a module.
        models: Its argument.
        uri: The server. It is sent to workers, and printed nowhere.
        database: The database's name.
    """

    load: Load
    models: str
    uri: str
    database: str | None

    def __repr__(self) -> str:
        return f"Workplace(models={self.models!r}, database={self.database!r})"


@dataclass(frozen=True)
class Workers:
    """Runs tasks on an executor.

    Args:
        executor: Any executor whose workers can import this library and the models.
        place: What its workers need.
        ahead: How many tasks are handed over at once: those that wait can be taken back.
        lost: What the executor raises where a worker is lost, beside `BrokenExecutor`.
        many: Returns how many workers there are now; None where the executor sees to that.
    """

    executor: concurrent.futures.Executor
    place: Workplace
    ahead: int = 8
    lost: tuple[type[Exception], ...] = ()
    many: Callable[[], int] | None = None

    async def pieces(self, known: Known, tasks: Iterator[Task], options: Options) -> AsyncIterator[Piece]:
        """Yield what the tasks find, each at once, as they end; each is taken when it can be run.

        Raises:
            LostWorkers: There is nobody who runs them, or one of them cannot open the database.
        """
        lost: tuple[type[Exception], ...] = (*_LOST, *self.lost)
        under_way: dict[concurrent.futures.Future[tuple[list[Violation], int, float]], Task] = {}
        try:
            while True:
                while len(under_way) < self.ahead and (task := next(tasks, None)) is not None:
                    under_way[self.executor.submit(work, self.place, known, task, options)] = task
                if not under_way:
                    break
                for each in self._done(under_way):
                    task = under_way.pop(each)
                    violations, read, seconds = each.result()
                    yield Piece(task, violations, read, finished=True, seconds=seconds)
        except lost as error:
            raise LostWorkers(
                "a worker was lost while it read: it was killed, as by a system whose memory ran out, or what runs the "
                "workers ended."
            ) from error
        finally:
            for each in under_way:
                each.cancel()

    def _done(self, under_way: Collection[concurrent.futures.Future[Any]]) -> set[concurrent.futures.Future[Any]]:
        """Wait for tasks to end, as long as there is somebody who runs them."""
        alone = 0.0
        while True:
            look = None if self.many is None else _LOOK
            done, _ = concurrent.futures.wait(under_way, look, return_when=concurrent.futures.FIRST_COMPLETED)
            if done:
                return done
            alone = 0.0 if self.many is None or self.many() else alone + _LOOK
            if alone >= _PATIENCE:
                raise LostWorkers(f"there was no worker to read it for {_PATIENCE:.0f} seconds; start some.")


@cache
def _opened(place: Workplace) -> tuple[BlockingStore, Registry, str, ExitStack]:
    try:
        registry = place.load(place.models)
    except Exception as error:
        said = str(error) or type(error).__name__
        raise AuditError(f"{_here()} cannot take up the models: {said}") from error
    # Open until the process ends: the next task of the same audit finds it. Without the stack it would be closed.
    stack = ExitStack()
    atexit.register(stack.close)  # before Python takes its modules apart: a client that ends after that complains
    try:
        store = stack.enter_context(opening.opened(place.uri, place.database))
    except IntegrityError as error:
        # The audit's own process has read there: what was found till now is told, as of every server that is lost.
        raise LostWorkers(f"a{_here()[1:]} cannot open the database: {error}") from error
    if "readpreference=" not in place.uri.lower():
        store = store.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    return store, registry, declarations(registry), stack


def _here() -> str:
    return f"A worker on {socket.gethostname()}, in the folder {os.getcwd()},"  # noqa: PTH109 - as text


def end_with_parent() -> None:
    """Begin to watch the process that started this one: a pool's worker that it leaves behind would wait for ever.

    A pool's queue is open at both ends in every worker, so that none of them is told when the parent was killed.
    """
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_until_death, args=[parent.sentinel], name="integrity-parent", daemon=True).start()


def _until_death(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)  # a thread's exception would end nothing, and there is nothing here to be saved


def work(place: Workplace, known: Known, task: Task, options: Options) -> tuple[list[Violation], int, float]:
    """Run one task in a worker's process.

    Args:
        place: What the worker needs.
        known: What the plan was made of.
        task: The task.
        options: What the audit was asked for.

    Returns:
        What was found, how many documents were read, and how many seconds it took.

    Raises:
        AuditError: The models cannot be imported here, or are other ones.
        LostWorkers: The server does not answer here.
    """
    with _OPENING:  # a worker may run several threads
        store, registry, declared, _ = _opened(place)
    if known.declared not in {"", declared}:
        # A task is a number in a plan, and a verdict is its declarations': by others it would be of something else.
        raise AuditError(
            f"{_here()} has other models than this process under the name {place.models}: they are other ones there, "
            "were changed after it had imported them, or its Python, pydantic or this library is of another version; "
            "restart the workers with what this process has."
        )
    entry = registry.by_collection(task.collection)
    assert entry is not None
    plan = known.plan(entry, options)

    async def perform() -> tuple[list[Violation], int, float]:
        found, read, seconds = [], 0, 0.0
        async for piece in performed(Scan(after(store, known.after), plan, options), plan, task):
            found += [each for each in piece.violations if options.wants(each.code)]
            read, seconds = read + piece.read, piece.seconds
        return found, read, seconds

    return run(perform())
