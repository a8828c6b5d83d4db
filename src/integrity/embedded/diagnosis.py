"""Why a mongod ended: its exit status and last words, turned into one sentence."""

import json
import re
import signal
from pathlib import Path

# The shared libraries that the wheel's mongod needs beyond a minimal system, by Debian's names.
PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}

LAST_LINES = 8

_MISSING = re.compile(r"error while loading shared libraries: (?P<library>[^:\s]+)")
_OLD_SYSTEM = re.compile(r"version [`'](?P<version>(GLIBC|GLIBCXX|OPENSSL)_[\w.]+)' not found")


def port_was_taken(log: str) -> bool:
    """Whether mongod ended because another process took the port first."""
    return "Address already in use" in log


def folder_is_in_use(log: str) -> bool:
    """Whether mongod ended because another one (that may be on its way out) has the files."""
    return "DBPathInUse" in log


def explain(mongod: Path, folder: Path, status: int, log: str, *, kept: bool) -> str:
    """One sentence on why it ended and what to do, then its last lines.

    Args:
        mongod: The program.
        folder: Of the member; its `mongod.out` holds what was printed before the log was open.
        status: The exit status, negative for a signal.
        log: What was logged since the start.
        kept: Whether the folder outlives the failure, so that its log can be read.

    Returns:
        The text for `MongodFailed`.
    """
    output = folder / "mongod.out"
    printed = output.read_text(errors="replace") if output.exists() else ""
    if missing := _MISSING.search(printed):
        library = missing["library"]
        return f"{mongod} needs the library {library}; {_advice(library)}."
    if old := _OLD_SYSTEM.search(printed):
        return (
            f"{mongod} needs a newer system library ({old['version']}): the packaged mongod runs "
            "on Debian 12, Ubuntu 22.04 and newer."
        )
    if status == -signal.SIGILL:
        return f"{mongod} met an instruction that this processor does not have: MongoDB 5.0 and newer need AVX."
    lines = _complaints(log) or (log or printed).splitlines()
    ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    last = "".join(f"\n  {line}" for line in lines[-LAST_LINES:])
    where = f"; its log is {folder / 'mongod.log'}" if kept else ""
    said = f" The last lines:{last}" if last else " It said nothing."
    return f"{mongod} {ended}{where}.{said}"


def _complaints(log: str) -> list[str]:
    """The errors among the log's lines, in words: after one, mongod logs at length how it ends.

    The format: https://www.mongodb.com/docs/manual/reference/log-messages/
    """
    found = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
            severe, message, details = entry["s"] in "EF", entry["msg"], entry.get("attr", {})
        except (ValueError, KeyError, TypeError):
            continue  # a stack trace, or a line cut short
        if severe:
            found.append(f"{message}: {json.dumps(details)}" if details else message)
    return found


def _advice(library: str) -> str:
    if package := PACKAGES.get(library):
        return f"on Debian and Ubuntu: apt-get install {package}"
    return "install the package of your system that has it"
