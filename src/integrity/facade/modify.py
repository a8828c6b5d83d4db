"""Changing documents through a blocking collection: PyMongo's updates, replacements, deletes and bulks, guarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pymongo.results import BulkWriteResult, DeleteResult, UpdateResult

from integrity.declare.model import Model
from integrity.facade.binding import Binding
from integrity.facade.reads import Reads
from integrity.store.port import Filter, Store
from integrity.store.run import run
from integrity.writes import delete, operations
from integrity.writes.bulk_write import Request, bulk_write
from integrity.writes.guard import Guard
from integrity.writes.references import DeletePlan, Progress
from integrity.writes.update_rights import Update
from integrity.writes.updates.direct import direct

M = TypeVar("M", bound=Model)


class Modify(Reads[M]):
    """The operations of a blocking collection that change what is stored."""

    def __init__(self, model: type[M], guard: Guard, store: Store, raw: Any, binding: Binding) -> None:
        super().__init__(model, guard, store, raw, binding)
        #: The driver's method for an update that is proved at once; None where more stands around an update.
        self._update = guard.store.sender(guard.collection, "update_one") if guard.direct else None

    def replace_one(
        self,
        filter: Filter,
        replacement: Mapping[str, Any] | M,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        bypass_document_validation: bool | None = None,  # noqa: FBT001 - PyMongo's
        collation: Any = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        sort: Any = None,
        comment: Any = None,
    ) -> UpdateResult:
        """Replace the first document that matches.

        Raises:
            InvalidDocument: The replacement breaks rules; nothing was changed.
            StaleDocument: The model has a revision, and the replacement was made from an older one.
        """
        return run(
            operations.replace_one(
                self._guard,
                self._asked(filter),
                replacement,
                upsert=upsert,
                bypass=bypass_document_validation,
                session=self._in(session),
                collation=collation,
                hint=hint,
                let=let,
                sort=sort,
                comment=comment,
            )
        )

    def update_one(
        self,
        filter: Filter,
        update: Update,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        bypass_document_validation: bool | None = None,  # noqa: FBT001 - PyMongo's
        collation: Any = None,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        sort: Any = None,
        comment: Any = None,
    ) -> UpdateResult:
        """Update the first document that matches.

        Raises:
            InvalidDocument: What the update leaves breaks rules; nothing was changed.
            TransactionRequired: Only the outcome can be judged, and the server has no transactions.
        """
        filter = self._asked(filter)  # noqa: A001 - looked at, whatever follows
        # What most updates are, without a call more than it takes, see `writes.insert_one.at_once`.
        plain = (
            session is array_filters is collation is hint is let is sort is comment is None
            and not upsert
            and not bypass_document_validation
            and self._binding.session() is None
        )
        send = self._update if plain else None
        if send is not None and (proved := direct(self._guard.entry, update, filter)) is not None:
            try:
                return send(filter, proved)  # type: ignore[no-any-return]  # the driver's
            except Exception as error:
                if (mine := run(operations.failure(self._guard, error, filter, update))) is error:
                    raise
                raise mine from error
        return run(
            operations.update_documents(
                self._guard,
                filter,
                update,
                tried=send is not None,
                upsert=upsert,
                bypass=bypass_document_validation,
                session=self._in(session),
                collation=collation,
                array_filters=self._elements(update, array_filters),
                hint=hint,
                let=let,
                sort=sort,
                comment=comment,
            )
        )

    def update_many(
        self,
        filter: Filter,
        update: Update,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        bypass_document_validation: bool | None = None,  # noqa: FBT001 - PyMongo's
        collation: Any = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> UpdateResult:
        """Update every document that matches.

        Where only the outcome can be judged, up to 500 documents are updated in one transaction, and more in several,
        all of which are tried before the first is committed.

        Raises:
            InvalidDocument: What the update leaves breaks rules.
            TransactionRequired: Only the outcome can be judged, and the server has no transactions.
        """
        return run(
            operations.update_documents(
                self._guard,
                self._asked(filter),
                update,
                many=True,
                upsert=upsert,
                bypass=bypass_document_validation,
                session=self._in(session),
                collation=collation,
                array_filters=self._elements(update, array_filters),
                hint=hint,
                let=let,
                comment=comment,
            )
        )

    def delete_one(
        self,
        filter: Filter,
        collation: Any = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        atomic: bool = False,
    ) -> DeleteResult:
        """Delete the first document that matches, and what refers to it as the references declare.

        Args:
            filter: PyMongo's filter.
            collation: PyMongo's collation.
            hint: PyMongo's hint.
            session: PyMongo's session.
            let: PyMongo's let.
            comment: PyMongo's comment.
            atomic: Refuse what does not fit one transaction. Otherwise a large cascade goes on in batches, and
                after a crash it is finished by the next delete or by `integrity recover`.

        Raises:
            RestrictedDelete: Others refer to it; nothing was deleted.
            ForeignWrite: The actor does not own the model.
        """
        return run(
            delete.delete_one(
                self._guard,
                self._asked(filter),
                session=self._in(session),
                collation=collation,
                hint=hint,
                let=let,
                comment=comment,
                atomic=atomic,
            )
        )

    def delete_many(
        self,
        filter: Filter,
        collation: Any = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        atomic: bool = False,
        progress: Progress | None = None,
    ) -> DeleteResult:
        """Delete every document that matches, and what refers to them as the references declare.

        Args:
            filter: PyMongo's filter.
            collation: PyMongo's collation.
            hint: PyMongo's hint.
            session: PyMongo's session.
            let: PyMongo's let.
            comment: PyMongo's comment.
            atomic: Refuse what does not fit one transaction.
            progress: Called, where it goes on in batches, with how many documents were written, and of how many.

        Raises:
            RestrictedDelete: Others refer to one of them.
            ForeignWrite: The actor does not own the model.
        """
        return run(
            delete.delete_many(
                self._guard,
                self._asked(filter),
                session=self._in(session),
                collation=collation,
                hint=hint,
                let=let,
                comment=comment,
                atomic=atomic,
                progress=progress,
            )
        )

    def plan_delete(self, filter: Filter, *, session: Any = None) -> DeletePlan:
        """Return what deleting everything that matches would do, without doing it.

        Args:
            filter: PyMongo's filter.
            session: PyMongo's session.
        """
        guard = self._guard
        session = self._in(session)
        options = {} if session is None else {"session": session}
        return run(guard.references.plan_delete(guard.store, guard, self._asked(filter), **options))

    def bulk_write(
        self,
        requests: Sequence[Request],
        ordered: bool = True,  # noqa: FBT001, FBT002 - PyMongo's
        bypass_document_validation: bool | None = None,  # noqa: FBT001 - PyMongo's
        session: Any = None,
        comment: Any = None,
        let: Mapping[str, Any] | None = None,
    ) -> BulkWriteResult:
        """Do several writes.

        Args:
            requests: PyMongo's ``InsertOne``, ``UpdateOne``, ``UpdateMany``, ``ReplaceOne``, ``DeleteOne`` and
                ``DeleteMany``.
            ordered: Whether the first failure ends it.
            bypass_document_validation: Refused when true.
            session: PyMongo's session.
            comment: PyMongo's comment.
            let: PyMongo's variables.

        Raises:
            InvalidBulkWrite: Some break rules; ``details`` names each by index.
        """
        for each in requests if isinstance(requests, list | tuple) else ():
            self._asked(getattr(each, "_filter", None))
            self._elements(getattr(each, "_doc", None), getattr(each, "_array_filters", None))
        return run(
            bulk_write(
                self._guard,
                requests,
                ordered=ordered,
                bypass=bypass_document_validation,
                session=self._in(session),
                comment=comment,
                let=let,
            )
        )
