"""Tasks: the pieces of a plan that can be run anywhere, in any order, and again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from integrity.audit.partition import Partition
from integrity.audit.plan import Plan
from integrity.audit.scan import Scan
from integrity.violation import Violation

Step = Literal["partition", "reference", "copy", "unique"]


@dataclass(frozen=True)
class Task:
    """A piece of a plan: small, idempotent, and a value that can be pickled.

    Args:
        collection: The collection's name.
        step: What it does.
        index: Which of the plan's references, copies or constraints; for partitions, a running number.
        partition: The partition, for a step that reads one.
        together: How many partitions it is, from the one with this number on, that are read as one.
        judged: What is judged by it, where that hangs on more than what was asked for: judged by less, it is not done.
    """

    collection: str
    step: Step
    index: int
    partition: Partition = field(default_factory=Partition)
    together: int = 1
    judged: str = ""

    @property
    def name(self) -> str:
        """What tells it from every other task of the audit."""
        return self.names[0]

    @property
    def names(self) -> list[str]:
        """The names of the tasks that it is, were its partitions read one by one."""
        step = f"{self.step} {self.judged}".rstrip()
        return [f"{self.collection}/{step}/{self.index + each}" for each in range(self.together)]


@dataclass(frozen=True)
class Piece:
    """What a task found so far, or at once.

    Args:
        task: The task.
        violations: What was found since the last piece.
        read: The documents read since the last piece.
        finished: Whether it is the task's last piece.
        seconds: How long the task took, with its last piece.
    """

    task: Task
    violations: list[Violation]
    read: int = 0
    finished: bool = False
    seconds: float = 0.0


def tasks(plan: Plan, parts: list[Partition]) -> Iterator[Task]:
    """Yield the tasks of a plan.

    Args:
        plan: The plan.
        parts: The collection's partitions.
    """
    judged = f"{'whole' if plan.reads else ''}{'' if plan.follows else ' without references'}".lstrip()
    made = partial(Task, plan.source.name, judged=judged)
    if plan.reads or plan.fields is not None:
        yield from (made("partition", index, each) for index, each in enumerate(parts))
    yield from (made("reference", index) for index in range(len(plan.references)))
    yield from (made("copy", index) for index in range(len(plan.copies)))
    yield from (made("unique", index) for index in range(len(plan.uniques)))


async def performed(scan: Scan, plan: Plan, task: Task) -> AsyncIterator[Piece]:
    """Run a task, and yield what it finds while it is found."""
    read, begun = 0, time.monotonic()

    def count(many: int) -> None:
        nonlocal read
        read += many

    async for violations in _found(scan, plan, task, count):
        many, read = read, 0
        yield Piece(task, violations, many)
    yield Piece(task, [], read, finished=True, seconds=time.monotonic() - begun)


def _found(scan: Scan, plan: Plan, task: Task, count: Callable[[int], None]) -> AsyncIterator[list[Violation]]:
    if task.step == "partition":
        return scan.partition(task.partition, count)
    if task.step == "reference":
        return scan.reference(plan.references[task.index])
    if task.step == "copy":
        return scan.copy(plan.copies[task.index])
    return scan.unique(plan.uniques[task.index])
