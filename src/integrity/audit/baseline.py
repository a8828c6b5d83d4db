"""The baseline: the violations that are known, so that a run fails on new ones only.

A violation is known by its code, collection, ``_id`` and path: 64 bits of their hash, sixteen hexadecimal digits
on a line. The lines of one rule and collection stand below a line that names these two, so that an audit of less does
not call the others gone. The values that were wrong are not in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from integrity.audit.spool import escaped
from integrity.errors import AuditError
from integrity.violation import Violation, extended_json

_HEAD = "# integrity baseline 2"
#: Its lines do not say of which rule and collection they are.
_EARLIER = "# integrity baseline 1"
_DIGITS = 16

#: A rule's code and a collection.
Scope = tuple[str, str]
#: A violation's scope and fingerprint.
Known = tuple[Scope, int]
#: Whether an audit looked at a scope.
Looked = Callable[[Scope], bool]

#: The scope of a violation in a file of the earlier form.
UNTOLD: Scope = ("", "")


def fingerprint(violation: Violation) -> int:
    """Return what a violation is known by."""
    named = [violation.code, violation.collection, extended_json(violation.id), violation.path]
    named = escaped(named)  # as it is when the violation was kept on disk meanwhile
    text = json.dumps(named, separators=(",", ":"), default=str)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def known(violation: Violation) -> Known:
    """Return a violation as a baseline keeps it."""
    return (violation.code, violation.collection), fingerprint(violation)


class Baseline:
    """The known violations, and which of them have been seen.

    Args:
        known: The violations, as `known` returns them.
    """

    def __init__(self, known: Iterable[Known] = ()) -> None:
        found: defaultdict[Scope, array[int]] = defaultdict(lambda: array("Q"))
        for scope, each in known:
            found[scope].append(each)  # 8 bytes each: a million of them are 8 MB
        self._known = {scope: array("Q", sorted(set(some))) for scope, some in sorted(found.items())}
        self._seen = {scope: bytearray(len(some)) for scope, some in self._known.items()}

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def knows(self, violation: Violation) -> bool:
        """Whether a violation is known; remembers that it is still there."""
        own, wanted = known(violation)
        for scope in (own, UNTOLD):
            some = self._known.get(scope, ())
            at = bisect_left(some, wanted)
            if at < len(some) and some[at] == wanted:
                self._seen[scope][at] = 1
                return True
        return False

    def gone(self, looked: Looked) -> int:
        """Return how many known violations have not been seen, of those that were looked for."""
        return sum(len(seen) - sum(seen) for scope, seen in self._seen.items() if looked(scope))

    def others(self, looked: Looked) -> int:
        """Return how many known violations were not looked for, and not seen."""
        return sum(len(seen) - sum(seen) for scope, seen in self._seen.items() if not looked(scope))

    def by_scope(self) -> Iterator[tuple[Scope, array[int]]]:
        """Yield the fingerprints of each scope, in order."""
        yield from self._known.items()

    def kept(self, looked: Looked) -> Iterator[Known]:
        """Yield what is still known: what has been seen, and what was not looked for."""
        for scope, some in self._known.items():
            every = not looked(scope)
            yield from ((scope, each) for each, seen in zip(some, self._seen[scope], strict=True) if seen or every)


def read(path: Path) -> Baseline:
    """Return the baseline in a file.

    Raises:
        AuditError: It cannot be read, or is no baseline.
    """
    try:
        return Baseline(_parsed(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise AuditError(f"The baseline {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise AuditError(f"{path} is no baseline; write one with --write-baseline.") from error


def _parsed(lines: list[str]) -> Iterator[Known]:
    if not lines or lines[0] not in {_HEAD, _EARLIER}:
        raise ValueError
    scope = UNTOLD
    for line in lines[1:]:
        if line.startswith("["):
            code, collection = json.loads(line)
            scope = (str(code), str(collection))
        else:
            if len(line) != _DIGITS or not line.isalnum():
                raise ValueError
            yield scope, int(line, 16)


def write(path: Path, known: Iterable[Known]) -> int:
    """Write a baseline, readable by its owner only, and return how many violations it knows.

    Raises:
        AuditError: It cannot be written.
    """
    many = 0
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "w", encoding="utf-8", opener=_private) as out:
            out.write(f"{_HEAD}\n")
            for scope, some in Baseline(known).by_scope():
                # What comes first names no scope: a file of the earlier form is not known any better for being copied.
                out.write("" if scope == UNTOLD else f"{json.dumps(scope)}\n")
                out.writelines(f"{each:0{_DIGITS}x}\n" for each in some)
                many += len(some)
        draft.replace(path)
    except OSError as error:
        raise AuditError(f"The baseline {path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return many


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
