"""Makes a replica set of running mongods, and waits until it serves.

Nothing here starts a process. Every connection is direct, to one member, and short-lived.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from integrity.embedded.errors import MongodFailed
from integrity.embedded.process import Member

NAME = "integrity"
ROOT = "root"

# Well below the server's defaults (10 s, 2 s), so that a test sees an election within seconds, and
# above what two busy cores delay a heartbeat by.
SETTINGS = {
    "electionTimeoutMillis": 2000,
    "heartbeatIntervalMillis": 500,
    "heartbeatTimeoutSecs": 5,
    "catchUpTimeoutMillis": 5000,
}

PAUSE = 0.02

# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
NOT_YET_INITIALIZED = 94
USER_EXISTS = 51003

Credentials = tuple[str, str]
Document = dict[str, Any]
T = TypeVar("T")


def configure(members: Sequence[Member], credentials: Credentials | None, until: float) -> None:
    """Gives the members the configuration that names them.

    Args:
        members: All of the set; the first one's files decide what is there already.
        credentials: Of the root user, for files that have one.
        until: On the clock of `time.monotonic`.

    Raises:
        MongodFailed: The first member did not take it in time.
    """
    login = _log_in(members[0], credentials)
    with connect(members[0], login) as client:

        def configured() -> bool | None:
            current = _current(client)
            new = wanted(members, current)
            if new is not None and current is None:
                # Fails while the configuration in the files is being read; then the next turn
                # finds it.
                client.admin.command("replSetInitiate", new)
            elif new is not None:
                # Forced: no member is in service, as none finds itself in the configuration.
                client.admin.command("replSetReconfig", new, force=True)
            return True

        _until(until, "take its configuration", configured)


def await_members(members: Sequence[Member], until: float, *, all_of_them: bool = True) -> Member:
    """Waits until one member is primary; returns it.

    `hello` is answered without a login (https://www.mongodb.com/docs/manual/reference/command/hello/).

    Args:
        members: Those that run.
        until: On the clock of `time.monotonic`.
        all_of_them: Whether to wait also until the others are secondaries.
    """
    with contextlib.ExitStack() as stack:
        clients = [(member, stack.enter_context(connect(member))) for member in members]

        def settled() -> Member | None:
            answers = [(member, client.admin.command("hello")) for member, client in clients]
            primaries = [member for member, answer in answers if answer["isWritablePrimary"]]
            others = [answer for _, answer in answers if not answer["isWritablePrimary"]]
            if len(primaries) != 1 or (all_of_them and not all(a["secondary"] for a in others)):
                return None
            return primaries[0]

        return _until(until, "elect a primary", settled)


def create_root(primary: Member, password: str, *, write_to: int = 1) -> None:
    """Creates the root user, if the files have none yet.

    It uses the localhost exception, which ends with the first user
    (https://www.mongodb.com/docs/manual/core/localhost-exception/).
    """
    with connect(primary) as client:
        try:
            client.admin.command(
                "createUser",
                ROOT,
                pwd=password,
                roles=["root"],
                writeConcern={"w": write_to},
            )
        except OperationFailure as error:
            if error.code not in {UNAUTHORIZED, USER_EXISTS}:
                raise


def shorten_shutdown(members: Sequence[Member], credentials: Credentials | None) -> None:
    """Lets a stopped primary go at once, where it would give its clients 15 s to notice.

    Set at run time, as a server before 5.0 would refuse to start with a parameter it does not know.
    """
    for member in members:
        with (
            connect(member, credentials) as client,
            contextlib.suppress(OperationFailure),
        ):
            client.admin.command("setParameter", 1, shutdownTimeoutMillisForSignaledShutdown=100)


@contextlib.contextmanager
def connect(member: Member, credentials: Credentials | None = None) -> Iterator[MongoClient[Document]]:
    """A client of this one member, whatever its state."""
    username, password = credentials or (None, None)
    client: MongoClient[Document] = MongoClient(
        member.address,
        directConnection=True,
        username=username,
        password=password,
        serverSelectionTimeoutMS=5000,
        retryWrites=False,
    )
    try:
        yield client
    finally:
        client.close()


def wanted(members: Sequence[Member], current: Document | None) -> Document | None:
    """The configuration to send, or None when the current one will do.

    Ports are chosen anew at every start, so the configuration in files from an earlier start names
    addresses where nobody listens.
    """
    named = [{"_id": member.index, "host": member.address} for member in members]
    if current is None:
        return {"_id": NAME, "members": named, "settings": SETTINGS}
    if [{"_id": m["_id"], "host": m["host"]} for m in current["members"]] == named:
        return None
    settings = {**current.get("settings", {}), **SETTINGS}
    return {
        **current,
        "members": named,
        "settings": settings,
        "version": current["version"] + 1,
    }


def _log_in(member: Member, credentials: Credentials | None) -> Credentials | None:
    """The credentials, if the member's files know them; the first start has none to know."""
    try:
        with connect(member, credentials) as client:
            client.admin.command("ping")
    except OperationFailure as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
        return None
    return credentials


def _current(client: MongoClient[Document]) -> Document | None:
    try:
        config: Document = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        # Without a user yet, nobody may ask; and there is no configuration either.
        if error.code not in {NOT_YET_INITIALIZED, UNAUTHORIZED}:
            raise
        return None
    return config


def _until(until: float, what: str, reached: Callable[[], T | None]) -> T:
    """Asks again and again. A member between two states drops connections or refuses commands."""
    last: PyMongoError | None = None
    while time.monotonic() < until:
        try:
            if (answer := reached()) is not None:
                return answer
        except (AutoReconnect, OperationFailure) as error:
            last = error
        time.sleep(PAUSE)
    reason = f": {last}" if last else ""
    raise MongodFailed(f"The embedded replica set did not {what} in time{reason}.") from last
