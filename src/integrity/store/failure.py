"""What an error of the driver means, in one sentence without a credential and without a stack of its own."""

from __future__ import annotations

import re

from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

# https://www.mongodb.com/docs/manual/reference/error-codes/
_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_LONGEST = 200


def hosts(uri: str) -> str:
    """Return the hosts of a URI as they are written, without user, password and options."""
    rest = uri.split("://", 1)[-1].rsplit("@", 1)[-1]
    return re.split(r"[/?#]", rest, maxsplit=1)[0] or "(no host)"


def sentence(error: PyMongoError, where: str, role: str = "read") -> str:
    """Return what went wrong.

    Args:
        error: What the driver raised.
        where: The server, as a reader knows it: the URI's hosts, or "The server".
        role: The role that what was asked for needs.
    """
    inside = "the server" if where == "The server" else where
    if isinstance(error, ServerSelectionTimeoutError):
        return f"No MongoDB server answered at {inside}: {_reason(error)}."
    if isinstance(error, NetworkTimeout):
        return f"{where} stopped answering (a network timeout)."
    if isinstance(error, AutoReconnect):
        return f"The connection to {inside} was lost: {_reason(error)}."
    if isinstance(error, OperationFailure) and error.code == _AUTHENTICATION_FAILED:
        return f"{where} refused the login; check the user, the password and authSource in the URI."
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return f"{where} refused: {_reason(error)}; the user needs the role `{role}`."
    if isinstance(error, ConfigurationError):
        return f"{where} cannot be reached as the URI says: {_reason(error)}."
    return f"{where}: {_reason(error)}."


def reason(error: PyMongoError) -> str:
    """Return what the driver says, as a clause for the end of a sentence, with its full stop."""
    return f"{_reason(error)}."


def _reason(error: PyMongoError) -> str:
    text = str(error)
    if not isinstance(error, AutoReconnect):
        # The server's "not authorized on shop to execute command { ... }" goes on with the whole command.
        return _first(text, " to execute command") or type(error).__name__
    if "Connection refused" in text:
        return "the connection was refused"
    if "Name or service not known" in text or "nodename nor servname" in text or "getaddrinfo" in text:
        return "there is no host of that name"
    if "SSL" in text or "TLS" in text or "certificate" in text:
        return f"the TLS handshake failed ({_first(text)})"
    if "timed out" in text:
        return "it timed out"
    if "connection closed" in text or "reset by peer" in text:
        return "the connection was closed"
    return _first(text)


def _first(text: str, end: str = "") -> str:
    """The beginning of a driver's message: up to its figures and topology."""
    for mark in filter(None, (end, " (configured timeouts", ", full error", ", Timeout:", ", Topology Description")):
        text = text.split(mark, 1)[0]
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
