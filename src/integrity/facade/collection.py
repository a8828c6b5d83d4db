"""A blocking collection: PyMongo's names, arguments and result classes, and every write is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pymongo.results import InsertManyResult, InsertOneResult

from integrity.declare.model import Model
from integrity.facade.binding import Binding
from integrity.facade.find_and import FindAnd
from integrity.store.port import Document, Store
from integrity.store.run import run
from integrity.writes.guard import Guard
from integrity.writes.insert_many import insert_many
from integrity.writes.insert_one import at_once, insert_one
from integrity.writes.refusal import from_driver

if TYPE_CHECKING:
    from pymongo.collection import Collection as RawCollection

M = TypeVar("M", bound=Model)


class Collection(FindAnd[M]):
    """The documents of one model, over PyMongo's ``MongoClient``; what ``db[Model]`` returns."""

    def __init__(self, model: type[M], guard: Guard, store: Store, raw: Any, binding: Binding) -> None:
        super().__init__(model, guard, store, raw, binding)
        #: The driver's method for what `_at_once` has made; None where more stands around an insert.
        self._insert = guard.store.sender(guard.collection, "insert_one") if guard.simple else None
        self._at_once = at_once(guard)

    @property
    def unsafe_raw(self) -> RawCollection[Document]:
        """PyMongo's own collection: what is written through it, nothing has judged."""
        return self._raw  # type: ignore[no-any-return]  # the driver's, as it was given

    def with_options(
        self,
        codec_options: Any = None,
        read_preference: Any = None,
        write_concern: Any = None,
        read_concern: Any = None,
    ) -> Self:
        """Return the same collection with PyMongo's options."""
        given = {"codec_options": codec_options, "read_preference": read_preference, "write_concern": write_concern,
                 "read_concern": read_concern}  # fmt: skip
        return self._with({name: value for name, value in given.items() if value is not None})

    def insert_one(
        self,
        document: Mapping[str, Any] | M,
        bypass_document_validation: bool | None = None,  # noqa: FBT001 - PyMongo's
        session: Any = None,
        comment: Any = None,
    ) -> InsertOneResult:
        """Insert a document, or an instance of the model.

        Args:
            document: A mapping, which is given its generated ``_id`` as PyMongo does, or an instance.
            bypass_document_validation: Refused when true.
            session: PyMongo's session.
            comment: PyMongo's comment.

        Raises:
            InvalidDocument: It breaks rules, all of which the error names; nothing was stored.
        """
        # What most inserts are, without a call more than it takes; `insert_one` does the same, and all the rest.
        if (
            (send := self._insert) is not None
            and session is comment is None
            and not bypass_document_validation
            and self._binding.session() is None
            and (type(document) is dict or type(document) is self.model)
            and (made := self._at_once(document)) is not None
        ):
            try:
                return send(made)  # type: ignore[no-any-return]  # the driver's
            except Exception as error:
                if (mine := from_driver(self._guard.entry, error, made)) is error:
                    raise
                raise mine from error
        return run(
            insert_one(
                self._guard, document, bypass=bypass_document_validation, session=self._in(session), comment=comment
            )
        )

    def insert_many(
        self,
        documents: Iterable[Mapping[str, Any] | M],
        ordered: bool = True,  # noqa: FBT001, FBT002 - PyMongo's
        bypass_document_validation: bool | None = None,  # noqa: FBT001 - PyMongo's
        session: Any = None,
        comment: Any = None,
    ) -> InsertManyResult:
        """Insert documents, or instances of the model.

        Args:
            documents: Mappings, which are given their generated ``_id``, or instances.
            ordered: Whether the first failure ends it; what stands before it is stored.
            bypass_document_validation: Refused when true.
            session: PyMongo's session.
            comment: PyMongo's comment.

        Raises:
            InvalidBulkWrite: Some break rules; ``details`` names each by index.
        """
        return run(
            insert_many(
                self._guard,
                documents,
                ordered=ordered,
                bypass=bypass_document_validation,
                session=self._in(session),
                comment=comment,
            )
        )
