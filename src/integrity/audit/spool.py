"""A list of violations that is kept on disk once it is long."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import bson
from bson.codec_options import CodecOptions

from integrity.store.codecs import CODEC
from integrity.store.forgiving import decoded
from integrity.violation import Violation

_IN_MEMORY = 1 << 20  # bytes; about 3,000 violations
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)


def packed(violation: Violation) -> bytes:
    """Return a violation as bytes, with its ``_id``'s own BSON type."""
    record = {name: getattr(violation, name) for name in Violation.__dataclass_fields__}
    try:
        return bson.encode(record, codec_options=_CODEC)
    except UnicodeEncodeError:  # a name or a value that is no valid UTF-8: nobody could print it either
        return bson.encode({name: escaped(value) for name, value in record.items()}, codec_options=_CODEC)


def escaped(value: Any) -> Any:
    """Return a value with what is no valid UTF-8 in its strings written as an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return list(map(escaped, value))
    if isinstance(value, dict):
        return {escaped(name): escaped(each) for name, each in value.items()}
    return value


def unpacked(data: bytes) -> Iterator[Violation]:
    """Yield the violations that were packed one after the other."""
    start = 0
    while start < len(data):
        end = start + int.from_bytes(data[start : start + 4], "little")
        yield _one(data[start:end])
        start = end


def _one(data: bytes) -> Violation:
    record = decoded(data)
    return Violation(**{**record, "values": tuple(record["values"])})


class Spool:
    """Violations in the order in which they were found; can be read again and again.

    Beyond a megabyte they stand in a temporary file without a name, which nobody else can open.
    """

    def __init__(self) -> None:
        # Closed by `close`: it lives as long as the result that it belongs to.
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._count = 0
        self._end = 0

    def add(self, violation: Violation) -> None:
        """Append a violation."""
        data = packed(violation)
        self._file.seek(self._end)
        self._file.write(data)
        self._end += len(data)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Violation]:
        position = 0
        while position < self._end:
            self._file.seek(position)
            chunk = self._file.read(min(_IN_MEMORY, self._end - position))
            size = int.from_bytes(chunk[:4], "little")
            if size > len(chunk):
                self._file.seek(position)
                chunk = self._file.read(size)
            start = 0
            while start + 4 <= len(chunk) and start + (
                size := int.from_bytes(chunk[start : start + 4], "little")
            ) <= len(chunk):
                yield _one(chunk[start : start + size])
                start += size
            position += start

    def close(self) -> None:
        """Forget the violations and remove the file."""
        self._file.close()
