"""What can be done about a violation in stored data; each rule's file names its own.

A safe remedy loses nothing and guesses nothing: it is done without being asked for. An unsafe one is a decision that
only the data's owner can make: it is done where it was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """One way to mend.

    Args:
        name: As it is chosen on the command line.
        does: What it does, in a few words.
        safe: Whether it is done without being chosen.
        whole: Whether it takes the whole document away.
    """

    name: str
    does: str
    safe: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return self.name


FROM_OWNER = Remedy("from-owner", "the value is copied from its owner", safe=True)
RECOMPUTE = Remedy("recompute", "the value is computed anew from the document's own fields", safe=True)
CONVERT = Remedy("convert", "the same value is stored in the right BSON type", safe=True)
STRIP = Remedy("strip", "control and unassigned characters are taken out", safe=True)
TRIM = Remedy("trim", "white space is taken off around one of the declared choices", safe=True)

COERCE = Remedy("coerce", "what a write would make of the value is stored, although it is not exactly the same")
NULL = Remedy("null", "null is stored, or the field taken out, where the model allows it; an element is taken out")
REMOVE = Remedy("remove", "the field, or the element, is taken out")
DELETE = Remedy("delete", "the document is deleted, if nothing refers to it", whole=True)
QUARANTINE = Remedy("quarantine", "the document is moved to COLLECTION.quarantine, with its violations", whole=True)
KEEP_OLDEST = Remedy("keep-oldest", "of equal documents the oldest stays, the others are deleted", whole=True)
KEEP_NEWEST = Remedy("keep-newest", "of equal documents the newest stays, the others are deleted", whole=True)

REMEDIES = (
    FROM_OWNER, RECOMPUTE, CONVERT, STRIP, TRIM, COERCE, NULL, REMOVE, DELETE, QUARANTINE, KEEP_OLDEST, KEEP_NEWEST,
)  # fmt: skip

#: What every document can be done away with by.
AWAY = (DELETE, QUARANTINE)
#: What a value that means nothing can be mended by.
EMPTIED = (NULL, REMOVE, *AWAY)
