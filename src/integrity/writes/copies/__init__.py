"""Copies on the write path: every stored fact has one owner, and what repeats it follows.

::

    spots       where a copy stands in a document, and which owner it follows there
    filling     filled from the owner, refused when written by hand and different
    fitting     what a copy holds when its owner holds this, and whether it can
    planning    what a change of owners does to their copies: a value
    keeping     doing it, in the owner's transaction, and recording what is too much for one
    finishing   the recorded rest, in batches: by the writer, by ``integrity sync``, by whoever comes next
    synced      what a synchronisation did, and what it left
    waiting     telling what it waits for

See docs/explanation/who-owns-a-fact.md.
"""

from __future__ import annotations

from integrity.writes.copies.filling import Originals, Pair, current, faults, fill, late, lead, originals, pairs
from integrity.writes.copies.finishing import sync
from integrity.writes.copies.keeping import Keeper
from integrity.writes.copies.synced import Synced

__all__ = [
    "Keeper",
    "Originals",
    "Pair",
    "Synced",
    "current",
    "faults",
    "fill",
    "late",
    "lead",
    "originals",
    "pairs",
    "sync",
]
