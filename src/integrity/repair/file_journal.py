"""The journal in a file of BSON."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from integrity.errors import RepairError
from integrity.repair.journal import LEASE, OPTIONS, PAGE, Entry, Journal, Run, read_entry, read_run
from integrity.store.codecs import raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Document

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

#: Bytes by which an entry is told from anything else: its size, its ``_id`` with its size, the name of the run.
_BEGINNING = 18


class FileJournal(Journal):
    """A journal in a file, which its owner alone may read.

    Args:
        path: The file; made when it is not there, and written to at its end when it is.

    Raises:
        RepairError: It cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        super().__init__()
        self._path = path
        how = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
        try:
            self._file = os.fdopen(os.open(path, how, 0o600), "r+b", buffering=0)
        except OSError as error:
            raise RepairError(f"The journal {path} cannot be opened: {error.strerror or error}.") from error
        try:
            self._lock()
            self._repair_end()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        """Keep other processes away: what one of them is just writing looks like what a killed one has left."""
        if fcntl is None:  # pragma: no cover - Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RepairError(f"The journal {self._path} is in use by another repair: wait for its end.") from error

    def _repair_end(self) -> None:
        """Cut off what a killed process has left of an entry: its change was never made."""
        end = 0
        for end, _ in self._records():  # noqa: B007 - the last one counts
            pass
        self._file.seek(end)
        if left := self._file.read(_BEGINNING):
            # Nothing is cut off but the beginning of an entry: it may be another file, named by mistake.
            if not _begins(left) or (not end and len(left) < _BEGINNING):
                raise self._foreign()
            self._file.truncate(end)

    def _foreign(self) -> RepairError:
        return RepairError(f"{self._path} is no journal of this library; it is left as it is.")

    async def _write(self, encoded: Sequence[RawBSONDocument]) -> None:
        try:
            self._file.seek(0, os.SEEK_END)
            data = b"".join(each.raw for each in encoded)
            whole = self._file.write(data) == len(data)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RepairError(f"The journal {self._path} cannot be written: {error.strerror or error}.") from error
        if not whole:
            raise RepairError(f"The journal {self._path} cannot be written: the disk is full.")

    async def _refuse(self, numbers: Sequence[int]) -> None:
        await self.mark(self.run, {"refused": list(numbers)})

    async def hold(self, session: Any = None, seconds: float = LEASE) -> None:
        """Let every change be made: nobody undoes the run while its file is locked."""

    async def stop(self, run: str) -> None:
        """Make sure that a run is not at work: of another process it cannot be, whose lock this one has got.

        Raises:
            RepairError: It is at work in this process, by this journal.
        """
        if self.at_work and run == self.run:
            raise RepairError(f"The run {run} is still at work: wait for its end, and undo it then.")

    async def under_way(self, run: str) -> float:  # noqa: ARG002 - as of any
        """Return 0: `stop` has seen to it."""
        return 0

    async def back(self, run: str, numbers: Sequence[int]) -> None:
        """Note that these changes were undone."""
        await self.mark(run, {"back": list(numbers)})

    async def mark(self, run: str, what: Mapping[str, Any]) -> None:
        """Note something about a run."""
        mark = {"_id": {"run": run, "n": -1}, **what}
        await self._write([raw_document(bson.encode(mark, codec_options=OPTIONS))])

    async def runs(self) -> list[Run]:
        """Return the runs, the newest first."""
        found: dict[str, Document] = {}
        for _, data in self._records():
            if _number(data) <= 0:
                record = decoded(data)
                found.setdefault(record["_id"]["run"], {}).update(record)
        return [read_run(each) for each in reversed(found.values())]

    async def entries(self, run: str) -> AsyncIterator[list[Entry]]:
        """Yield the entries of a run that were neither refused nor undone, the last first, some at a time."""
        found: dict[int, tuple[int, int]] = {}
        for end, data in self._records():
            number = _number(data)
            if not _of(data, run):
                continue
            if number > 0:
                found[number] = end, len(data)
            if number < 0:
                noted = decoded(data)
                for each in (*noted.get("refused", ()), *noted.get("back", ())):
                    found.pop(each, None)
        places = list(found.values())
        while places:
            page, places = places[-PAGE:], places[:-PAGE]
            yield [read_entry(raw_document(self._at(end, size))) for end, size in reversed(page)]

    def _records(self) -> Any:
        """Yield the end and the bytes of every whole record."""
        at = 0
        total = os.fstat(self._file.fileno()).st_size
        while at + 4 <= total:
            self._file.seek(at)
            size = int.from_bytes(self._file.read(4), "little")
            if size < 5 or at + size > total:  # noqa: PLR2004 - the shortest document
                return
            data = self._at(at + size, size)
            if data[-1] or not _begins(data):
                raise self._foreign()
            at += size
            yield at, data

    def _at(self, end: int, size: int) -> bytes:
        self._file.seek(end - size)
        return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _begins(data: bytes) -> bool:
    """Whether bytes begin as an entry does, as far as they go: {_id: {run: ..."""
    given = data[4:9], data[13:_BEGINNING]
    return all(each == whole[: len(each)] for each, whole in zip(given, (b"\x03_id\0", b"\x02run\0"), strict=True))


def _of(data: bytes, run: str) -> bool:
    return bool(raw_document(data)["_id"]["run"] == run)


def _number(data: bytes) -> int:
    try:
        return int(raw_document(data)["_id"]["n"])
    except (BSONError, KeyError, TypeError) as error:
        raise RepairError("The file is no journal of this library.") from error
