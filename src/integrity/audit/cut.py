"""Pieces that take about a second: as many neighbouring partitions at once as can be read in that time.

The partitions are small, divided before anything is read, and kept in the state; only how many of them a piece takes
together is measured while it goes. A piece is recorded as the partitions that it was made of, all of them at once: so
an audit that is gone on with, at another speed, still meets each of them exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from integrity.audit.partition import Partition
from integrity.audit.source import Source
from integrity.audit.task import Piece, Task

#: What a piece should take, in seconds: at the end of each, the audit can be slowed, paused or stopped.
TARGET = 1.0
#: Documents of the smallest piece, and its bytes where they are large.
_SMALLEST, _BYTES = 2_000, 16_000_000
_FEW = 100
#: Partitions of a collection, of which each has an entry in the state.
_PARTITIONS = 10_000


def smallest(source: Source, most: int | None) -> int:
    """Return how many documents a partition has, of which pieces are made.

    Args:
        source: The collection.
        most: The most documents that a piece may have; None for no bound but the time.
    """
    size = min(_SMALLEST, _BYTES // (source.average or 1), most or _SMALLEST)
    return max(size, _FEW, source.documents // _PARTITIONS)


class Cutter(Iterator[Task]):
    """Yields tasks as they are asked for; neighbouring partitions as one, as many as `told` has learned.

    Args:
        tasks: The tasks, each of one partition or of none.
        documents: How many the collection has.
        most: The most documents of a piece; None to leave the tasks as they are.
    """

    def __init__(self, tasks: Iterable[Task], documents: int, most: int | None) -> None:
        self._left = deque(tasks)
        self._documents = documents
        self._most = most
        self._together = 1

    def __next__(self) -> Task:
        if not self._left:
            raise StopIteration
        first = last = self._left.popleft()
        share, many = first.partition.share, 1
        while (
            self._most is not None
            and many < self._together
            and self._left
            and _follows(self._left[0], last)
            and (share + self._left[0].partition.share) * self._documents <= self._most
        ):
            last = self._left.popleft()
            share, many = share + last.partition.share, many + 1
        if many == 1:
            return first
        return replace(first, partition=Partition(first.partition.lower, last.partition.upper, share), together=many)

    def told(self, piece: Piece) -> None:
        """Learn from a piece that is finished: twice as many in half the time, and half as many beyond it."""
        many = piece.task.together
        if piece.task.step != "partition":
            return
        # Pieces that run beside each other end in any order: each tells only of its own size.
        if piece.seconds < TARGET / 2:
            self._together = max(self._together, 2 * many)
        elif piece.seconds > TARGET:
            self._together = min(self._together, max(1, many // 2))


def _follows(task: Task, other: Task) -> bool:
    """Whether a task's partition begins where another one's ends."""
    return task.step == other.step == "partition" and task.index == other.index + 1
