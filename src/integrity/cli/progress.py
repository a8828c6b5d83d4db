"""The progress bar: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task, TaskID
    from rich.text import Text

    from integrity.audit.result import Progress


@contextmanager
def progress() -> Iterator[Callable[[Progress], None] | None]:
    """Yield what an audit reports its progress to; None where nobody looks.

    The bar shows the collection, the documents read of all, the rate, the time that is left, and how many
    violations were found; it is gone when the audit ends.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns: list[ProgressColumn | str] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _rate_column(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[findings]:,} found", markup=False),
    ]
    with Bars(*columns, console=Console(stderr=True, markup=False), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(state: Progress) -> None:
            if state.collection not in tasks:
                name = state.collection.encode("unicode_escape").decode()
                tasks[state.collection] = bars.add_task(name, total=state.total, findings=0)
            # Documents may come and go while they are read.
            total = state.done if state.finished else max(state.total, state.done)
            bars.update(tasks[state.collection], completed=state.done, total=total, findings=state.findings)

        yield show


def _rate_column() -> ProgressColumn:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Documents a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s")

    return Rate()
