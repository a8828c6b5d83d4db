"""Where a report goes: stdout, or a file that appears when the report is whole."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO, cast

from integrity.cli.failure import Failure


@contextmanager
def writing(name: str | None, *, private: bool = False) -> Iterator[TextIO]:
    """Yield what a report is written to.

    A file is written beside its place and moved there at the end, so that a run that fails leaves neither half
    a report nor an old one damaged. What fails in the block beside the writing is raised as it is.

    Args:
        name: The file's name; None or ``"-"`` for stdout.
        private: Nobody but the owner may read the file: what it holds is what the database holds.

    Raises:
        Failure: The file cannot be written, or nobody reads stdout any more.
    """
    if name is None or name == "-":
        out = _Told(sys.stdout, BrokenPipeError, lambda _: "the reader of the report went away before its end.")
        yield cast("TextIO", out)
        out.flush()  # here, and not when Python ends, where the error would be nobody's
        return
    path = Path(name)
    with ExitStack() as stack:
        with _telling(OSError, tell := partial(_unwritten, name)):
            draft: Path | None = None
            place = Path(os.path.realpath(path))  # of a link, what it leads to; resolve() may raise what is no OSError
            if path.exists() and not path.is_file():  # a device or a pipe: nothing to be moved over it
                file = stack.enter_context(_closed(path.open("w", encoding="utf-8", errors="backslashreplace")))
            else:
                draft, file = stack.enter_context(_beside(place, private=private))
        yield cast("TextIO", _Told(file, OSError, tell))
        with _telling(OSError, tell):
            file.close()
            if draft is not None:
                draft.replace(place)


def _unwritten(name: str, error: OSError) -> str:
    return f"{name} cannot be written: {error.strerror or error}."


@contextmanager
def _telling(kind: type[OSError], tell: Callable[[OSError], str]) -> Iterator[None]:
    try:
        yield
    except kind as error:
        raise Failure(tell(error)) from error


class _Told(io.TextIOBase):
    """Text that is written to another file, and the failure where that fails: of nothing else that happens meanwhile.

    Args:
        out: The file.
        kind: What is raised where it fails.
        tell: Makes the sentence of it.
    """

    def __init__(self, out: TextIO, kind: type[OSError], tell: Callable[[OSError], str]) -> None:
        self._out = out
        self._kind = kind
        self._tell = tell

    def write(self, text: str) -> int:
        try:
            return self._out.write(text)
        except self._kind as error:
            raise Failure(self._tell(error)) from error

    def flush(self) -> None:
        with _telling(self._kind, self._tell):
            self._out.flush()

    def close(self) -> None:
        """Leave the file open, and stdout above all: who has opened it closes it."""


@contextmanager
def _closed(out: TextIO) -> Iterator[TextIO]:
    """Close a file at the end; what its buffer holds then is of a report that failed, or there is none."""
    try:
        yield out
    finally:
        with contextlib.suppress(OSError):
            out.close()


@contextmanager
def _beside(path: Path, *, private: bool) -> Iterator[tuple[Path, TextIO]]:
    # Named before it is there: a signal may come between.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with _closed(os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")) as out:
            if not private:
                draft.chmod(0o666 & ~_umask())
            yield draft, out
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
