"""The errors, one tree.

::

    IntegrityError
    ├── DeclarationError            the declarations contradict each other (also a TypeError)
    ├── InvalidDocument             a write was refused; nothing was stored (also a pymongo WriteError)
    │   ├── DanglingReference       a reference points at nothing
    │   ├── DuplicateValue          a unique value is taken (also a pymongo DuplicateKeyError)
    │   ├── ForeignWrite            the actor does not own what it writes
    │   ├── ImmutableField          a field that is written once would change
    │   ├── RestrictedDelete        documents still refer to what would be deleted
    │   │   └── RestrictedUpdate    documents still refer to the key that would change
    │   └── StaleDocument           the document was changed, or deleted, since it was read
    ├── BeingDeleted                a delete of what is referred to did not end in time (also an OperationFailure)
    ├── InvalidBulkWrite            some requests of a bulk write were refused (also a pymongo BulkWriteError)
    ├── UnguardedWrite              a call that cannot be guarded (also a pymongo InvalidOperation)
    │   ├── TransactionRequired     it can be guarded only in a transaction, which this server has not
    │   └── IndexRequired           it can be guarded only by a unique index, which is not there
    ├── PoolSettingError            a pool's setting cannot be (also a ConfigurationError and a ValueError)
    ├── UndeclaredFilter            a filter names what is not declared (also a UserWarning)
    ├── PoolTimeout                 no connection came free in time (also a TimeoutError and a PyMongoError)
    ├── EnforcementError            the server cannot be made to enforce what is declared
    ├── AuditError                  an audit could not do its job
    └── RepairError                 a repair, or its undoing, could not do its job

Every one carries `violations`, pickles, and has `redacted()`. Where PyMongo raises an error of its own for the
same fault, ours is a subclass of it, so that handlers that exist keep working.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import bson.errors
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from integrity.violation import Violation

#: MongoDB's code for "Document failed validation", https://www.mongodb.com/docs/manual/reference/error-codes/
DOCUMENT_VALIDATION_FAILURE = 121
DUPLICATE_KEY = 11000

#: What PyMongo raises while it encodes a document.
ENCODING_ERRORS = (bson.errors.BSONError, DocumentTooLarge, OverflowError, UnicodeEncodeError)

#: What of PyMongo's details tells nothing of a document.
_TELLING = ("code", "index", "keyPattern", "nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")


def _rebuild(cls: type[IntegrityError], args: tuple[Any, ...], state: dict[str, Any]) -> IntegrityError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


def _bare(details: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the details of PyMongo's error without a value of any document."""
    kept = {name: value for name, value in details.items() if name in _TELLING}
    if "writeErrors" in details:
        kept["writeErrors"] = [
            {name: each[name] for name in ("index", "code", "keyPattern") if name in each} | {"errmsg": text}
            for each in details["writeErrors"]
        ]
        return kept
    return kept | {"errmsg": text}


class IntegrityError(Exception):
    """The root of everything that this library raises on purpose.

    Args:
        message: One or more sentences with the object, the place and the way out.
        violations: The broken rules, all of them at once.
    """

    violations: tuple[Violation, ...]

    def __init__(self, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.violations = tuple(violations)

    def __str__(self) -> str:
        # Not PyMongo's, which repeats the text in its details.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))

    def redacted(self) -> Self:
        """Return the same error without any value of the document in its texts, and without its cause.

        Where it is stays: collections, ``_id``s and paths.
        """
        violations = tuple(each.redacted() for each in self.violations)
        copy = _rebuild(type(self), (self._explained(violations),) if violations else self.args, dict(self.__dict__))
        copy.violations = violations
        copy.__dict__.pop("__notes__", None)
        if "_message" in copy.__dict__:  # PyMongo keeps the text a second time
            copy.__dict__["_message"] = str(copy)
        if isinstance(copy, OperationFailure) and copy.details is not None:
            # PyMongo's details quote the document too: the server's message, the key, the request.
            copy.__dict__["_OperationFailure__details"] = _bare(copy.details, str(copy))
        return copy  # type: ignore[return-value]  # _rebuild makes it of type(self)

    def _explained(self, violations: Sequence[Violation]) -> str:
        """Return the text, with these for its violations."""
        return explain(violations)

    def to_json(self) -> dict[str, Any]:
        """Return the error as a JSON-ready dict: ``error`` (its class), ``message`` and ``violations``."""
        return {
            "error": type(self).__name__,
            "message": self.args[0] if self.args else "",
            "violations": [each.to_json() for each in self.violations],
        }


#: Violations that a text names: an import of a hundred thousand bad rows is one line of a log too.
_SHOWN = 50


def explain(violations: Sequence[Violation], indexes: Sequence[int] = ()) -> str:
    """Return the text of a refusal: what was refused, then a line with a hint for each of the first violations.

    Args:
        violations: The violations.
        indexes: The request of each, where there are several.
    """
    collections = sorted({each.collection for each in violations})
    head = f"{', '.join(collections)}: {len(violations)} violation{'s' if len(violations) != 1 else ''}"
    places = [f"request {index}: " for index in indexes] or [""] * len(violations)
    lines = [
        f"  {place}{each.code} {each.path or '(document)'}: {each.message} {each.hint}".rstrip()
        for place, each in zip(places[:_SHOWN], violations[:_SHOWN], strict=True)
    ]
    if (more := len(violations) - _SHOWN) > 0:
        lines.append(f"  ... and {more:,} more; the error's `violations` has all of them")
    return "\n".join([head, *lines])


class DeclarationError(IntegrityError, TypeError):
    """The declarations contradict each other, or declare what BSON cannot hold."""


class InvalidDocument(IntegrityError, WriteError):
    """A write was refused because of the document that it would have stored; nothing was stored.

    Args:
        violations: Every broken rule.
    """

    server_code = DOCUMENT_VALIDATION_FAILURE

    def __init__(self, violations: Sequence[Violation], message: str | None = None) -> None:
        text = explain(violations) if message is None else message
        WriteError.__init__(self, text, self.server_code, {"errmsg": text, "code": self.server_code})
        self.args = (text,)
        self.violations = tuple(violations)


class DanglingReference(InvalidDocument):
    """A reference of the document points at nothing."""


class DuplicateValue(InvalidDocument, DuplicateKeyError):
    """A value that is declared unique is taken."""

    server_code = DUPLICATE_KEY


class ForeignWrite(InvalidDocument):
    """The actor does not own what it would write."""


class ImmutableField(InvalidDocument):
    """A field that is written once would change."""


@dataclass(frozen=True)
class Referrers:
    """Documents that refer to what was to be deleted, or to the key that was to change.

    Args:
        collection: Their collection.
        path: The declared path of the reference.
        count: How many they are.
        ids: The ``_id``s of a few.
    """

    collection: str
    path: str
    count: int
    ids: tuple[Any, ...]


class RestrictedDelete(InvalidDocument):
    """Documents still refer to what would be deleted, and their reference says ``restrict``.

    Args:
        violations: One for each reference.
        message: The text; made of the violations when None.
        referrers: Which documents refer to it, how many and a few ``_id``s, one for each reference.
    """

    def __init__(
        self, violations: Sequence[Violation], message: str | None = None, referrers: Sequence[Referrers] = ()
    ) -> None:
        super().__init__(violations, message)
        self.referrers = tuple(referrers)


class RestrictedUpdate(RestrictedDelete):
    """Documents still refer to the key that would change, and their reference says ``restrict``."""


class BeingDeleted(IntegrityError, OperationFailure):
    """What a document refers to is being deleted, and whether it will be was not decided in time.

    In a transaction it carries the label ``TransientTransactionError``: the transaction is to be repeated, as
    PyMongo's ``with_transaction`` does by itself.

    Args:
        message: What is being deleted, and the way out.
    """

    def __init__(self, message: str) -> None:
        OperationFailure.__init__(self, message, details={"errorLabels": ["TransientTransactionError"]})
        self.args = (message,)
        self.violations = ()


class StaleDocument(InvalidDocument):
    """The document was changed or deleted since it was read; the write would have lost an update."""


class InvalidBulkWrite(IntegrityError, BulkWriteError):
    """Some requests of a bulk write were refused; `details` has PyMongo's shape.

    Args:
        results: PyMongo's bulk result, its ``writeErrors`` with ``index``, ``code``, ``errmsg`` and ``op``.
        violations: Every broken rule, in the order of the requests.
        indexes: Which request each of them is of, counted from 0.
    """

    def __init__(
        self, results: Mapping[str, Any], violations: Sequence[Violation], indexes: Sequence[int] = ()
    ) -> None:
        BulkWriteError.__init__(self, dict(results))
        self.violations = tuple(violations)
        self.indexes = tuple(indexes)
        errors = results.get("writeErrors", [])
        first = "".join(each["errmsg"] for each in errors[:1])
        self.args = (self._explained(violations) if violations else f"{self._head()}\n{first}",)

    def _head(self) -> str:
        errors = (self.details or {}).get("writeErrors", [])
        indexes = ", ".join(str(each["index"]) for each in errors[:10])
        more = f" and {len(errors) - 10} more" if len(errors) > 10 else ""  # noqa: PLR2004 - as many as above
        return f"{len(errors)} refused (request {indexes}{more})"

    def _explained(self, violations: Sequence[Violation]) -> str:
        return f"{self._head()}\n{explain(violations, self.indexes)}"

    def to_json(self) -> dict[str, Any]:
        """Return the error as a JSON-ready dict; each violation with the ``index`` of its request."""
        found = super().to_json()
        for each, index in zip(found["violations"], self.indexes, strict=False):
            each["index"] = index
        return found


class UnguardedWrite(IntegrityError, InvalidOperation):
    """A call that would get past the guards; the message names the way that does not."""


class TransactionRequired(UnguardedWrite):
    """The write can be guarded only in a transaction, and the server is not a replica set."""


class IndexRequired(UnguardedWrite):
    """A unique constraint can be guarded only by its index, which is not there."""


class PoolSettingError(IntegrityError, ConfigurationError, ValueError):
    """A setting of the pool is impossible, or was said twice with different values."""


class UndeclaredFilter(IntegrityError, UserWarning):
    """A filter names a path that is not declared; a warning, or an error by ``Policy(undeclared_filters="refuse")``."""


class PoolTimeout(IntegrityError, PyMongoError, TimeoutError):
    """No connection came free within the pool's timeout.

    Not a ``ConnectionFailure``: the driver would retry that, and the caller would wait twice.

    Args:
        message: What to tell; `figures` are spelled out in it.
        size: The persistent connections of the pool.
        overflow: The temporary connections that the pool may have besides.
        in_use: Permits taken, each for one operation that is under way.
        idle: Connections open and free, of all servers.
        opening: Connections that are being opened.
        waiting: Requests that wait, this one included.
        waited: Seconds that this one waited.
        cause: ``exhausted`` (every connection works for somebody), ``connecting`` (most of those who were let in
            wait for a connection to open, or for a server), ``loop stalled`` (the event loop stood still, so that
            nobody could give a connection back) or ``not budgeted`` (change streams without a budget).
    """

    def __init__(
        self,
        message: str,
        *,
        size: int = 0,
        overflow: int = 0,
        in_use: int = 0,
        idle: int = 0,
        opening: int = 0,
        waiting: int = 0,
        waited: float = 0.0,
        cause: str = "exhausted",
    ) -> None:
        PyMongoError.__init__(self, message)
        self.args = (message,)
        self.violations = ()
        self.size = size
        self.overflow = overflow
        self.in_use = in_use
        self.idle = idle
        self.opening = opening
        self.waiting = waiting
        self.waited = waited
        self.cause = cause


class EnforcementError(IntegrityError):
    """The server cannot be made to enforce what is declared: no right to, or something is in the way."""


class AuditError(IntegrityError):
    """An audit could not do its job, or did not see everything that it was asked to see."""


class RepairError(IntegrityError):
    """A repair, its undoing, or a release from quarantine could not do its job."""
