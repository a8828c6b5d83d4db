"""The baseline: the violations that are known, so that a run fails on new ones only.

A violation is known by its code, collection, ``_id`` and path: 64 bits of their hash, sixteen hexadecimal digits
on a line. The values that were wrong are not in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

from integrity.errors import AuditError
from integrity.violation import Violation, extended_json

_HEAD = "# integrity baseline 1"
_DIGITS = 16


def fingerprint(violation: Violation) -> int:
    """Return what a violation is known by."""
    named = [violation.code, violation.collection, extended_json(violation.id), violation.path]
    text = json.dumps(named, separators=(",", ":"), default=str)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class Baseline:
    """The known violations, and which of them have been seen.

    Args:
        known: Their fingerprints.
    """

    def __init__(self, known: Iterable[int] = ()) -> None:
        self._known = array("Q", sorted(set(known)))  # 8 bytes each: a million of them are 8 MB
        self._seen = bytearray(len(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, violation: Violation) -> bool:
        """Whether a violation is known; remembers that it is still there."""
        wanted = fingerprint(violation)
        at = bisect_left(self._known, wanted)
        if at == len(self._known) or self._known[at] != wanted:
            return False
        self._seen[at] = 1
        return True

    @property
    def gone(self) -> int:
        """How many known violations have not been seen."""
        return len(self._known) - sum(self._seen)

    def seen(self) -> Iterator[int]:
        """Yield the fingerprints that have been seen."""
        return (each for each, seen in zip(self._known, self._seen, strict=True) if seen)


def read(path: Path) -> Baseline:
    """Return the baseline in a file.

    Raises:
        AuditError: It cannot be read, or is no baseline.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        if not lines or lines[0] != _HEAD:
            raise ValueError  # noqa: TRY301 - as if a line were no number
        return Baseline(int(line, 16) for line in lines[1:])
    except OSError as error:
        raise AuditError(f"The baseline {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise AuditError(f"{path} is no baseline; write one with --write-baseline.") from error


def write(path: Path, fingerprints: Iterable[int]) -> int:
    """Write a baseline, readable by its owner only, and return how many violations it knows.

    Raises:
        AuditError: It cannot be written.
    """
    known = sorted(set(fingerprints))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "w", encoding="ascii", opener=_private) as out:
            out.write(f"{_HEAD}\n")
            out.writelines(f"{each:0{_DIGITS}x}\n" for each in known)
        draft.replace(path)
    except OSError as error:
        raise AuditError(f"The baseline {path} cannot be written: {error.strerror}.") from error
    return len(known)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
