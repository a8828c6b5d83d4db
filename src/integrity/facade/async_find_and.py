"""PyMongo's ``find_one_and_*`` through an asynchronous collection, guarded; of documents or of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from integrity.declare.model import Model
from integrity.facade.async_modify import AsyncModify
from integrity.facade.handle import whole
from integrity.store.port import Document, Filter
from integrity.writes import delete, operations
from integrity.writes.update_rights import Update

M = TypeVar("M", bound=Model)


class AsyncFindAnd(AsyncModify[M]):
    """The operations of an asynchronous collection that change a document and return it."""

    @overload
    async def find_one_and_update(
        self, filter: Filter, update: Update, projection: None = None, *, as_model: Literal[True], **options: Any
    ) -> M | None: ...

    @overload
    async def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        return_document: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        as_model: Literal[False] = False,
        **options: Any,
    ) -> Document | None: ...

    async def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        return_document: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        as_model: bool = False,
        **options: Any,
    ) -> M | Document | None:
        """Update the first document that matches, and return it.

        Raises:
            InvalidDocument: What the update leaves breaks rules; nothing was changed.
            TransactionRequired: Only the outcome can be judged, and the server has no transactions.
        """
        whole(projection, as_model=as_model)
        found = await operations.find_one_and_update(
            self._guard,
            self._asked(filter),
            update,
            projection=projection,
            upsert=upsert,
            after=return_document,
            session=self._in(session),
            sort=sort,
            array_filters=self._elements(update, array_filters),
            hint=hint,
            let=let,
            comment=comment,
            as_model=as_model,
            **options,
        )
        return self._returned(found, as_model=as_model)

    @overload
    async def find_one_and_replace(
        self,
        filter: Filter,
        replacement: Mapping[str, Any] | M,
        projection: None = None,
        *,
        as_model: Literal[True],
        **options: Any,
    ) -> M | None: ...

    @overload
    async def find_one_and_replace(
        self,
        filter: Filter,
        replacement: Mapping[str, Any] | M,
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        return_document: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        as_model: Literal[False] = False,
        **options: Any,
    ) -> Document | None: ...

    async def find_one_and_replace(
        self,
        filter: Filter,
        replacement: Mapping[str, Any] | M,
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        return_document: bool = False,  # noqa: FBT001, FBT002 - PyMongo's
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        as_model: bool = False,
        **options: Any,
    ) -> M | Document | None:
        """Replace the first document that matches, and return it.

        Raises:
            InvalidDocument: The replacement breaks rules; nothing was changed.
            StaleDocument: The model has a revision, and the replacement was made from an older one.
        """
        whole(projection, as_model=as_model)
        found = await operations.find_one_and_replace(
            self._guard,
            self._asked(filter),
            replacement,
            projection=projection,
            upsert=upsert,
            after=return_document,
            session=self._in(session),
            sort=sort,
            hint=hint,
            let=let,
            comment=comment,
            as_model=as_model,
            **options,
        )
        return self._returned(found, as_model=as_model)

    @overload
    async def find_one_and_delete(
        self, filter: Filter, projection: None = None, *, as_model: Literal[True], **options: Any
    ) -> M | None: ...

    @overload
    async def find_one_and_delete(
        self,
        filter: Filter,
        projection: Any = None,
        sort: Any = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        as_model: Literal[False] = False,
        **options: Any,
    ) -> Document | None: ...

    async def find_one_and_delete(
        self,
        filter: Filter,
        projection: Any = None,
        sort: Any = None,
        hint: Any = None,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        *,
        as_model: bool = False,
        **options: Any,
    ) -> M | Document | None:
        """Delete the first document that matches, and return it.

        Raises:
            RestrictedDelete: Others refer to it; nothing was deleted.
            ForeignWrite: The actor does not own the model.
        """
        whole(projection, as_model=as_model)
        found = await delete.find_one_and_delete(
            self._guard,
            self._asked(filter),
            session=self._in(session),
            projection=projection,
            sort=sort,
            hint=hint,
            let=let,
            comment=comment,
            as_model=as_model,
            **options,
        )
        return self._returned(found, as_model=as_model)
