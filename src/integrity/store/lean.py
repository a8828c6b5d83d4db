"""What guards ask most, as plain commands: the driver's own methods do twice as much for the same question.

A command is not repeated by the driver where a connection is lost; then the driver's method is called, which is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.errors import InvalidBSON
from pymongo.errors import (
    AutoReconnect,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from integrity.errors import ENCODING_ERRORS
from integrity.store.lookup import BYTES, measured
from integrity.store.port import Document, Filter, Store


class LeanStore(Store):
    """A database that the driver runs commands on."""

    #: The driver's database, with the codec options to read with.
    _database: Any
    #: The same as the application has given it.
    _given: Any

    @property
    def write_concern(self) -> WriteConcern:
        """The application's own; mongomock has none."""
        found = getattr(self._given, "write_concern", None)
        return found if isinstance(found, WriteConcern) else WriteConcern()

    @property
    def uuids(self) -> int | None:
        """The application's own; mongomock's is what PyMongo's is."""
        return getattr(getattr(self._given, "codec_options", None), "uuid_representation", None)

    @property
    def limit(self) -> float | None:
        """The client's ``timeoutMS``, in seconds."""
        found = getattr(getattr(self._given.client, "options", None), "timeout", None)
        return float(found) if isinstance(found, int | float) and found else None  # mongomock has none

    def joined(self, session: Any) -> Any:
        """Return it, if it is this client's."""
        if session.client is self._given.client:
            return session
        raise InvalidOperation(
            "The session that is bound here is another client's; leave its block, or pass session=... of this client."
        )

    async def one(self, collection: str, filter: Filter, projection: Mapping[str, Any], session: Any) -> Any:
        """Run ``find`` for one document."""
        database = self._database
        command: Document = {
            "find": collection, "filter": filter, "projection": projection, "limit": 1, "singleBatch": True
        }  # fmt: skip
        inside = session is not None and session.in_transaction
        if session is not None and not inside:
            # A plain command does not say what the session has seen so far, which its reads may not be older than.
            return await super().one(collection, filter, projection, session)
        if not inside and database.read_concern.level is not None:
            command["readConcern"] = database.read_concern.document
        how = {"codec_options": database.codec_options, "read_preference": database.read_preference}
        try:
            reply = await self.command(command, session=session, **how)
        except (AutoReconnect, OperationFailure, InvalidBSON, NotImplementedError) as error:
            if isinstance(error, ServerSelectionTimeoutError) or (inside and not isinstance(error, InvalidBSON)):
                raise
            return await super().one(collection, filter, projection, session)
        return next(iter(reply["cursor"]["firstBatch"]), None)

    async def matched(self, collection: str, filter: Filter, update: Filter, session: Any, *, many: bool) -> int:
        """Run ``update`` in a transaction: what it meets there is raised, and not reported."""
        change = {"q": filter, "u": update, "multi": many}
        reply = await self._within({"update": collection, "updates": [change]}, session)
        if failed := reply.get("writeErrors"):
            raise OperationFailure(failed[0].get("errmsg", ""), failed[0].get("code"), failed[0])
        return int(reply["n"])

    async def inserted(
        self, collection: str, documents: Sequence[Document], session: Any
    ) -> Sequence[Mapping[str, Any]]:
        """Run ``insert`` in a transaction: the driver's ``insert_many`` goes through the documents in Python."""
        if len(documents) == 1 or _fit(documents):
            try:
                reply = await self._within({"insert": collection, "documents": documents}, session)
            except DocumentTooLarge:  # before it was sent: all of them together, or one by itself
                if len(documents) == 1:
                    raise
            else:
                return [{**each, "op": documents[each["index"]]} for each in reply.get("writeErrors", ())]
        return await super().inserted(collection, documents, session)

    async def insert_once(self, collection: str, document: Document) -> bool | None:
        """Run ``insert``."""
        database = self._database
        command: Document = {"insert": collection, "documents": [document]}
        if not database.write_concern.is_server_default:
            command["writeConcern"] = database.write_concern.document
        how = {"codec_options": database.codec_options, "read_preference": ReadPreference.PRIMARY}
        try:
            reply = await self.command(command, **how)
        except ENCODING_ERRORS:
            return False
        except (AutoReconnect, OperationFailure) as error:
            # Who is not to repeat a write has the error of the first one.
            if isinstance(error, ServerSelectionTimeoutError) or not self._given.client.options.retry_writes:
                raise
            return None
        if reply.get("writeErrors"):
            return False
        return None if reply.get("writeConcernError") else True

    async def _within(self, command: Document, session: Any) -> Document:
        database = self._database
        how = {"codec_options": database.codec_options, "read_preference": database.read_preference}
        return await self.command(command, session=session, **how)


def _fit(documents: Sequence[Document]) -> bool:
    """Whether documents fit into one command, were all as long as the first."""
    try:
        return len(documents) * measured(documents[0]) <= BYTES
    except ENCODING_ERRORS:  # the driver says what is wrong
        return False
