"""How many of the catalogue's bad writes each mapper stores.

Run from the root of the project: ``python -m benchmarks.bench_bad_writes``.
The table is kept in docs/reference/benchmarks-bad-writes.md. Every entry of tests/writes/catalogue is
made in the mapper's own idiom, on models that declare all that the mapper has a word for: a document is constructed
and inserted or saved, an update goes through the mapper's query. A write counts as stored when any byte of any
collection differs afterwards, whether or not an error came with it.

What a mapper has no call for (a ``find_one_and_replace``, say) is made by the next thing that it has.
"""

from __future__ import annotations

import argparse
import asyncio
import warnings
from collections import Counter
from typing import Any, Protocol

import beanie
import mongoengine
from benchmarks.bad_peers import BEANIE, ENGINE
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, DeleteMany, DeleteOne, InsertOne, MongoClient, ReplaceOne, UpdateMany, UpdateOne

import integrity
from integrity.embedded import Mongod
from tests.writes.catalogue import CATALOGUE, Bad
from tests.writes.catalogue.models import MODELS, start

Document = dict[str, Any]


class Mapper(Protocol):
    """One contender."""

    name: str
    database: str

    def write(self, bad: Bad) -> None:
        """Make the entry's call."""


class Guarded:
    """This library."""

    name = "integrity"
    database = "bad_integrity"

    def __init__(self, client: MongoClient[Document]) -> None:
        self.guarded = integrity.Database(client[self.database], models=MODELS, actor="*")

    def write(self, bad: Bad) -> None:
        database = self.guarded.acting_as(bad.actor)
        getattr(database[bad.model], bad.method)(*bad.arguments, **bad.options)


class Raw:
    """Nothing in between: what the server itself stores."""

    name = "raw PyMongo"
    database = "bad_raw"

    def __init__(self, client: MongoClient[Document]) -> None:
        self.raw = client[self.database]

    def write(self, bad: Bad) -> None:
        collection = self.raw[bad.model.__integrity__.collection or ""]
        getattr(collection, bad.method)(*bad.arguments, **bad.options)


class Beanie:
    """Beanie 2, its documents validated on save."""

    name = "Beanie"
    database = "bad_beanie"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def write(self, bad: Bad) -> None:
        self.loop.run_until_complete(self._write(bad))

    async def _write(self, bad: Bad) -> None:
        model: Any = BEANIE[bad.model.__name__]
        for method, arguments in calls(bad):
            if method == "insert_one":
                await model(**renamed(arguments[0])).insert()
            elif method == "insert_many":
                await model.insert_many([model(**renamed(each)) for each in arguments[0]])
            elif method in {"replace_one", "find_one_and_replace"}:
                made = model(**renamed({**arguments[0], **arguments[1]}))
                await (made.save() if bad.options.get("upsert") else made.replace())
            elif method in {"update_one", "find_one_and_update"}:
                await self._update(model.find_one(arguments[0]), model, arguments, bad)
            elif method == "update_many":
                await self._update(model.find(arguments[0]), model, arguments, bad)
            elif method in {"delete_one", "find_one_and_delete"}:
                found = await model.find_one(arguments[0])
                await found.delete()
            else:
                await model.find(arguments[0]).delete()

    async def _update(self, query: Any, model: Any, arguments: tuple[Any, ...], bad: Bad) -> None:
        options = {name: value for name, value in bad.options.items() if name != "upsert"}
        if bad.options.get("upsert"):
            # Beanie's upsert wants the document to insert: it is constructed from what the update would set.
            values = {k: v for operator in ("$set", "$setOnInsert") for k, v in arguments[1].get(operator, {}).items()}
            await query.upsert(arguments[1], on_insert=model(**renamed({**arguments[0], **values})))
        elif options:
            await query.update(arguments[1], **options)
        else:
            await query.update(arguments[1])


class Engine:
    """MongoEngine."""

    name = "MongoEngine"
    database = "bad_engine"

    def write(self, bad: Bad) -> None:
        model = ENGINE[bad.model.__name__]
        for method, arguments in calls(bad):
            if method == "insert_one":
                model(**renamed(arguments[0])).save(force_insert=True)
            elif method == "insert_many":
                model.objects.insert([model(**renamed(each)) for each in arguments[0]])
            elif method in {"replace_one", "find_one_and_replace"}:
                model(**renamed({**arguments[0], **arguments[1]})).save()
            elif method in {"update_one", "find_one_and_update"}:
                model.objects(__raw__=arguments[0]).update_one(__raw__=arguments[1], **self._options(bad))
            elif method == "update_many":
                model.objects(__raw__=arguments[0]).update(__raw__=arguments[1], **self._options(bad))
            else:
                model.objects(__raw__=arguments[0]).delete()

    def _options(self, bad: Bad) -> Document:
        return {name: value for name, value in bad.options.items() if name in {"upsert", "array_filters"}}


#: The families of the rules, as the table's columns name them.
FAMILIES = {"SCH": "schema", "EMP": "empty", "FRB": "empty", "REF": "references", "UNQ": "unique", "OWN": "ownership"}

#: The method that each request of a bulk write is, and where it keeps its arguments.
REQUESTS: dict[type, tuple[str, tuple[str, ...]]] = {
    InsertOne: ("insert_one", ("_doc",)),
    ReplaceOne: ("replace_one", ("_filter", "_doc")),
    UpdateOne: ("update_one", ("_filter", "_doc")),
    UpdateMany: ("update_many", ("_filter", "_doc")),
    DeleteOne: ("delete_one", ("_filter",)),
    DeleteMany: ("delete_many", ("_filter",)),
}


def calls(bad: Bad) -> list[tuple[str, tuple[Any, ...]]]:
    """The entry's calls one by one: what is in a bulk write is made by itself."""
    if bad.method != "bulk_write":
        return [(bad.method, bad.arguments)]
    found = []
    for each in bad.arguments[0]:
        method, names = REQUESTS[type(each)]
        found.append((method, tuple(getattr(each, name) for name in names)))
    return found


def renamed(document: Document) -> Document:
    """The document by its Python names."""
    return {"id" if name == "_id" else name: value for name, value in document.items()}


def stored(client: MongoClient[Any], name: str) -> dict[str, list[bytes]]:
    """Every byte of the catalogue's collections."""
    options = client.codec_options.with_options(document_class=RawBSONDocument)
    database = client.get_database(name, codec_options=options)
    return {name: [each.raw for each in database[name].find().sort("_id")] for name in start()}


def fill(client: MongoClient[Document], database: str) -> None:
    for name, documents in start().items():
        client[database][name].delete_many({})
        client[database][name].insert_many(documents)


def run(client: MongoClient[Document], mappers: list[Mapper], *, verbose: bool) -> dict[str, Counter[str]]:
    """Make every call with every mapper and count what came of it."""
    outcomes: dict[str, Counter[str]] = {mapper.name: Counter() for mapper in mappers}
    for bad in CATALOGUE:
        line = []
        for mapper in mappers:
            fill(client, mapper.database)
            before = stored(client, mapper.database)
            try:
                mapper.write(bad)
            except Exception as error:  # noqa: BLE001 - whatever a mapper refuses with
                said = type(error).__name__
            else:
                said = ""
            changed = stored(client, mapper.database) != before
            outcome = "stored" if changed else "refused" if said else "nothing done"
            outcomes[mapper.name][outcome] += 1
            if changed:
                outcomes[mapper.name][FAMILIES.get(bad.expected[:3], "calls")] += 1
            line.append(f"{mapper.name}: {outcome}{f' ({said})' if said else ''}")
        if verbose:
            print(f"{bad.expected}  {bad.name}\n        {'; '.join(line)}")
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="tell of every call")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with Mongod() as server, MongoClient[Document](server.uri) as client, asyncio.Runner() as runner:
        loop = runner.get_loop()
        async_client: AsyncMongoClient[Document] = AsyncMongoClient(server.uri)
        models = list(BEANIE.values())
        loop.run_until_complete(beanie.init_beanie(database=async_client[Beanie.database], document_models=models))
        mongoengine.connect(Engine.database, host=server.uri)
        outcomes = run(client, [Guarded(client), Beanie(loop), Engine(), Raw(client)], verbose=options.verbose)
        runner.run(async_client.close())
        mongoengine.disconnect()
    columns = ["stored", *dict.fromkeys(FAMILIES.values()), "calls"]
    print(f"{len(CATALOGUE)} bad writes; how many of them each stores, in all and by the family of the rule\n")
    print(f"| {'':12} | {' | '.join(columns)} |")
    print(f"|:-------------|{'|'.join('-' * (len(each) + 1) + ':' for each in columns)}|")
    for name, counted in outcomes.items():
        print(f"| {name:12} | {' | '.join(f'{counted[each]:>{len(each)}}' for each in columns)} |")


if __name__ == "__main__":
    main()
