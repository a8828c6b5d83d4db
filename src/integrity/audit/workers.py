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
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

from pymongo.read_preferences import ReadPreference

from integrity.audit.after import after
from integrity.audit.options import Options
from integrity.audit.plan import Known
from integrity.audit.scan import Scan
from integrity.audit.task import Piece, Task, performed
from integrity.declare.registry import Registry
from integrity.store import opening
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.violation import Violation

#: Loads a registry by the name of its models: picklable, as what a worker is sent must be.
Load = Callable[[str], Registry]


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
    """

    executor: concurrent.futures.Executor
    place: Workplace
    ahead: int = 8

    async def pieces(self, known: Known, tasks: Iterator[Task], options: Options) -> AsyncIterator[Piece]:
        """Yield what the tasks find, each at once, as they end; each is taken when it can be run."""
        under_way: dict[concurrent.futures.Future[tuple[list[Violation], int, float]], Task] = {}
        try:
            while True:
                while len(under_way) < self.ahead and (task := next(tasks, None)) is not None:
                    under_way[self.executor.submit(work, self.place, known, task, options)] = task
                if not under_way:
                    break
                done, _ = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
                for each in done:
                    task = under_way.pop(each)
                    violations, read, seconds = each.result()
                    yield Piece(task, violations, read, finished=True, seconds=seconds)
        finally:
            for each in under_way:
                each.cancel()


@cache
def _place(place: Workplace) -> tuple[BlockingStore, Registry, ExitStack]:
    # Open until the process ends: the next task of the same audit finds it. Without the stack it would be closed.
    stack = ExitStack()
    atexit.register(stack.close)  # before Python takes its modules apart: a client that ends after that complains
    store = stack.enter_context(opening.opened(place.uri, place.database))
    if "readpreference=" not in place.uri.lower():
        store = store.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    return store, place.load(place.models), stack


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
    """
    store, registry, _ = _place(place)
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
