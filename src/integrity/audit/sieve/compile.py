"""What finds the documents with a fault among those that were fetched as they are stored.

As with what the server decides (`integrity.audit.pushdown`): it may find documents without a fault, which Python then
finds clean, and must never miss one with a fault. Of what no column tells, the place's own validator is asked.
"""

from __future__ import annotations

import numpy as np

from integrity.audit import expected
from integrity.audit.expected import Undecided
from integrity.audit.sieve import text
from integrity.audit.sieve.judged import Judged
from integrity.audit.sieve.objects import Arrays, Faults, Named, Objects
from integrity.audit.sieve.page import (
    ARRAY,
    CODE,
    DECIMAL,
    DOUBLE,
    NULL,
    OBJECT,
    SCOPED_CODE,
    STRING,
    SYMBOL,
    Column,
    Mask,
    Page,
)
from integrity.audit.sieve.value import Test, Value, barring, empty, infinite, infinite_decimal, scalars
from integrity.declare.registry import Entry
from integrity.declare.shape import Object
from integrity.declare.slot import Slot, root


class Sieve:
    """What finds the suspects of a collection.

    Args:
        document: What finds a fault in a document.
    """

    def __init__(self, document: Objects) -> None:
        self._document = document

    def suspects(self, page: Page) -> Mask:
        """Return which documents of a page are suspects."""
        try:
            return self._document.faults(page, page.starts)
        except (IndexError, ValueError):  # no valid BSON, which it then says when it is decoded
            return np.ones(len(page.starts), np.bool_)


def compiled(entry: Entry, *, names: bool = True) -> Sieve | None:
    """Return what finds the suspects of a model's collection; None where every document has to be judged as a whole.

    Args:
        entry: The model's entry.
        names: Whether names that cannot be read are looked for where any name is let in.
    """
    try:
        return Sieve(_Compiler(names=names).object(root(entry), entry.document))
    except Undecided:
        return None


class _Compiler:
    def __init__(self, *, names: bool) -> None:
        self._names = names
        self._above: list[Object] = []

    def object(self, slot: Slot, declared: Object) -> Objects:
        expected.certain(slot, declared, self._above)
        self._above.append(declared)
        try:
            fields = [self._field(slot.child(name, declared), name) for name, each in declared.fields.items()]
        finally:
            self._above.pop()
        if declared.closed:
            return Objects(fields, lambda _: False)
        return Objects(fields, _readable if self._names else lambda _: True)

    def _field(self, child: Slot, name: str) -> Named:
        return Named(name.encode(), self._value(child), required=child.required)

    def _value(self, slot: Slot) -> Faults:
        """Return what finds a fault at a place: its validator, where nothing else does."""
        try:
            return self.value(slot).faults
        except Undecided:
            return Judged(slot).faults

    def value(self, slot: Slot) -> Value:
        node = slot.node
        if node.loose or slot.schema is None:
            raise Undecided
        forbidden = expected.forbidden(slot)
        judged = Judged(slot).faults
        if node.anything:
            strings = text.strings(expected.Text(expected.anything(slot).policy), judged)
            anything: dict[int, Test] = {
                STRING: strings, ARRAY: empty, OBJECT: empty, DOUBLE: infinite, DECIMAL: infinite_decimal,
                # Strings to Python as well, of which the policy is asked, or whether they can be read; and rare.
                SYMBOL: judged, CODE: judged, SCOPED_CODE: judged,
            }  # fmt: skip
            return Value(barring({**dict.fromkeys(range(256)), **anything}, forbidden))
        if len(node.arrays) + len(node.objects) + bool(node.scalars) != 1:
            raise Undecided
        if node.arrays:
            tests: dict[int, Test] = {ARRAY: self._array(slot).test}
        elif node.objects:
            tests = {OBJECT: self._inside(slot, node.objects[0])}
        else:
            tests = scalars(expected.scalar(slot), lambda wanted: text.strings(wanted, judged), judged)
        if node.nullable:
            tests[NULL] = None
        return Value(barring(tests, forbidden))

    def _inside(self, slot: Slot, declared: Object) -> Test:
        walked = self.object(slot, declared).test
        if slot.may_be_empty:
            return walked

        def test(column: Column) -> Mask:
            return walked(column) | empty(column)

        return test

    def _array(self, slot: Slot) -> Arrays:
        least = expected.shortest(slot)
        return Arrays(least, slot.limit("max_length"), self._value(slot.element(slot.node.arrays[0])))


def _readable(name: bytes) -> bool:
    """Whether a name is valid UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
