"""Taking one step of a plan: one command that the server does or refuses as a whole.

Another process may be taking the same step: what it has done already is no failure, and what it is doing is waited
for.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from integrity.declare.registry import Entry
from integrity.declare.stage import Stage
from integrity.server.actual import Collection
from integrity.server.confirmed import confirmed
from integrity.server.drift import ENFORCEMENT
from integrity.server.indexes import Index
from integrity.server.plan import Step
from integrity.server.validator import validator
from integrity.store.indexes import build
from integrity.store.port import Document, Store

# https://www.mongodb.com/docs/manual/reference/error-codes/
_INDEX_NOT_FOUND = 27
_NAMESPACE_NOT_FOUND = 26
_NAMESPACE_EXISTS = 48
_CANNOT_CONVERT = 359
#: How servers before 6.0 answer to ``prepareUnique``, of an index that is there and of a new one.
_UNKNOWN_OPTION = frozenset({2, 72, 197, 40415})
_DUPLICATE_KEY = 11000
_CONFLICTING_OPTIONS, _CONFLICTING_KEYS = 85, 86
#: Another process changes the same thing at this moment: lock busy, conflicting operation, an index being built, a
#: build that another process has taken back.
_BUSY = frozenset({46, 112, 117, 276, 12587})
#: Says any kind of command of what went wrong: "The index was modified by another thread. Please try to rerun ..."
_COMMAND_FAILED, _BY_ANOTHER = 125, "modified by another"

_TRIES = 12

#: Why a validator is not enforced.
HELD = (
    "holds documents that its validator would refuse, so it refuses new faults only (stage moderate); `integrity "
    "audit` lists them, `integrity enforce` goes on when they are repaired."
)


async def take(
    store: Store, entry: Entry, step: Step, collection: Collection | None = None, *, looked: bool = False
) -> str | None:
    """Take one step; return why it was not taken as far as it leads and what to do, or None.

    Args:
        store: The database.
        entry: The model of its collection.
        step: The step.
        collection: The collection as it was when the step was planned.
        looked: Whether the documents were looked at since the server has refused new faults in them.
    """
    if step.act == "create collection":
        return await _create(store, entry, step.stage)
    if step.act == "set validator":
        return await _validate(store, entry, step.stage, looked=looked)
    if step.act == "drop validator":
        off = {"collMod": step.collection, "validator": {}, "validationLevel": "strict", "validationAction": "error"}
        await _patiently(store, off)
    elif step.act == "drop index":
        await _drop(store, step.collection, step.what)
    else:
        assert step.index is not None
        return await _index(store, step, step.index, collection)
    return None


async def at_fault(store: Store, entry: Entry) -> bool:
    """Whether there is a document that the server's validator of a model would refuse.

    Args:
        store: The database.
        entry: The model of the collection.
    """
    return await store.find_one(entry.collection, {"$nor": [validator(entry)]}) is not None


async def _validate(store: Store, entry: Entry, stage: Stage, *, looked: bool) -> str | None:
    """Set a validator, and nothing that the documents which are there do not bear."""
    if stage is Stage.ENFORCED and not looked:
        # As VALIDATE CONSTRAINT does: no new fault from here on, and then a look for the old ones.
        await _patiently(store, _validation(entry, Stage.MODERATE))
        # What a majority has: an election may take back a repair, and then its fault would be enforced over.
        sure = store.with_options(read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern("majority"))
        if await at_fault(sure, entry):
            return HELD
    await _patiently(store, _validation(entry, stage))
    return None


async def _create(store: Store, entry: Entry, stage: Stage) -> str | None:
    options = {name: value for name, value in _validation(entry, stage).items() if name != "collMod"}
    try:
        await _patiently(store, {"create": entry.collection, **options})
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        # Another process was first, or a writer: what it created may have no validator.
        return await _validate(store, entry, stage, looked=False)
    return None


def _validation(entry: Entry, stage: Stage) -> dict[str, Any]:
    if stage is Stage.DECLARED:
        return {"collMod": entry.collection}
    how = ENFORCEMENT[stage]
    return {
        "collMod": entry.collection,
        "validator": validator(entry),
        "validationLevel": how.level,
        "validationAction": how.action,
    }


async def _index(store: Store, step: Step, index: Index, collection: Collection | None) -> str | None:
    try:
        if step.act == "unhide index":
            await _modify(store, index, hidden=False)
        elif step.act == "make unique":
            await _make_unique(store, index, step.stage)
        else:
            if step.act == "rebuild index":
                await _drop(store, index.collection, index.name)
            await _build(store, index, step.stage)
    except OperationFailure as error:
        if step.stage is Stage.MODERATE and error.code in _UNKNOWN_OPTION:
            return (
                "a server before MongoDB 6.0 has no index that refuses new duplicates while old ones stay; "
                f"where there are none: `integrity enforce --to enforced '{index.constraint}'`."
            )
        return _refused(error, index, collection)
    return None


async def _make_unique(store: Store, index: Index, stage: Stage) -> None:
    try:
        if stage.rank <= Stage.WARN.rank:
            await _modify(store, index, prepareUnique=False)
        else:
            await _converted(store, index, stage)
    except OperationFailure as error:
        # MongoDB before 6.0 converts no index: it is built again. Nor does it refuse new duplicates only.
        if error.code not in _UNKNOWN_OPTION or stage is Stage.MODERATE:
            raise
        if stage is Stage.ENFORCED:
            await _drop(store, index.collection, index.name)
            try:
                await _build(store, index, stage)
            except OperationFailure:
                await _build(store, index, Stage.WARN)  # as it was: queries may need it
                raise


async def _build(store: Store, index: Index, stage: Stage) -> None:
    command = {"createIndexes": index.collection, "indexes": [index.specification(stage)]}
    await build(store, index.collection, index.name, partial(_patiently, store, command))


async def _converted(store: Store, index: Index, stage: Stage) -> None:
    # First no new duplicate, then the old ones: the other way round, one could come in between.
    # https://www.mongodb.com/docs/manual/core/index-unique/convert-to-unique/
    await _modify(store, index, prepareUnique=True)
    if stage is Stage.ENFORCED:
        await _modify(store, index, unique=True)


async def _modify(store: Store, index: Index, **change: bool) -> None:
    command = {"collMod": index.collection, "index": {"name": index.name, **change}}
    await _patiently(store, command)


async def _drop(store: Store, collection: str, name: str) -> None:
    """Hide an index, then drop it: the planner forgets it before it is gone, and what goes wrong goes wrong early."""
    try:
        hide = {"collMod": collection, "index": {"name": name, "hidden": True}}
        await _patiently(store, hide)
        await _patiently(store, {"dropIndexes": collection, "index": name})
    except OperationFailure as error:
        if error.code not in {_INDEX_NOT_FOUND, _NAMESPACE_NOT_FOUND}:
            raise  # anything but "another process has dropped it"


async def _patiently(store: Store, command: Document) -> None:
    """Run a command, again while another process is at the same thing."""
    for attempt in range(_TRIES):
        try:
            await confirmed(store, command)
        except OperationFailure as error:
            if not _busy(error) or attempt == _TRIES - 1:
                raise
            await store.sleep(min(0.05 * 2**attempt, 2.0))
        else:
            return


def _busy(error: OperationFailure) -> bool:
    return error.code in _BUSY or (error.code == _COMMAND_FAILED and _BY_ANOTHER in str(error))


def _refused(error: OperationFailure, index: Index, collection: Collection | None) -> str:
    """Return why an index cannot be built, and the way out; raise what is no answer to that."""
    keys = ", ".join(index.keys)
    if error.code in {_DUPLICATE_KEY, _CANNOT_CONVERT}:
        return (
            f"there are documents with equal {keys}; `integrity audit --select UNQ001` lists them. "
            f"Until they are repaired: `integrity enforce --to warn '{index.constraint}'`."
        )
    if error.code in {_CONFLICTING_OPTIONS, _CONFLICTING_KEYS}:
        others = [
            name
            for name, each in (collection.indexes if collection else {}).items()
            if {key for key, _ in each["key"]} == set(index.keys) and name != index.name
        ]
        named = f"the index {', '.join(others)}" if others else "an index"
        return f"{named} over {keys} is in the way; `integrity apply --prune` drops it, if nobody else needs it."
    raise error
