"""When the documents at fault were written: counts by time, in as much memory for a million of them as for ten."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
#: The widths of a bucket, each a multiple of the one before it.
_WIDTHS = (_MINUTE, _HOUR, _DAY, 7 * _DAY, 28 * _DAY, 364 * _DAY)
#: The most buckets that are kept; beyond it they become wider.
_BUCKETS = 2000
#: The share of the violations that may lie outside of what is drawn, at each end: a single forged or mistaken time
#: would else press all others into one bar.
_OUTSIDE = 0.005


@dataclass(frozen=True)
class Bars:
    """A histogram.

    Args:
        start: When the first bar begins, in seconds since 1970.
        width: The seconds that a bar covers.
        counts: The violations of each bar.
        before: The violations before the first bar.
        after: Those after the last.
    """

    start: int
    width: int
    counts: tuple[int, ...]
    before: int = 0
    after: int = 0

    def begins(self, index: int) -> dt.datetime:
        """When a bar begins, in UTC."""
        return moment(self.start + index * self.width)


class Timeline:
    """Counts violations by code and by when their document was written."""

    def __init__(self) -> None:
        self._width = 0
        self._counts: Counter[tuple[str, int]] = Counter()
        self._ends: dict[str, tuple[float, float]] = {}

    def add(self, code: str, when: float, many: int = 1) -> None:
        """Count a violation.

        Args:
            code: Its rule's code.
            when: When its document was written, in seconds since 1970.
            many: The violations that it stands for.
        """
        self._counts[code, int(when // _WIDTHS[self._width])] += many
        first, last = self._ends.get(code, (when, when))
        self._ends[code] = (min(first, when), max(last, when))
        while len(self._counts) > _BUCKETS and self._width < len(_WIDTHS) - 1:
            self._widen()

    def __len__(self) -> int:
        return self._counts.total()

    def ends(self, code: str) -> tuple[dt.datetime, dt.datetime] | None:
        """Return the first and the last time of a code's violations, in UTC; None where there is none."""
        found = self._ends.get(code)
        return None if found is None else (moment(found[0]), moment(found[1]))

    def bars(self, most: int) -> Bars | None:
        """Return a histogram of all codes, with at most so many bars; None where there is nothing."""
        counts: Counter[int] = Counter()
        for (_, bucket), many in self._counts.items():
            counts[bucket] += many
        if not counts:
            return None
        width = _WIDTHS[self._width]
        first, last = _middle(counts)
        wide = _fitting(first, last, width, most)
        if _fitting(min(counts), max(counts), width, most) == wide:  # nothing is gained by leaving the ends out
            first, last = min(counts), max(counts)
        start = first * width // wide
        bars = [0] * (last * width // wide - start + 1)
        before = after = 0
        for bucket, many in counts.items():
            if bucket < first:
                before += many
            elif bucket > last:
                after += many
            else:
                bars[bucket * width // wide - start] += many
        return Bars(start * wide, wide, tuple(bars), before, after)

    def _widen(self) -> None:
        times = _WIDTHS[self._width + 1] // _WIDTHS[self._width]
        self._width += 1
        wider: Counter[tuple[str, int]] = Counter()
        for (code, bucket), many in self._counts.items():
            wider[code, bucket // times] += many
        self._counts = wider


def moment(seconds: float) -> dt.datetime:
    """Return a time since 1970 in UTC, within the years that Python has."""
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return dt.datetime.max.replace(tzinfo=dt.UTC) if seconds > 0 else dt.datetime.min.replace(tzinfo=dt.UTC)


def _middle(counts: Counter[int]) -> tuple[int, int]:
    """Return the first and last bucket of what is drawn."""
    allowed = int(counts.total() * _OUTSIDE)
    ordered = sorted(counts)
    found = []
    for each in (ordered, ordered[::-1]):
        left = allowed
        found.append(next(bucket for bucket in each if (left := left - counts[bucket]) < 0))
    return found[0], found[1]


def _fitting(first: int, last: int, width: int, most: int) -> int:
    """Return the least width with which the buckets fit into so many bars."""
    fitting = (each for each in _widths(width) if last * width // each - first * width // each < most)
    return next(fitting)


def _widths(width: int) -> Iterator[int]:
    """Yield the widths that a bar may have, from `width` on: those that have a name, then multiples of the last."""
    yield from (each for each in _NAMED if each >= width and each % width == 0)
    wide = _WIDTHS[-1]
    while True:
        yield wide
        wide *= 2


#: Widths that a bar may have.
_NAMED = (
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
    28 * _DAY, 84 * _DAY, 364 * _DAY,
)  # fmt: skip
