"""Opening a database by its URI: within seconds it answers, or one sentence says why it does not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidName, PyMongoError
from pymongo.uri_parser import parse_uri

from integrity.errors import IntegrityError
from integrity.store.blocking import BlockingStore
from integrity.store.failure import hosts, sentence

#: How long a server may be unreachable before it counts as absent; a URI with a value of its own decides itself.
SELECTION_MS = 5000

_NOT_A_URI = (
    "The URI is not a valid MongoDB connection string (mongodb://HOST:PORT/DATABASE); "
    "in a user name or password the characters : / ? # [ ] @ % must be percent-encoded."
)


def database_in(uri: str) -> str | None:
    """Return the name of the database in a URI; None where there is none, or the URI is not valid."""
    try:
        found = parse_uri(uri)["database"]
    except (PyMongoError, ValueError, OSError):
        return None  # whoever opens it says what is wrong with it
    return None if found is None else str(found)


@contextmanager
def opened(uri: str, database: str | None = None) -> Iterator[BlockingStore]:
    """Open a database for the time of a ``with`` block.

    Args:
        uri: MongoDB's connection string.
        database: The database's name; None for the one that the URI names.

    Raises:
        IntegrityError: The URI is not valid, no database is named, or no server answers. The sentence holds the
            hosts of the URI, and nothing else of it: a user's typing error may have put a password anywhere.
    """
    where = hosts(uri)
    options: dict[str, Any] = {"appname": "integrity", "connect": False}
    if not re.search(r"serverselectiontimeoutms=\d", uri, re.IGNORECASE):
        options["serverSelectionTimeoutMS"] = SELECTION_MS
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            client = MongoClient[dict[str, Any]](uri, **options)
        except (PyMongoError, ValueError, TypeError) as error:
            if "DNS" in str(error):  # mongodb+srv:// is looked up while it is parsed
                raise IntegrityError(f"DNS knows no MongoDB server of the name {where}.") from error
            raise IntegrityError(_NOT_A_URI) from error
        except OSError as error:
            raise IntegrityError(f"The URI names the file {error.filename}: {error.strerror}.") from error
    with client:
        # The driver drops an option whose value it does not take: `tls=ture` would send a password in the clear.
        if any("Unknown option" not in str(each.message) for each in warned):
            raise IntegrityError(
                "The URI has an option with a value that the driver does not take, and would do without; correct it."
            )
        try:
            handle = client.get_default_database() if database is None else client[database]
        except InvalidName as error:
            raise IntegrityError(f"{database!r} is no name for a database.") from error
        except ConfigurationError as error:
            raise IntegrityError("No database is named; add one to the URI (mongodb://HOST/DATABASE).") from error
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            raise IntegrityError(sentence(error, where)) from error
        yield BlockingStore(handle)
