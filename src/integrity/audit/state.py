"""The state of an audit in a file: what is done, so that it goes on where it was killed.

An SQLite file, readable by its owner only. A task's findings are recorded in the same transaction that marks it as
done, so that a kill at any moment leaves every task either done or not begun.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import bson
from bson import json_util
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from integrity.audit.partition import Partition
from integrity.audit.spool import packed, unpacked
from integrity.audit.task import Task
from integrity.errors import AuditError
from integrity.store.codecs import CODEC
from integrity.store.forgiving import decoded
from integrity.violation import Violation

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)
P = ParamSpec("P")
T = TypeVar("T")

_FORMAT = "1"
_FOREIGN = "it is no state file"
#: What the names of a collection's entries begin with.
_COLLECTION = "collection "
_DAMAGED = "it is damaged; delete it, or name another file"
#: What is raised where something in it is not as it was written.
_BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, BSONError)
_WHY = {
    sqlite3.SQLITE_BUSY: "another audit is using it",
    sqlite3.SQLITE_LOCKED: "another audit is using it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk is full, or has errors",
    sqlite3.SQLITE_READONLY: "it may not be written to",
    sqlite3.SQLITE_CANTOPEN: "nothing may be written into its folder",
}
_TABLES = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists part (collection text, number integer, bounds blob, primary key (collection, number));
create table if not exists task (name text primary key, read integer not null, found blob not null);
create table if not exists run (ended real primary key, seconds real, complete integer, counts text not null);
"""


@dataclass(frozen=True)
class Run:
    """An audit that has ended.

    Args:
        ended: When, in seconds since 1970.
        seconds: How long it took.
        complete: Whether it saw everything.
        counts: The violations by ``"collection code"``.
    """

    ended: float
    seconds: float
    complete: bool
    counts: dict[str, int]


@dataclass(frozen=True)
class Mark:
    """Where a database stood when an audit began, and what that audit looked at.

    Args:
        database: Its name.
        time: When, in seconds since 1970 by this machine's clock.
        token: Its change stream's resume token, where the server has one.
        judged: By which declarations each collection was judged (`identity.judged`).
        codes: The codes of the rules that were judged.
        stood: What tells each collection, and each that it refers to, from one that takes its place.
    """

    database: str
    time: float
    token: dict[str, Any] | None = None
    judged: Mapping[str, str] = field(default_factory=dict)
    codes: Sequence[str] = ()
    stood: Mapping[str, str] = field(default_factory=dict)

    def covers(self, judged: Mapping[str, str], codes: Iterable[str]) -> bool:
        """Whether its audit judged all of these collections, by these declarations and all of these rules."""
        return judged.items() <= self.judged.items() and set(codes) <= set(self.codes)

    def replaces(self, other: Mark) -> bool:
        """Whether nothing is asked of another any more: its collections were judged again, by all of its rules."""
        same = other.database == self.database and other.judged.keys() <= self.judged.keys()
        return same and set(other.codes) <= set(self.codes)


def _mark(kept: dict[str, Any]) -> Mark:
    kept.pop("collections", None)  # of an earlier version, which says of no collection how it was judged
    return Mark(**kept)


def _told(method: Callable[Concatenate[State, P], T]) -> Callable[Concatenate[State, P], T]:
    """Make what SQLite complains of a sentence about the file."""

    @wraps(method)
    def telling(self: State, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return method(self, *args, **options)
        except sqlite3.Error as error:
            # The lowest byte: https://www.sqlite.org/rescode.html
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB) & 0xFF
            raise AuditError(f"The state file {self.path} cannot be used: {_WHY.get(code, _FOREIGN)}.") from error
        except _BROKEN as error:
            raise AuditError(f"The state file {self.path} cannot be used: {_DAMAGED}.") from error

    return telling


class State:
    """An open state file.

    Args:
        path: The file; made where there is none.
        deferred: Whether that an audit has ended is kept by `told` only, when what it found has been told: until then
            the file holds an audit that goes on.

    Raises:
        AuditError: It cannot be opened, is no state file, or another audit is using it.
    """

    def __init__(self, path: Path, *, deferred: bool = False) -> None:
        self.path = path
        self._deferred = deferred
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._file = sqlite3.connect(path, timeout=1.0)
        except (OSError, sqlite3.Error) as error:
            raise AuditError(f"The state file {path} cannot be opened: {getattr(error, 'strerror', error)}.") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @_told
    def _open(self) -> None:
        # Two audits on one file would each count the other's tasks as their own.
        self._file.execute("pragma locking_mode = exclusive")
        names = {name for (name,) in self._file.execute("select name from sqlite_master where type = 'table'")}
        if names - {"meta", "part", "task", "run"}:
            raise sqlite3.DatabaseError("another program's")
        self._file.executescript(_TABLES)
        self._file.commit()
        if (found := self._meta("format")) not in {None, _FORMAT}:
            raise AuditError(
                f"The state file {self.path} is of another version of this library ({found}, and not {_FORMAT}); name "
                "another file."
            )

    @_told
    def begin(self, identity: str, mark: Mark | None = None) -> bool:
        """Begin an audit, or go on with one that was not ended.

        Args:
            identity: What the audit is of: `identity` of its arguments.
            mark: Where the database stands now, of an audit of every document: kept where it begins.

        Returns:
            Whether an earlier audit is gone on with.

        Raises:
            AuditError: The file holds an audit of something else that was not ended.
        """
        found = self._meta("identity")
        if found is not None and found != identity:
            raise AuditError(
                f"The state file {self.path} holds an unfinished audit of other models, another database or with other "
                "options; finish that one, or name another file."
            )
        with self._file:
            if found is None and mark is not None:
                self._keep("begun", json_util.dumps(asdict(mark)))
            self._keep("identity", identity)
            self._keep("format", _FORMAT)
        return found is not None

    @_told
    def begun(self) -> Mark | None:
        """Return where the database stood when the audit of every document began that is under way, or None."""
        found = self._meta("begun")
        return None if found is None else _mark(json_util.loads(found))

    @_told
    def last(self, database: str, judged: Mapping[str, str], codes: Iterable[str]) -> Mark | None:
        """Return where a database stood when the last audit began that saw all that is asked for, or None.

        Args:
            database: Its name.
            judged: By which declarations each collection is judged now.
            codes: The codes of the rules that are judged now.
        """
        wanted = tuple(codes)
        found = [each for each in self._marks() if each.database == database and each.covers(judged, wanted)]
        return max(found, key=lambda each: each.time, default=None)

    @_told
    def move(self, mark: Mark) -> None:
        """Remember that what was changed before a mark has been audited, as far as that audit looked."""
        with self._ending():
            self._move(mark)

    def _move(self, mark: Mark) -> None:
        left = [each for each in self._marks() if not mark.replaces(each)]
        self._keep("marks", json_util.dumps([asdict(each) for each in (*left, mark)]))

    def _marks(self) -> list[Mark]:
        return [_mark(each) for each in json_util.loads(self._meta("marks") or "[]")]

    @_told
    def settle(self, collection: str, identity: str) -> None:
        """Forget what was done of a collection where that was another one of this name.

        Args:
            collection: Its name.
            identity: What tells it from one that takes its place.
        """
        name = f"{_COLLECTION}{collection}"
        if (found := self._meta(name)) == identity:
            return
        with self._file:
            if found is not None:
                self._file.execute("delete from part where collection = ?", (collection,))
                prefix = f"{collection}/"
                self._file.execute("delete from task where substr(name, 1, ?) = ?", (len(prefix), prefix))
            self._keep(name, identity)

    @_told
    def partitions(self, collection: str) -> list[Partition] | None:
        """Return the partitions that a collection was divided into, or None."""
        rows = self._file.execute("select bounds from part where collection = ? order by number", (collection,))
        found = [decoded(bounds) for (bounds,) in rows]
        parts = [Partition(tuple(each["l"]), tuple(each["u"]), each["s"]) for each in found]
        # Each begins where the one before it ends: of a gap nothing would be known.
        begins, ends = [each.lower for each in parts], [each.upper for each in parts]
        if parts and list(map(repr, [*begins, ()])) != list(map(repr, [(), *ends])):
            raise ValueError
        return parts or None

    @_told
    def divide(self, collection: str, partitions: Iterable[Partition]) -> None:
        """Keep the partitions that a collection is divided into."""
        rows = [
            (
                collection,
                number,
                bson.encode({"l": list(each.lower), "u": list(each.upper), "s": each.share}, codec_options=_CODEC),
            )
            for number, each in enumerate(partitions)
        ]
        with self._file:
            self._file.executemany("insert into part values (?, ?, ?)", rows)

    @_told
    def done(self, task: Task) -> tuple[list[Violation], int] | None:
        """Return what a task found and how much it read, or None when it is not done."""
        row = self._file.execute("select found, read from task where name = ?", (task.name,)).fetchone()
        return None if row is None else (list(unpacked(row[0])), int(row[1]))

    @_told
    def record(self, task: Task, found: Iterable[Violation], read: int) -> None:
        """Mark a task as done, with what it found: all that it consists of, or nothing."""
        first, *others = task.names
        rows = [(first, read, b"".join(map(packed, found))), *((each, 0, b"") for each in others)]
        with self._file:
            self._file.executemany("insert or replace into task values (?, ?, ?)", rows)

    @_told
    def end(self, seconds: float, counts: dict[str, int]) -> None:
        """Forget the tasks of an audit that is complete, and remember that it was."""
        with self._ending():
            self._file.execute("insert into run values (?, ?, 1, ?)", (time.time(), seconds, json.dumps(counts)))
            if (begun := self.begun()) is not None:
                self._move(begun)
            self._forget()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._file.rollback()
            raise
        if not self._deferred:
            self._file.commit()

    @_told
    def told(self) -> None:
        """Keep that an audit has ended: what it found has been told."""
        self._file.commit()

    @_told
    def abandon(self) -> None:
        """Forget the tasks of an audit that was of less than everything: it is no measure for later ones."""
        with self._file:
            self._forget()

    def _forget(self) -> None:
        for table in ("task", "part"):
            self._file.execute(f"delete from {table}")  # noqa: S608 - two names of this file
        self._file.execute("delete from meta where name in ('identity', 'begun') or name glob ?", (f"{_COLLECTION}*",))

    def _keep(self, name: str, value: str) -> None:
        self._file.execute("insert or replace into meta values (?, ?)", (name, value))

    @_told
    def runs(self) -> list[Run]:
        """Return the audits that were completed, the oldest first."""
        rows = self._file.execute("select ended, seconds, complete, counts from run order by ended")
        return [Run(ended, seconds, bool(complete), json.loads(counts)) for ended, seconds, complete, counts in rows]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(sqlite3.Error):
            self.close()

    def _meta(self, name: str) -> str | None:
        row = self._file.execute("select value from meta where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])
