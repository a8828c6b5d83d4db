"""Which server a command talks to: ``--uri``, the environment variable MONGODB_URI, or ``--embedded``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from integrity.cli.failure import Failure

if TYPE_CHECKING:
    from integrity.store.blocking import BlockingStore

F = TypeVar("F", bound=Callable[..., Any])

#: ``--embedded`` without a folder.
TEMPORARY = ""
#: The name that MongoDB itself gives to a database without one.
DEFAULT = "test"


def options(command: F) -> F:
    """Add the options that name a server and a database."""
    for option in (
        click.option("--database", "-d", metavar="NAME", help="The database; by default the one that the URI names."),
        click.option(
            "--embedded",
            metavar="[FOLDER]",
            is_flag=False,
            flag_value=TEMPORARY,
            help="Run a server of one's own on the data in FOLDER (or on nothing).",
        ),
        click.option(
            "--uri",
            envvar="MONGODB_URI",
            metavar="URI",
            help="MongoDB's connection string; by default the environment variable MONGODB_URI, where a password "
            "does not stand in the list of processes.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def opened(uri: str | None, embedded: str | None, database: str | None) -> Iterator[BlockingStore]:
    """Open the database that a command was asked for, as its primary has it, for the time of a ``with`` block.

    Raises:
        Failure: There is no such server, or it does not answer.
    """
    with opened_at(uri, embedded, database) as (store, _):
        yield store.current()


@contextmanager
def opened_at(uri: str | None, embedded: str | None, database: str | None) -> Iterator[tuple[BlockingStore, str]]:
    """Open the database that a command was asked for, to be read as the URI says; and say by which URI others open it.

    Raises:
        Failure: There is no such server, or it does not answer.
    """
    from integrity.errors import IntegrityError
    from integrity.store import opening

    with ExitStack() as stack:
        if embedded is not None:
            if uri and click.get_current_context().get_parameter_source("uri") is ParameterSource.COMMANDLINE:
                raise click.UsageError("--uri and --embedded name two servers; give one of them.")
            uri = stack.enter_context(_embedded(embedded))
            database = database or DEFAULT
        if not uri:
            raise Failure("No server is named; add --uri URI, set MONGODB_URI, or add --embedded [FOLDER].")
        try:
            store = stack.enter_context(opening.opened(uri, database))
        except IntegrityError as error:
            raise Failure(f"{error}{_way_out(str(error))}") from error
        yield store, uri


def database_of(uri: str | None, embedded: str | None, database: str | None) -> str:
    """Return the name of the database that a command was asked for, without asking a server.

    Raises:
        Failure: None is named.
    """
    from integrity.store.opening import database_in

    if database or embedded is not None:
        return database or DEFAULT
    found = database_in(uri) if uri else None
    if found is None:
        raise Failure("No database is named; add --database NAME.")
    return found


def _way_out(message: str) -> str:
    return " Or add --database NAME." if message.startswith("No database") else ""


@contextmanager
def _embedded(folder: str) -> Iterator[str]:
    from integrity.embedded import Mongod, MongodFailed, MongodNotFound

    server = Mongod(folder or None)
    try:
        server.start()
    except (MongodNotFound, MongodFailed, OSError) as error:
        raise Failure(str(error)) from error
    try:
        yield server.uri
    finally:
        server.stop()
