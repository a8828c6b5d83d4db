"""Repairing what an audit finds: decided, written down, changed, and undone when it was wrong.

::

    choice       which remedies were chosen       journal      before and after, written down first
    decide       what is to be done, pure         swap         other bytes, if they are still the same
    same_value   what may be converted            within       one collection
    supply       what owners and keys say         engine       all of them
    group        which of equal documents stays   undo         the bytes back
    suspects     what the audit found             quarantine   what stands aside
    verbatim     documents byte for byte          record       set aside
                                                  release      and back again
"""

from __future__ import annotations

from integrity.repair.choice import Choice, Choices
from integrity.repair.collection_journal import CollectionJournal
from integrity.repair.engine import repair
from integrity.repair.file_journal import FileJournal
from integrity.repair.journal import Journal, Run
from integrity.repair.quarantine import Held, held
from integrity.repair.release import Released, release
from integrity.repair.result import Changed, Outcome, Summary
from integrity.repair.undo import Undone, undo

__all__ = [
    "Changed",
    "Choice",
    "Choices",
    "CollectionJournal",
    "FileJournal",
    "Held",
    "Journal",
    "Outcome",
    "Released",
    "Run",
    "Summary",
    "Undone",
    "held",
    "release",
    "repair",
    "undo",
]
