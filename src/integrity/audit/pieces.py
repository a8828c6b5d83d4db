"""The pieces of a collection's audit: its tasks, run here or by workers, as they end; and those that a state has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from integrity.audit.after import after
from integrity.audit.cut import Cutter, smallest
from integrity.audit.options import Options
from integrity.audit.pace import Pace
from integrity.audit.partition import Partition, partitions
from integrity.audit.plan import Known, Plan
from integrity.audit.scan import Scan
from integrity.audit.state import State
from integrity.audit.task import Piece, Task, performed
from integrity.audit.workers import Workers
from integrity.store.port import Store
from integrity.violation import Violation

#: Documents of a partition, where it is read by many and not to be stopped: a second's work or so.
PARTITION = 50_000


@dataclass
class Means:
    """What an audit is run with.

    Args:
        workers: Run its tasks; None to run them here, one after the other.
        state: Keeps what is done, and knows what was done before; or None.
        pace: How fast it may go.
    """

    workers: Workers | None = None
    state: State | None = None
    pace: Pace = field(default_factory=Pace)


class Pieces:
    """The pieces of one collection.

    Args:
        store: The database.
        options: What the audit was asked for.
        known: What the plan was made of.
        plan: The plan.
        means: What it is run with.
        watched: Whether somebody looks at how far it is.
    """

    def __init__(
        self, store: Store, options: Options, known: Known, plan: Plan, means: Means, *, watched: bool
    ) -> None:
        self._store = store
        self._options = options
        self._known = known
        self._plan = plan
        self._workers, self._state, self._pace = means.workers, means.state, means.pace
        self._watched = watched

    async def parts(self) -> list[Partition]:
        """Return the collection's partitions: those of the state, where there are any."""
        source = self._known.source
        if self._options.partial is not None:
            return [Partition()]
        if self._state is not None and (kept := self._state.partitions(source.name)) is not None:
            return kept
        size = self._options.partition
        if self._adapts:
            size = smallest(source, self._pace.most)
        elif size is None and self._workers is not None:
            size = PARTITION
        found = await partitions(self._store, source, size)
        if self._state is not None:
            self._state.divide(source.name, found)
        return found

    async def of(self, wanted: list[Task]) -> AsyncIterator[Piece]:
        """Yield the pieces of tasks: first of those that the state has, then of the others as they are found."""
        left = []
        for task in wanted:
            if self._state is not None and (done := self._state.done(task)) is not None:
                yield Piece(task, done[0], done[1], finished=True)
            else:
                left.append(task)
        found: list[Violation] = []
        read = 0
        async for piece in self._fresh(left):
            if self._state is not None:  # a task's pieces come one after the other
                found += [each for each in piece.violations if self._options.wants(each.code)]
                read += piece.read
                if piece.finished:
                    # Recorded before it is counted: what a kill leaves unrecorded is found again, never twice.
                    self._state.record(piece.task, found, read)
                    found, read = [], 0
            yield piece
            if self._plan.partial:
                await self._pace.keep(self._store, piece.read)
            elif piece.finished:
                await self._pace.keep(self._store, round(piece.task.partition.share * self._known.source.documents))

    @property
    def _adapts(self) -> bool:
        """Whether the pieces are as large as can be read in about a second: where it may be stopped after each."""
        return self._options.partition is None and (self._state is not None or self._pace.asked)

    async def _fresh(self, wanted: list[Task]) -> AsyncIterator[Piece]:
        cut = Cutter(wanted, self._known.source.documents, self._pace.most if self._adapts else None)
        async for piece in self._performed(cut):
            if piece.finished:
                cut.told(piece)
            yield piece

    async def _performed(self, wanted: Cutter) -> AsyncIterator[Piece]:
        if self._workers is not None:
            async for piece in self._workers.pieces(self._known, wanted, self._options):
                yield piece
            return
        scan = Scan(after(self._store, self._known.after), self._plan, self._options, watched=self._watched)
        for task in wanted:
            async for piece in performed(scan, self._plan, task):
                yield piece
