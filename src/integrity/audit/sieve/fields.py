"""Where some fields stand in documents that were fetched with these fields alone, in whatever order they are stored.

A document that has anything else, or a field twice, or that does not end where it should, is odd: nothing is said of
it here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from integrity.audit.sieve.objects import Named, _names, _Step
from integrity.audit.sieve.page import END, LENGTH, NULL, OBJECT, Bytes, Column, Mask, Offsets, Page

#: The type of a field that is not there: no value has the type of what ends a document.
ABSENT = END

Steps = tuple[str, ...]


class Fields:
    """Some fields.

    Args:
        paths: The names that lead to each: the field's, below those of the objects that it is nested in. No path leads
            through another.
    """

    def __init__(self, paths: Sequence[Steps]) -> None:
        self._many = len(paths)
        self._names: dict[bytes, _Step] = {}
        self._leaves: dict[bytes, int] = {}
        self._nested: dict[bytes, tuple[list[int], Fields]] = {}
        below: dict[str, list[int]] = {}
        for number, path in enumerate(paths):
            below.setdefault(path[0], []).append(number)
        for first, numbers in below.items():
            name = first.encode()
            self._names[name] = _Step(Named(name))
            if any(len(paths[each]) == 1 for each in numbers):
                (self._leaves[name],) = numbers
            else:
                self._nested[name] = (numbers, Fields([paths[each][1:] for each in numbers]))

    def of(self, page: Page, at: Offsets) -> tuple[list[Column], Mask]:
        """Return the values of each field, in the order of the objects; and which objects are odd.

        Where a field is not there, or the object is not that it would be in, its type is `ABSENT`.

        Args:
            page: What the objects stand in.
            at: Where they begin.
        """
        found = {name: (np.zeros(len(at), np.uint8), np.zeros(len(at), np.int64)) for name in self._names}
        odd = self._walked(page, at, found)
        columns: list[Column | None] = [None] * self._many
        for name, (types, places) in found.items():
            if name in self._leaves:
                columns[self._leaves[name]] = Column(page, types, places)
                continue
            numbers, inside = self._nested[name]
            holds = np.flatnonzero((types == OBJECT) & ~odd)
            # null in the place of an object is as if it were not there; in anything else Python has to look.
            odd |= (types != OBJECT) & (types != NULL) & (types != ABSENT)
            within, strange = inside.of(page, places[holds])
            odd[holds] |= strange
            for number, each in zip(numbers, within, strict=True):
                columns[number] = _spread(each, holds, len(at))
        return [each for each in columns if each is not None], odd

    def _walked(self, page: Page, at: Offsets, found: dict[bytes, tuple[Bytes, Offsets]]) -> Mask:
        """Note where each name stands in the objects, and return which objects are odd."""
        odd = np.zeros(len(at), np.bool_)
        if not len(at):
            return odd
        ends = at + page.lengths(at) - 1
        place = at + LENGTH
        left = np.arange(len(at))
        order = self._order(page, int(at[0]))
        for _ in order:  # all of them at once where the order is the first document's; else one of them at least
            for name in order:
                types, places = found[name]
                here = place[left]
                heads = page.words[here]
                # A name that is met again is left where it is.
                hit = self._names[name].hit(page, here, heads) & (types[left] == ABSENT)
                rows = left[hit]
                if not rows.size:
                    continue
                column = Column(page, heads[hit].astype(np.uint8), here[hit] + self._names[name].skip)
                # So is a value of which nobody knows where it ends, and what ends an object, whatever follows that:
                # no place is ever gone back to, and those that come to the object's end have been within it.
                known = column.sizes >= 0
                if not known.all():
                    rows, column = rows[known], column.part(np.flatnonzero(known))
                types[rows], places[rows], place[rows] = column.types, column.at, column.at + column.sizes
            left = left[place[left] != ends[left]]
            if not left.size:
                break
        odd[left] = True
        odd |= page.bytes[ends] != END
        return odd

    def _order(self, page: Page, at: int) -> list[bytes]:
        """Return the names as they come in an object, and then the others."""
        first = [each for each in dict.fromkeys(_names(page, at)) if each in self._names]
        return [*first, *(each for each in self._names if each not in first)]


def _spread(column: Column, rows: Offsets, many: int) -> Column:
    """Return a column of so many values, of which some rows have these, and the others none."""
    types, places = np.zeros(many, np.uint8), np.zeros(many, np.int64)
    types[rows], places[rows] = column.types, column.at
    return Column(column.page, types, places)
