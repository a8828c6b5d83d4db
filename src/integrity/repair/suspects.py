"""The documents that an audit found something in, each once: kept on disk, for there may be millions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

import bson
from bson.codec_options import CodecOptions

from integrity.audit.spool import packed, unpacked
from integrity.declare.registry import Copy, Entry
from integrity.rules.ownership import stale_copy
from integrity.rules.unique import duplicate_value
from integrity.store.codecs import CODEC
from integrity.store.forgiving import decoded
from integrity.violation import Violation

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)

#: What is to be done with a document as a whole: for what is wrong with it alone, or with it among others.
AWAY, GROUP = 1, 2

#: One document: its ``_id``, and what the audit found in it.
Suspect = tuple[Any, list[Violation]]


class Suspects:
    """Violations by collection and document, in a temporary database that only this process can open."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # SQLite's own temporary file, without a name
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE found (collection TEXT, id BLOB, whole INTEGER, violation BLOB)")

    def fill(self, violations: Iterable[Violation]) -> None:
        """Take violations in."""
        self._database.executemany(
            "INSERT INTO found VALUES (?, ?, ?, ?)",
            (
                (each.collection, _key(each.id), GROUP if each.code == duplicate_value.RULE.code else 0, packed(each))
                for each in violations
            ),
        )
        self._database.execute("CREATE INDEX IF NOT EXISTS by_document ON found (collection, id)")
        self._database.commit()

    def follow(self, entry: Entry, copies: Iterable[Copy], id: Any) -> None:
        """Take in a document whose owner was mended: these copies in it may be stale since, whatever was selected."""
        rule = stale_copy.RULE
        found = [Violation(rule.code, rule.name, entry.collection, id, "", "", "", field=each.path) for each in copies]
        self._database.executemany(
            "INSERT INTO found VALUES (?, ?, ?, ?)",
            [(entry.collection, _key(id), 0, packed(each)) for each in found],
        )

    def goes(self, collection: str, id: Any) -> None:
        """Note that a document is to go as a whole."""
        self._database.execute(
            "UPDATE found SET whole = ? WHERE collection = ? AND id = ?", (AWAY, collection, _key(id))
        )

    def forget(self, collection: str, id: Any) -> None:
        """Forget a document: it is gone."""
        self._database.execute("DELETE FROM found WHERE collection = ? AND id = ?", (collection, _key(id)))

    def of(self, collection: str, size: int, how: int | None = None) -> Iterator[list[Suspect]]:
        """Yield the documents of a collection, some at a time.

        Args:
            collection: The collection.
            size: How many at a time.
            how: Those that are to go (`AWAY`), or that have a value that others have (`GROUP`); None for all.
        """
        last: bytes = b""
        while True:
            ids = self._database.execute(
                "SELECT DISTINCT id FROM found WHERE collection = ? AND id > ? AND (? IS NULL OR whole = ?) "
                "ORDER BY id LIMIT ?",
                (collection, last, how, how, size),
            ).fetchall()
            if not ids:
                return
            yield [(_value(each), self._violations(collection, each)) for (each,) in ids]
            last = ids[-1][0]

    def _violations(self, collection: str, id: bytes) -> list[Violation]:
        rows = self._database.execute("SELECT violation FROM found WHERE collection = ? AND id = ?", (collection, id))
        return [each for (data,) in rows for each in unpacked(data)]

    def close(self) -> None:
        """Forget them."""
        self._database.close()


def _key(id: Any) -> bytes:
    return bson.encode({"": id}, codec_options=_CODEC)


def _value(data: bytes) -> Any:
    return decoded(data)[""]
