"""`Mongod`: a server of one's own, for the time of a `with` block."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from integrity.embedded import diagnosis, replica
from integrity.embedded.errors import MongodFailed
from integrity.embedded.finding import find_mongod, runnable
from integrity.embedded.folder import Folder
from integrity.embedded.ports import HOST, free_ports
from integrity.embedded.process import Member, Processes

# Logged by mongod when its port is open: https://www.mongodb.com/docs/manual/reference/log-messages/
LISTENING = '"id":23016'

# Small: this server shares a laptop or a CI machine with the tests.
FOOTPRINT = (
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
)
OPLOG_MEGABYTES = 64

PAUSE = 0.02
PORT_TRIES = 5
FOLDER_PATIENCE = 10.0


class _PortTakenError(Exception):
    """Another process took the port between our look and mongod's."""


class _FolderInUseError(Exception):
    """Another mongod has the files."""

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation


class Mongod:
    """A MongoDB server on 127.0.0.1, from the beginning of a `with` block to its end.

    It works with `with` and with `async with`; the latter waits in a thread and never blocks the
    event loop. However the block ends, the server ends with it: by an exception, by Ctrl-C, and
    also when the program is terminated or killed (see `integrity.embedded.guardian`).

    Args:
        path: Where the data is kept; a later start on the same folder finds it. None: a temporary
            folder, removed at the end.
        members: How many members the replica set has. With three there are elections.
        auth: Whether users must log in. `uri` then carries the root user and a random password.
            Without it any user of this machine may connect.
        standalone: No replica set: a server without transactions and change streams.
        args: More arguments for mongod, e.g. `("--setParameter", "enableTestCommands=1")`.
        timeout: Seconds until start-up counts as failed.

    Raises:
        MongodNotFound: On entering: there is no mongod (see `find_mongod` for where it looks).
        MongodFailed: On entering: it ended or was not ready in time.
        ValueError: `members` is not 1 to 7 (the most that can vote,
            https://www.mongodb.com/docs/manual/reference/limits/#replica-sets), or is not 1 for a
            standalone server.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        members: int = 1,
        auth: bool = False,
        standalone: bool = False,
        args: Sequence[str] = (),
        timeout: float = 60.0,
    ) -> None:
        if not 1 <= members <= 7:  # noqa: PLR2004 - said above
            raise ValueError(f"A replica set has 1 to 7 voting members, not {members}.")
        if standalone and members != 1:
            raise ValueError(f"A standalone server has 1 member, not {members}.")
        self._path = None if path is None else Path(path)
        self._count = members
        self._auth = auth
        self._standalone = standalone
        self._args = tuple(args)
        self._timeout = timeout
        self._folder: Folder | None = None
        self._program: Path | None = None
        self._processes: Processes | None = None
        self._members: tuple[Member, ...] = ()
        self._owner = 0

    def __repr__(self) -> str:
        """Addresses and kind; never the password."""
        kind = "standalone" if self._standalone else f"replica set of {self._count}"
        where = self._hosts() or "not running"
        return f"<Mongod {where}, {kind}{', auth' if self._auth else ''}>"

    @property
    def uri(self) -> str:
        """What a client connects with. With `auth=True` it holds the password: do not log it."""
        self._running()
        options = ["directConnection=true"] if self._standalone else [f"replicaSet={replica.NAME}"]
        login = ""
        if credentials := self._credentials():
            login = ":".join(quote(part, safe="") for part in credentials) + "@"
            options.append("authSource=admin")
        return f"mongodb://{login}{self._hosts()}/?{'&'.join(options)}"

    @property
    def members(self) -> tuple[Member, ...]:
        """Each mongod with its port, process id and folder, as of now; empty when not running."""
        return self._members

    def primary(self) -> Member:
        """The member that takes writes; waits for the election if there is none at the moment.

        Raises:
            MongodFailed: None was elected in time.
        """
        processes = self._running()
        alive = [each for each in self._members if processes.status(each.pid) is None]
        if self._standalone:
            return alive[0]
        return replica.await_members(alive, time.monotonic() + self._timeout, all_of_them=False)

    def kill(self, member: Member) -> None:
        """Kills one member (SIGKILL), as a crash would; `restart` brings it back."""
        self._running().kill(self._current(member).pid)

    def restart(self, member: Member) -> Member:
        """Starts a killed member again, on its files and its port, and waits until it serves.

        Returns:
            The member with its new process id.

        Raises:
            MongodFailed: It ended or was not ready in time.
        """
        until = time.monotonic() + self._timeout
        old = self._current(member)
        try:
            new = self._start_member(old.index, old.port, until)
        except (_PortTakenError, _FolderInUseError) as error:
            raise MongodFailed(f"Member {old.index} could not be restarted: {error}.") from error
        self._members = tuple(new if each.index == new.index else each for each in self._members)
        replica.shorten_shutdown([new], self._credentials())
        if not self._standalone:
            processes = self._running()
            alive = [each for each in self._members if processes.status(each.pid) is None]
            if 2 * len(alive) > self._count:  # without a majority there is nothing to wait for
                replica.await_members(alive, until)
        return new

    def start(self) -> Self:
        """What entering the `with` block does."""
        if self._processes is not None:
            raise RuntimeError(f"{self!r} runs already.")
        program = find_mongod()
        self._owner = os.getpid()
        self._folder = Folder.prepare(self._path)
        try:
            self._processes = Processes(remove=self._folder.path if self._folder.temporary else None)
            self._program = runnable(program, self._folder.member(0))
            self._bring_up(time.monotonic() + self._timeout)
        except BaseException:
            self._end(hard=True)
            raise
        return self

    def stop(self) -> None:
        """What leaving the `with` block does. A second call does nothing."""
        self._end(hard=False)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled: it is waited for, and what it made is taken down.
            with contextlib.suppress(Exception):
                await starting
            await asyncio.to_thread(self.stop)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    def _bring_up(self, until: float) -> None:
        self._members = tuple(self._start_anywhere(index, until) for index in range(self._count))
        if self._standalone:
            if self._auth:
                replica.create_root(self._members[0], self._password())
        else:
            replica.configure(self._members, self._credentials(), until)
            primary = replica.await_members(self._members, until)
            if self._auth:
                replica.create_root(primary, self._password(), write_to=self._count)
        replica.shorten_shutdown(self._members, self._credentials())

    def _start_anywhere(self, index: int, until: float) -> Member:
        """Starts a member on a port of the system's choice."""
        patience = time.monotonic() + FOLDER_PATIENCE
        tries = 0
        while True:
            (port,) = free_ports(1)
            try:
                return self._start_member(index, port, until)
            except _PortTakenError as error:
                tries += 1
                if tries == PORT_TRIES:
                    raise MongodFailed(f"Other processes took each of {tries} free ports first; try again.") from error
            except _FolderInUseError as error:
                # The server of a killed program may still be writing its last page.
                if time.monotonic() > patience:
                    raise MongodFailed(error.explanation) from error
                time.sleep(0.2)

    def _start_member(self, index: int, port: int, until: float) -> Member:
        """Starts a mongod and waits until it listens.

        Its log tells, not a connection to the port: another process might answer there.
        """
        assert self._folder is not None
        assert self._program is not None
        processes = self._running()
        folder = self._folder.member(index)
        log = folder / "mongod.log"
        begin = log.stat().st_size if log.exists() else 0
        output = folder / "mongod.out"
        output.unlink(missing_ok=True)
        pid = processes.start([str(self._program), *self._argv(folder, port)], output=output)
        while time.monotonic() < until:
            status = processes.status(pid)  # asked first: what is said last is then in the log
            said = _read_from(log, begin)
            if status is not None:
                if diagnosis.port_was_taken(said):
                    raise _PortTakenError(f"port {port} is taken")
                explanation = diagnosis.explain(self._program, folder, status, said, kept=not self._folder.temporary)
                if diagnosis.folder_is_in_use(said):
                    raise _FolderInUseError(explanation)
                raise MongodFailed(explanation)
            if LISTENING in said:
                return Member(index=index, port=port, pid=pid, folder=folder)
            time.sleep(PAUSE)
        raise MongodFailed(f"{self._program} did not open its port within {self._timeout:g} s.")

    def _argv(self, folder: Path, port: int) -> list[str]:
        assert self._folder is not None
        argv = ["--bind_ip", HOST, "--port", str(port), "--nounixsocket"]
        argv += ["--dbpath", str(folder), "--logpath", str(folder / "mongod.log"), "--logappend"]
        argv += FOOTPRINT
        if not self._standalone:
            argv += ["--replSet", replica.NAME, "--oplogSize", str(OPLOG_MEGABYTES)]
        if self._auth:
            argv += ["--auth"]
            # The key is what the members prove themselves to each other with.
            argv += [] if self._standalone else ["--keyFile", str(self._folder.key_file())]
        return [*argv, *self._args]

    def _end(self, *, hard: bool) -> None:
        if self._owner != os.getpid():
            return  # a forked child leaves the block too; the server is its parent's
        processes, self._processes, self._members = self._processes, None, ()
        if processes is not None:
            processes.close(hard=hard)
        # The guardian has removed it, unless it was killed, or never started.
        if self._folder is not None and self._folder.temporary:
            shutil.rmtree(self._folder.path, ignore_errors=True)
        self._folder = None

    def _running(self) -> Processes:
        if self._processes is None:
            raise RuntimeError(f"{self!r}: use it inside its `with` block.")
        return self._processes

    def _current(self, member: Member) -> Member:
        """The same member with its present process id: the caller's may be an earlier one."""
        return self._members[member.index]

    def _hosts(self) -> str:
        return ",".join(member.address for member in self._members)

    def _password(self) -> str:
        assert self._folder is not None
        return self._folder.password()

    def _credentials(self) -> replica.Credentials | None:
        return (replica.ROOT, self._password()) if self._auth else None


def _read_from(log: Path, begin: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(begin)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
