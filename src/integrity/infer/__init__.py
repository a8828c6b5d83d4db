"""From an existing database to models: types, choices, keys, references and suspected copies, as source code."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.errors import PyMongoError

from integrity.errors import IntegrityError
from integrity.infer.checked import checked
from integrity.infer.found import Found
from integrity.infer.links import find_links
from integrity.infer.repeats import find_repeats, without_links
from integrity.infer.sample import collections as names_of
from integrity.infer.sample import complete, left_out, read
from integrity.infer.uniques import find_uniques
from integrity.store.failure import sentence
from integrity.store.port import Store

#: Documents that are read of a collection, unless more are asked for.
SAMPLE = 10_000

__all__ = ["SAMPLE", "infer"]


async def infer(store: Store, *, collections: Sequence[str] = (), sample: int = SAMPLE) -> str:
    """Return the source of a module of models for the collections of a database. Reads only.

    Args:
        store: The database.
        collections: The names of the collections; all of them without any.
        sample: How many documents of each are read at most; values and keys that a type or a reference hangs on are
            asked of the server besides.

    Raises:
        IntegrityError: There is nothing to infer from, or the database cannot be read.
    """
    try:
        names = await names_of(store, collections)
        if unknown := set(collections) - set(names):
            raise IntegrityError(" ".join([await left_out(store, each) for each in sorted(unknown)]))
        found = Found(store.name, {each: await read(store, each, sample) for each in names})
        found.collections = {name: each for name, each in found.collections.items() if each.profile.present}
        if not found.collections:
            raise IntegrityError(f"The database {store.name!r} holds no documents; check its name, or name another.")
        for each in found.collections.values():
            await complete(store, each)
        found.uniques = await find_uniques(store, found)
        found.links = await find_links(store, found)
        found.repeats = await find_repeats(store, found)
        found.links = list(without_links(found))
    except PyMongoError as error:
        raise IntegrityError(sentence(error, "The server")) from error
    return checked(found)
