"""Where a report goes: stdout, or a file that appears when the report is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from integrity.cli.failure import Failure


@contextmanager
def writing(name: str | None, *, private: bool = False) -> Iterator[TextIO]:
    """Yield what a report is written to.

    A file is written beside its place and moved there at the end, so that a run that fails leaves neither half
    a report nor an old one damaged.

    Args:
        name: The file's name; None or ``"-"`` for stdout.
        private: Nobody but the owner may read the file: what it holds is what the database holds.

    Raises:
        Failure: The file cannot be written.
    """
    if name is None or name == "-":
        try:
            yield sys.stdout
            sys.stdout.flush()  # here, and not when Python ends, where the error would be nobody's
        except BrokenPipeError as error:
            raise Failure("the reader of the report went away before its end.") from error
        return
    path = Path(name)
    try:
        if path.exists() and not path.is_file():  # a device or a pipe: nothing to be moved over it
            with path.open("w", encoding="utf-8", errors="backslashreplace") as device:
                yield device
            return
        place = Path(os.path.realpath(path))  # of a link, what it leads to; resolve() may raise what is no OSError
        with _beside(place, private=private) as (draft, out):
            yield out
            out.close()
            draft.replace(place)
    except OSError as error:
        raise Failure(f"{name} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _beside(path: Path, *, private: bool) -> Iterator[tuple[Path, TextIO]]:
    # Named before it is there: a signal may come between.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as out:
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
