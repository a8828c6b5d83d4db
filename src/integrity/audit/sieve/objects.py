"""Objects, field by field: where each field of many documents stands is found in the order that they are stored in.

An order is learned from a document that no other order fits: documents of one program have the same fields in the
same order, but for those that may be missing. Where there are more orders than that, each field is looked for in turn,
until none is left. What has a field twice, or one that has not been seen, is at fault here, and Python looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from integrity.audit.sieve.page import END, LENGTH, MASKS, Column, Mask, Offsets, Page

#: Orders that are told apart, and the longest of them.
_ORDERS, _LONGEST = 8, 400
_WORD = 8
#: Documents that are learned from in one page.
_LEARNED = 8
#: Elements of an array up to which it is looked at here however few arrays are that long, and how few are few.
_LONG, _FEW = 32, 16
#: A name and its end that are in the word of the type.
_SHORT = 7


Faults = Callable[[Column], Mask]


@dataclass(frozen=True)
class Named:
    """A field.

    Args:
        name: Its name.
        value: What finds a fault in it; None: any value is valid.
        required: Whether it is a fault where it is missing.
        valid: Whether it may be there at all.
    """

    name: bytes
    value: Faults | None = None
    required: bool = False
    valid: bool = True


class Objects:
    """An object that is declared.

    Args:
        fields: The declared fields.
        undeclared: Says of the name of an undeclared field whether it may be there.
    """

    def __init__(self, fields: Sequence[Named], undeclared: Callable[[bytes], bool]) -> None:
        self._fields: Mapping[bytes, Named] = {each.name: each for each in fields}
        self._required = [each.name for each in fields if each.required]
        self._declared = {each.name: place for place, each in enumerate(fields)}
        self._undeclared = undeclared
        self._orders: list[tuple[_Step, ...]] = []
        self._any_order = self._steps([])

    def test(self, column: Column) -> Mask:
        """Return which objects of a column are at fault."""
        return self.faults(column.page, column.at)

    def faults(self, page: Page, at: Offsets) -> Mask:
        """Return which of the objects at these places are at fault.

        Args:
            page: What they stand in.
            at: Where they begin.
        """
        found = np.ones(len(at), np.bool_)
        left = np.arange(len(at))
        learned = tried = 0
        while left.size:
            if tried < len(self._orders):
                fits, faulty = self._walked(page, at[left], self._orders[tried])
                found[left[fits]] = faulty[fits]
                left = left[~fits]
                tried += 1
            elif learned < _LEARNED and len(self._orders) < _ORDERS:
                learned += 1
                number = self._learn(page, int(at[left[0]]))
                if number is None:
                    left = left[1:]  # it fits nothing, and stays at fault
                else:
                    tried = number
            else:
                fits, faulty = self._jumbled(page, at[left])
                found[left[fits]] = faulty[fits]
                break
        return found

    def _learn(self, page: Page, at: int) -> int | None:
        """Learn the order of an object; return which of the orders it is, None where there is none."""
        names = list(_names(page, at))
        if len(set(names)) < len(names):
            return None
        for number, order in enumerate(self._orders):
            merged = _merged([each.field.name for each in order], names, self._declared)
            if merged is not None and len(merged) == len(order):
                return None  # it has that order, and does not fit: of a value in it nobody knows where it ends
            if merged is not None and len(merged) <= _LONGEST:
                self._orders[number] = self._steps(merged)
                return number
        if len(names) > _LONGEST:
            return None
        self._orders.append(self._steps(names))
        return len(self._orders) - 1

    def _steps(self, names: Sequence[bytes]) -> tuple[_Step, ...]:
        # A required field that no document has had so far is missed in those that fit.
        missed = [each for each in self._required if each not in names]
        return tuple(_Step(self._field(each)) for each in _merged(names, missed, self._declared) or names)

    def _field(self, name: bytes) -> Named:
        return self._fields.get(name) or Named(name, valid=self._undeclared(name))

    def _walked(self, page: Page, at: Offsets, order: Sequence[_Step]) -> tuple[Mask, Mask]:
        """Return which objects have this order, and which of those are at fault."""
        ends = at + page.lengths(at)
        place = at + LENGTH
        faulty = np.zeros(len(at), np.bool_)
        for step in order:
            heads = page.words[place]
            hit = step.hit(page, place, heads)
            everywhere = bool(hit.all())
            index = None if everywhere else np.flatnonzero(hit)
            if index is not None:
                if step.field.required:
                    faulty |= ~hit
                if not index.size:
                    continue
                heads = heads[index]
            here = place if index is None else place[index]
            past, wrong = _taken(page, step, heads, here)
            if index is None:
                place = past
                faulty |= wrong
            else:
                place[index] = past
                faulty[index] |= wrong
        return place == ends - 1, faulty

    def _jumbled(self, page: Page, at: Offsets) -> tuple[Mask, Mask]:
        """Return the same of objects in no order: what is added to a document later stands at its end."""
        fits, faulty = np.zeros(len(at), np.bool_), np.zeros(len(at), np.bool_)
        left = np.arange(len(at))
        for _ in range(_LEARNED):
            done, wrong = self._again_and_again(page, at[left])
            fits[left[done]], faulty[left[done]] = True, wrong[done]
            left = left[~done]
            if not left.size:
                break
            known = [each.field.name for each in self._any_order]
            names = [*known, *(each for each in _names(page, int(at[left[0]])) if each not in known)]
            if len(names) > _LONGEST or len(set(names)) == len(known):
                left = left[1:]  # it fits nothing, and stays at fault
            else:
                self._any_order = self._steps(list(dict.fromkeys(names)))
        return fits, faulty

    def _again_and_again(self, page: Page, at: Offsets) -> tuple[Mask, Mask]:
        """Return which objects have known fields alone, each once, and which of those are at fault."""
        ends = at + page.lengths(at)
        place = at + LENGTH
        faulty = np.zeros(len(at), np.bool_)
        seen = np.zeros((len(self._any_order), len(at)), np.bool_)
        going = np.arange(len(at))
        while going.size:
            before = place[going]
            for number, step in enumerate(self._any_order):
                heads = page.words[place[going]]
                hit = step.hit(page, place[going], heads) & ~seen[number, going]
                if (index := going[hit]).size:
                    seen[number, index] = True
                    place[index], wrong = _taken(page, step, heads[hit], place[index])
                    faulty[index] |= wrong
            going = going[place[going] > before]
        for number, step in enumerate(self._any_order):
            if step.field.required:
                faulty |= ~seen[number]
        return place == ends - 1, faulty


def _taken(page: Page, step: _Step, heads: NDArray[np.uint64], here: Offsets) -> tuple[Offsets, Mask]:
    """Return where the elements of a field end, and which of them are at fault."""
    column = Column(page, heads.astype(np.uint8), here + step.skip)
    past = column.at + column.sizes
    # A value of which nobody knows where it ends: past the page's end, nothing fits any more.
    past[column.sizes < 0] = page.last
    return past, _faults(step.field, column)


def _faults(named: Named, column: Column) -> Mask:
    if not named.valid:
        return np.ones(len(column), np.bool_)
    if named.value is None:
        return np.zeros(len(column), np.bool_)
    return named.value(column)


class _Step:
    """A field, and how an element with its name begins: a type, the name, and a byte that ends it."""

    def __init__(self, named: Named) -> None:
        self.field = named
        self.skip = len(named.name) + 2
        whole = named.name + b"\0"
        # The type stands before the name, in the first word.
        self._first = (MASKS[min(len(whole), _SHORT)] << np.uint64(8), _word(b"\0" + whole[:_SHORT]))
        self._others = [
            (at + 1, MASKS[min(len(whole) - at, _WORD)], _word(whole[at : at + _WORD]))
            for at in range(_SHORT, len(whole), _WORD)
        ]

    def hit(self, page: Page, place: Offsets, heads: NDArray[np.uint64]) -> Mask:
        """Return at which places an element with this name begins."""
        mask, wanted = self._first
        found: Mask = heads & mask == wanted
        # Behind what ends an object may stand what reads like a name: the length of the next document.
        found &= heads & MASKS[1] != END
        for at, mask, wanted in self._others:
            if not found.any():
                break
            found &= page.words[np.minimum(place + at, page.last)] & mask == wanted
        return found


def _word(data: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(data[:_WORD], "little"))


def _names(page: Page, at: int) -> Iterator[bytes]:
    """Yield the names of an object's fields, up to one of which nobody knows where it ends."""
    place = at + LENGTH
    while page.bytes[place] != END:
        end = page.raw.index(b"\0", place + 1)
        yield page.raw[place + 1 : end]
        column = Column(page, page.bytes[place : place + 1], np.array([end + 1], np.int64))
        size = int(column.sizes[0])
        if size < 0:
            return
        place = end + 1 + size


def _merged(order: Sequence[bytes], names: Sequence[bytes], declared: Mapping[bytes, int]) -> list[bytes] | None:
    """Return an order that both fit, or None: the names that both have stand in the same order.

    Args:
        order: Names in their order.
        names: Names in their order.
        declared: The places of names that the two do not order: most programs store fields as they are declared.
    """
    known = set(order)
    common = [each for each in names if each in known]
    places = {each: place for place, each in enumerate(order)}
    if any(places[one] > places[other] for one, other in pairwise(common)):
        return None
    merged = list(order)
    shared, last = set(common), len(declared)
    before = 0
    for each in names:
        if each in known:
            before = merged.index(each) + 1
            continue
        place = declared.get(each, last)
        while before < len(merged) and merged[before] not in shared and declared.get(merged[before], last) < place:
            before += 1
        merged.insert(before, each)
        before += 1
    return merged


class Arrays:
    """An array that is declared.

    Args:
        least: How many elements it has at least.
        most: How many at most; None for any number.
        item: What finds a fault in an element.
    """

    def __init__(self, least: int, most: int | None, item: Faults) -> None:
        self._least, self._most, self._item = least, most, item

    def test(self, column: Column) -> Mask:
        """Return which arrays of a column are at fault."""
        page, place = column.page, column.at + LENGTH
        ends = column.at + column.lengths
        found = np.zeros(len(column), np.bool_)
        going = np.arange(len(column))
        elements: list[tuple[Offsets, Column]] = []
        number = 0
        while True:
            heads = page.words[place[going]]
            over = place[going] == ends[going] - 1
            if number < self._least:
                found[going[over]] = True
            step = _Step(Named(str(number).encode()))
            hit = step.hit(page, place[going], heads) & ~over
            # What is not numbered like an array is looked at by Python.
            found[going[~hit & ~over]] = True
            going, heads = going[hit], heads[hit]
            if number == self._most:
                found[going] = True
                break
            if not going.size:
                break
            if number > _LONG and going.size < _FEW:
                found[going] = True
                break
            each = Column(page, heads.astype(np.uint8), place[going] + step.skip)
            elements.append((going, each))
            lost = each.sizes < 0
            found[going[lost]] = True
            place[going] = each.at + each.sizes
            going = going[~lost]
            number += 1
        if elements:
            owners = np.concatenate([index for index, _ in elements])
            types = np.concatenate([each.types for _, each in elements])
            at = np.concatenate([each.at for _, each in elements])
            found[owners[self._item(Column(page, types, at))]] = True
        return found
