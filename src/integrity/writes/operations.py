"""PyMongo's arguments of the replacing and updating operations, as the core takes them.

One function an operation, so that the two facades only hand their arguments on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.results import UpdateResult

from integrity.store.port import Document, Filter
from integrity.writes.candidate import Offered
from integrity.writes.guard import commanded, sendable
from integrity.writes.replace import Swap, replace
from integrity.writes.transaction import joins
from integrity.writes.update import Wish, ours, planned, update
from integrity.writes.update_rights import Update
from integrity.writes.updates.direct import direct
from integrity.writes.verified import Returning

if TYPE_CHECKING:
    from integrity.writes.guard import Guard


async def replace_one(
    guard: Guard,
    filter: Filter,
    replacement: Offered,
    *,
    upsert: bool = False,
    bypass: object = None,
    session: Any = None,
    **options: Any,
) -> UpdateResult:
    """Replace the first document that matches; PyMongo's ``UpdateResult``."""
    given = sendable(None, **options)

    async def act(filter: Filter, document: Document, session: Any, *, upsert: bool) -> Any:
        more = sendable(session, upsert=upsert or None)
        return await guard.store.replace_one(guard.collection, filter, document, **given, **more)

    chosen = {name: value for name, value in given.items() if name != "comment"}
    swap = Swap(filter, replacement, act, upsert, chosen)
    found: UpdateResult = await replace(guard, swap, bypass=bypass, session=session)
    return found


async def find_one_and_replace(
    guard: Guard,
    filter: Filter,
    replacement: Offered,
    *,
    projection: Any = None,
    upsert: bool = False,
    after: bool = False,
    as_model: bool = False,
    session: Any = None,
    **options: Any,
) -> Any:
    """Replace the first document that matches and return it, as it was or as it is."""
    given = commanded(options)
    store = guard.store.for_models() if as_model else guard.store.for_results()

    async def act(filter: Filter, document: Document, session: Any, *, upsert: bool) -> Any:
        more = sendable(session, projection=projection, upsert=upsert or None, return_document=after or None)
        if joins(session):
            given.pop("writeConcern", None)  # the transaction has its own
        return await store.find_one_and_replace(guard.collection, filter, document, **given, **more)

    chosen = {name: value for name, value in given.items() if name in {"sort", "collation", "hint", "let"}}
    return await replace(guard, Swap(filter, replacement, act, upsert, chosen), session=session)


async def update_documents(
    guard: Guard,
    filter: Filter,
    change: Update,
    *,
    many: bool = False,
    tried: bool = False,
    upsert: bool = False,
    bypass: object = None,
    session: Any = None,
    **options: Any,
) -> UpdateResult:
    """Update one document, or all that match; PyMongo's ``UpdateResult``. What was `tried` is not seen to be direct."""
    # Most updates are given none, which is seen without going through them.
    none = [*options.values()].count(None) == len(options)
    given = {} if none else {name: value for name, value in options.items() if value is not None}
    plain = guard.direct and not (tried or given or many or upsert or bypass)
    proved = direct(guard.entry, change, filter) if plain else None
    if proved is not None:
        try:
            more = {} if session is None else {"session": session}
            return await guard.store.call(guard.entry.collection, "update_one", filter, proved, **more)  # type: ignore[no-any-return]  # the driver's
        except Exception as error:
            if (mine := await failure(guard, error, filter, change, session)) is error:
                raise
            raise mine from error
    wish = Wish(filter, change, upsert, many, given)
    found: UpdateResult = await update(guard, wish, bypass=bypass, session=session)
    return found


async def failure(guard: Guard, error: Exception, filter: Filter, change: Update, session: Any = None) -> Exception:
    """Return ours for an error of the driver that a direct update has met, and any other error as it is."""
    return ours(guard, error, await planned(guard, Wish(filter, change), session))


async def find_one_and_update(
    guard: Guard,
    filter: Filter,
    change: Update,
    *,
    projection: Any = None,
    upsert: bool = False,
    after: bool = False,
    as_model: bool = False,
    session: Any = None,
    **options: Any,
) -> Any:
    """Update the first document that matches and return it, as it was or as it is."""
    returning = Returning(after, sendable(None, projection=projection), as_model)
    wish = Wish(filter, change, upsert, many=False, options=commanded(options), returning=returning)
    return await update(guard, wish, session=session)
