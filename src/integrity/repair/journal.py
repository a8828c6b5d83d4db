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

A run that is undone while it is at work has to stop: a change after the undoing has passed it would stand, in a run
that is called undone. So the undoing first forbids the run any further change, and only then looks at the documents;
and the run asks before every change whether it may (`Journal.hold`). With transactions it asks within the one that
makes the change, by a write to the run's own record (n 0), which the undoing writes to as well: of the two, one comes
first. No clock is asked, and it is the same for a run whose process was killed, or has slept for a day.

On a standalone server the question and the change are two commands, and the undoing may come between them. So the run
says with the question how long the change may be under way, by the server's clock, and takes it back when it is done;
the undoing waits for that. A process that was killed keeps it waiting until the time is over. One that was held up for
longer, and makes its change all the same, asks once more afterwards, and takes back what it has made: either the
undoing sees the change, or the change's maker sees the undoing.

A file is locked by the process that writes to it, and free when that is dead. The record of a run has besides::

    held        how many transactions have asked
    until       until when a change may be under way, on a standalone server
    stopped     true where nothing more may be changed
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from integrity.errors import RepairError
from integrity.store.codecs import CODEC, raw_document
from integrity.store.forgiving import decoded
from integrity.store.port import Document

#: Of the 16 MB of a document, less what an entry has besides.
LARGEST = 16 * 1024 * 1024 - 4096
OPTIONS: CodecOptions[Document] = CodecOptions(**CODEC)
#: Entries that are read at a time.
PAGE = 100
#: Seconds that one write may be under way on a server without transactions.
LEASE = 10.0


class Stopped(RepairError):
    """The run was undone while it was at work, and changes nothing more.

    Args:
        run: Its name.
    """

    def __init__(self, run: str) -> None:
        super().__init__(
            f"The run {run} was undone, or its journal dropped, while it was at work: the repair has stopped, and "
            "changes nothing more; repair again for what is wrong still."
        )


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
        return len(self.before or b"") <= LARGEST and (self.before is not None or len(self.after or b"") <= LARGEST)

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
            if len(self.before or b"") + len(self.after) > LARGEST:
                entry["digest"] = hashlib.sha256(self.after).digest()
            else:
                entry["after"] = raw_document(self.after)
        return raw_document(bson.encode(entry, codec_options=OPTIONS))


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
        at_work: Whether the run is under way, in this process.
    """

    run: str = ""
    written: int = field(default=0, init=False)
    changes: int = field(default=0, init=False)
    at_work: bool = field(default=False, init=False)

    async def begin(self, about: Mapping[str, Any]) -> str:
        """Begin a run, and return its name."""
        now = dt.datetime.now(dt.UTC)
        self.run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        await self._write([raw_document(bson.encode(self._head(now, dict(about)), codec_options=OPTIONS))])
        self.at_work = True
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
    async def hold(self, session: Any = None, seconds: float = LEASE) -> None:
        """Ask whether the run may make its next change, or was undone.

        Args:
            session: The session of the transaction that makes the change; None for none.
            seconds: How long the change may be under way where there is none; 0 where none is to come yet.

        Raises:
            Stopped: It may not.
        """

    async def rest(self, *, answered: bool = True) -> None:  # noqa: ARG002 - for the one that writes it down
        """Note that the run makes no change any more.

        Args:
            answered: Whether every command was answered: one that was not may still make its change.
        """
        self.at_work = False

    @abstractmethod
    async def stop(self, run: str) -> None:
        """Forbid a run any further change; when it returns, none begins any more.

        Raises:
            RepairError: It is at work, and cannot be stopped.
        """

    @abstractmethod
    async def under_way(self, run: str) -> float:
        """Return the seconds for which a change that a run began before it was stopped may still be under way."""

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


def read_run(record: Mapping[str, Any]) -> Run:
    """Return a run as it is written down."""
    return Run(
        record["_id"]["run"],
        record.get("at") or dt.datetime(1, 1, 1),  # noqa: DTZ001 - as PyMongo reads dates
        bool(record.get("ended")),
        bool(record.get("undone")),
        int(record.get("changes") or 0),
        str(record.get("database") or ""),
    )


def read_entry(record: Any) -> Entry:
    """Return a change as it is written down."""
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
