"""``delete_one``, ``delete_many``, ``find_one_and_delete``: behind the seam of the references.

They decide what happens to what refers to the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pymongo.results import DeleteResult

from integrity.store.port import Document, Filter
from integrity.writes.guard import commanded, sendable
from integrity.writes.no_filter import refuse_no_filter
from integrity.writes.references import Progress, Wish
from integrity.writes.refusal import refusal

if TYPE_CHECKING:
    from integrity.writes.guard import Guard


async def delete_one(
    guard: Guard, filter: Filter, *, session: Any = None, atomic: bool = False, **options: Any
) -> DeleteResult:
    """Delete the first document that matches.

    Args:
        guard: The model's guard.
        filter: PyMongo's filter.
        session: PyMongo's session.
        atomic: Whether to refuse what does not fit one transaction.
        options: PyMongo's ``collation``, ``hint``, ``let`` and ``comment``.

    Raises:
        RestrictedDelete: Others refer to it.
        ForeignWrite: The actor does not own the model.
    """
    refuse_no_filter(filter)
    refuse_trespass(guard)

    async def act(session: Any) -> DeleteResult:
        return await guard.store.delete_one(guard.collection, filter, **sendable(session, **options))

    if not guard.references.guards(guard):
        return await act(session)
    return await _deleted(guard, Wish(guard.entry, filter, many=False, atomic=atomic, options=options), session)


async def delete_many(
    guard: Guard,
    filter: Filter,
    *,
    session: Any = None,
    atomic: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> DeleteResult:
    """Delete every document that matches.

    Args:
        guard: The model's guard.
        filter: PyMongo's filter.
        session: PyMongo's session.
        atomic: Whether to refuse what does not fit one transaction.
        progress: Called, where it goes on in batches, with how many documents were written, and of how many.
        options: PyMongo's ``collation``, ``hint``, ``let`` and ``comment``.

    Raises:
        RestrictedDelete: Others refer to one of them.
        ForeignWrite: The actor does not own the model.
    """
    refuse_no_filter(filter)
    refuse_trespass(guard)

    async def act(session: Any) -> DeleteResult:
        return await guard.store.delete_many(guard.collection, filter, **sendable(session, **options))

    if not guard.references.guards(guard):
        return await act(session)
    wish = Wish(guard.entry, filter, many=True, atomic=atomic, options=options, progress=progress)
    return await _deleted(guard, wish, session)


async def find_one_and_delete(
    guard: Guard, filter: Filter, *, as_model: bool = False, session: Any = None, **options: Any
) -> Document | None:
    """Delete the first document that matches, and return it.

    Args:
        guard: The model's guard.
        filter: PyMongo's filter.
        as_model: Whether the document is to be made an instance of the model.
        session: PyMongo's session.
        options: PyMongo's ``projection``, ``sort``, ``collation``, ``hint``, ``let`` and ``comment``.

    Raises:
        RestrictedDelete: Others refer to it.
        ForeignWrite: The actor does not own the model.
    """
    refuse_no_filter(filter)
    refuse_trespass(guard)
    options = commanded(options)
    store = guard.store.for_models() if as_model else guard.store.for_results()

    async def act(session: Any) -> Document | None:
        return await store.find_one_and_delete(guard.collection, filter, **sendable(session, **options))

    if not guard.references.guards(guard):
        return await act(session)
    fetch = {"projection": options.pop("projection", None)}
    wish = Wish(guard.entry, filter, many=False, fetch=fetch, as_model=as_model, options=_choosing(options))
    return (await guard.references.delete(guard, wish, session)).document


async def _deleted(guard: Guard, wish: Wish, session: Any) -> DeleteResult:
    deleted = await guard.references.delete(guard, replace(wish, options=_choosing(wish.options)), session)
    return DeleteResult({"n": deleted.count, "ok": 1.0}, acknowledged=True)


def _choosing(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that choose documents, as ``find`` takes them."""
    found = sendable(None, **options)
    found.pop("writeConcern", None)  # a delete with its references is one of the majority
    if (limit := found.pop("maxTimeMS", None)) is not None:
        found["max_time_ms"] = limit
    if isinstance(found.get("sort"), Mapping):
        found["sort"] = list(found["sort"].items())
    return found


def refuse_trespass(guard: Guard) -> None:
    """Refuse to delete what another actor owns.

    Raises:
        ForeignWrite: The actor does not own the model.
    """
    trespass = guard.trespass("deleted")
    if trespass is not None:
        raise refusal([trespass], model=guard.entry.name)
