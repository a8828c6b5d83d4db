"""What the server cannot decide, looked at in Python: for many documents at once, and in one."""

from __future__ import annotations

from typing import Any

from integrity.declare.extract import values_at
from integrity.declare.slot import VALUE, Slot
from integrity.rules.judge import Judge
from integrity.store.port import Document


class Asked:
    """The validator of a place, asked of the values that stand there.

    Args:
        slot: The place.
    """

    def __init__(self, slot: Slot) -> None:
        self._judge, self._together = Judge(slot.judged), Judge(slot.judged_together)

    def clean(self, values: list[Any]) -> bool:
        """Whether values are told to be clean all at once, in one call for many; False says nothing."""
        try:
            return not values or self._together.is_clean({VALUE: values})
        except Exception:  # noqa: BLE001 - a validator's own: it comes again where the document is judged
            return False

    def at_fault(self, value: Any) -> bool:
        """Whether something is wrong with a value."""
        try:
            return bool(self._judge.stored({VALUE: value}))
        except Exception:  # noqa: BLE001 - as above
            return True


class Undecided:
    """A place that is looked at in every document.

    Args:
        slot: The place.
    """

    def __init__(self, slot: Slot) -> None:
        self._steps = slot.steps
        self._field = slot.steps[0] if len(slot.steps) == 1 else None
        self._required = slot.required
        self._asked = Asked(slot)

    def clean(self, documents: list[Document]) -> bool:
        """Whether the values are told to be clean all at once; False says nothing."""
        if (name := self._field) is not None:
            values = [each[name] for each in documents if name in each]
            if self._required and len(values) < len(documents):
                return False
        else:
            values = [value for each in documents for _, value in values_at(each, self._steps)]
        return self._asked.clean(values)

    def at_fault(self, document: Document) -> bool:
        """Whether something is wrong at the place, or missing there."""
        if self._required and self._field is not None and self._field not in document:
            return True
        return any(self._asked.at_fault(value) for _, value in values_at(document, self._steps))
