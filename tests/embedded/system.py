"""A look at the processes and ports of this machine."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp, https://docs.kernel.org/networking/proc_net_tcp.html


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet reaped does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def eventually(reached: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it came true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if reached():
            return True
        time.sleep(0.05)
    return reached()


def listening_addresses(port: int) -> set[str]:
    """The addresses at which the port is open, as /proc has them: hexadecimal, little-endian."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.partition(":")
            if state == LISTEN and int(number, 16) == port:
                found.add(address)
    return found
