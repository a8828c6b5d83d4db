"""The journal: what every change was before and after, written down before it is made.

An entry that is there while its change was never made does no harm: undoing compares the document's bytes with both.
A change without an entry could not be undone. So the entry comes first, and is durable before the change begins. Where
the change is refused then, that is noted too: what comes to look like it later is the application's.

An entry, in the collection `integrity.journal` or in a file of BSON (as mongodump writes it; `bsondump` prints it)::

    _id         {run, n}: the run's name; entries count from 1, and 0 is the run itself
    collection  where
    id          the document's _id
    before      the document, byte for byte; not there when there was none
    after       the document afterwards; not there when there is none
    digest      in place of `after`, where both would not fit a document
    rules       the codes of what was mended
    refused     true where the change was refused; in a file, the numbers of such entries in a record with n -1
    back        true where the document got its bytes back; in a file, as for `refused`
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from integrity.errors import RepairError
from integrity.store.codecs import CODEC, raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Document, Store
from integrity.writes.references.durable import durable

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

COLLECTION = "integrity.journal"

#: Of the 16 MB of a document, less what an entry has besides.
_LARGEST = 16 * 1024 * 1024 - 4096
_CODEC: CodecOptions[Document] = CodecOptions(**CODEC)
_PAGE = 100
#: Bytes by which an entry is told from anything else: its size, its ``_id`` with its size, the name of the run.
_BEGINNING = 18


@dataclass(frozen=True)
class Entry:
    """One change.

    Args:
        collection: Where.
        id: The document's ``_id``.
        before: The bytes of the document; None when there was none.
        after: The bytes afterwards; None when there is none.
        rules: The codes of what was mended.
        n: Its number in the run.
        digest: The SHA-256 of `after`, where that alone is known.
    """

    collection: str
    id: Any
    before: bytes | None
    after: bytes | None
    rules: tuple[str, ...] = ()
    n: int = 0
    digest: bytes | None = None

    @property
    def fits(self) -> bool:
        """Whether it fits an entry of the journal."""
        return len(self.before or b"") <= _LARGEST and (self.before is not None or len(self.after or b"") <= _LARGEST)

    def is_after(self, current: bytes | None) -> bool:
        """Whether a document is as the change left it."""
        if self.digest is not None:
            return current is not None and hashlib.sha256(current).digest() == self.digest
        return current == self.after

    def encoded(self, run: str, n: int) -> RawBSONDocument:
        """Return it as it is written down."""
        entry: Document = {
            "_id": {"run": run, "n": n}, "collection": self.collection, "id": self.id, "rules": list(self.rules)
        }  # fmt: skip
        if self.before is not None:
            entry["before"] = raw_document(self.before)
        if self.after is not None:
            if len(self.before or b"") + len(self.after) > _LARGEST:
                entry["digest"] = hashlib.sha256(self.after).digest()
            else:
                entry["after"] = raw_document(self.after)
        return raw_document(bson.encode(entry, codec_options=_CODEC))


@dataclass(frozen=True)
class Run:
    """One run of a repair.

    Args:
        name: Its name.
        at: When it began, in UTC.
        ended: Whether it came to its end.
        undone: Whether it was undone.
        changes: How many changes it wrote down that were not refused; 0 where it did not come to its end.
        database: The database that it repaired.
    """

    name: str
    at: dt.datetime
    ended: bool = False
    undone: bool = False
    changes: int = 0
    database: str = ""


@dataclass
class Journal(ABC):
    """Where changes are written down.

    Args:
        run: The name of the run; made anew by `begin`.
        written: How many entries it has.
        changes: How many of them were not refused.
    """

    run: str = ""
    written: int = field(default=0, init=False)
    changes: int = field(default=0, init=False)

    async def begin(self, about: Mapping[str, Any]) -> str:
        """Begin a run, and return its name."""
        now = dt.datetime.now(dt.UTC)
        self.run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        await self._write([raw_document(bson.encode(self._head(now, dict(about)), codec_options=_CODEC))])
        return self.run

    def _head(self, now: dt.datetime, about: Document) -> Document:
        return {"_id": {"run": self.run, "n": 0}, "at": now, "ended": False, "undone": False, **about}

    async def record(self, entries: Sequence[Entry]) -> None:
        """Write changes down; when it returns, they outlive this process and an election."""
        encoded = [each.encoded(self.run, self.written + at) for at, each in enumerate(entries, start=1)]
        self.written += len(entries)
        self.changes += len(entries)
        await self._write(encoded)

    async def refuse(self, numbers: Sequence[int]) -> None:
        """Note that these changes were not made, for certain: undoing passes over them."""
        if numbers:
            self.changes -= len(numbers)
            await self._refuse(numbers)

    @abstractmethod
    async def back(self, run: str, numbers: Sequence[int]) -> None:
        """Note that these changes were undone: what looks like them from now on is the application's."""

    @abstractmethod
    async def _write(self, encoded: Sequence[RawBSONDocument]) -> None: ...

    @abstractmethod
    async def _refuse(self, numbers: Sequence[int]) -> None: ...

    @abstractmethod
    async def mark(self, run: str, what: Mapping[str, Any]) -> None:
        """Note something about a run, such as that it has ended."""

    @abstractmethod
    async def runs(self) -> list[Run]:
        """Return the runs, the newest first."""

    @abstractmethod
    def entries(self, run: str) -> AsyncIterator[list[Entry]]:
        """Yield the entries of a run that were neither refused nor undone, the last first, some at a time."""


class CollectionJournal(Journal):
    """A journal in the collection `integrity.journal` of the database that is repaired.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = durable(store)
        # A store of bytes has the concerns of the database that it was made of: this one writes documents as they are.
        self._bytes = store.for_bytes()

    async def _write(self, encoded: Sequence[RawBSONDocument]) -> None:
        start, size = 0, 0
        for at, each in enumerate(encoded):
            if at > start and size + len(each.raw) > _LARGEST:
                await self._store.insert_many(COLLECTION, encoded[start:at])  # type: ignore[arg-type]  # documents too
                start, size = at, 0
            size += len(each.raw)
        await self._store.insert_many(COLLECTION, encoded[start:])  # type: ignore[arg-type]  # documents too

    async def _refuse(self, numbers: Sequence[int]) -> None:
        await self._note(self.run, numbers, "refused")

    async def back(self, run: str, numbers: Sequence[int]) -> None:
        """Note that these changes were undone."""
        await self._note(run, numbers, "back")

    async def _note(self, run: str, numbers: Sequence[int], what: str) -> None:
        those = {"_id": {"$in": [{"run": run, "n": each} for each in numbers]}}
        await self._store.update_many(COLLECTION, those, {"$set": {what: True}})

    async def mark(self, run: str, what: Mapping[str, Any]) -> None:
        """Note something about a run."""
        await self._store.update_one(COLLECTION, {"_id": {"run": run, "n": 0}}, {"$set": dict(what)})

    async def runs(self) -> list[Run]:
        """Return the runs, the newest first."""
        found: list[Run] = []
        batches = self._store.find(COLLECTION, {"_id.n": 0}, sort=[("_id", -1)])
        while batch := await batches.next():
            found += map(_run, batch)
        return found

    async def entries(self, run: str) -> AsyncIterator[list[Entry]]:
        """Yield the entries of a run that were neither refused nor undone, the last first, some at a time."""
        within = {
            "_id": {"$gt": {"run": run, "n": 0}, "$lt": {"run": run, "n": bson.MaxKey()}},
            "refused": {"$ne": True},
            "back": {"$ne": True},
        }
        batches = self._bytes.find(COLLECTION, within, sort=[("_id", -1)], batch_size=_PAGE)
        try:
            while batch := await batches.next(_PAGE):
                yield [_entry(each) for each in batch]
        finally:
            await batches.close()


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

    async def back(self, run: str, numbers: Sequence[int]) -> None:
        """Note that these changes were undone."""
        await self.mark(run, {"back": list(numbers)})

    async def mark(self, run: str, what: Mapping[str, Any]) -> None:
        """Note something about a run."""
        mark = {"_id": {"run": run, "n": -1}, **what}
        await self._write([raw_document(bson.encode(mark, codec_options=_CODEC))])

    async def runs(self) -> list[Run]:
        """Return the runs, the newest first."""
        found: dict[str, Document] = {}
        for _, data in self._records():
            if _number(data) <= 0:
                record = decoded(data)
                found.setdefault(record["_id"]["run"], {}).update(record)
        return [_run(each) for each in reversed(found.values())]

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
            page, places = places[-_PAGE:], places[:-_PAGE]
            yield [_entry(raw_document(self._at(end, size))) for end, size in reversed(page)]

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


def _run(record: Mapping[str, Any]) -> Run:
    return Run(
        record["_id"]["run"],
        record.get("at") or dt.datetime(1, 1, 1),  # noqa: DTZ001 - as PyMongo reads dates
        bool(record.get("ended")),
        bool(record.get("undone")),
        int(record.get("changes") or 0),
        str(record.get("database") or ""),
    )


def _entry(record: Any) -> Entry:
    stored = raw_document(record.raw)
    before, after = stored.get("before"), stored.get("after")
    values = decoded(record.raw)
    return Entry(
        values["collection"],
        values["id"],
        None if before is None else before.raw,
        None if after is None else after.raw,
        tuple(values["rules"]),
        values["_id"]["n"],
        values.get("digest"),
    )
