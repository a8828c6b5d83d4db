"""What the tests of the repair share: a database of the test's own, its raw bytes, and a repair in one line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options, audit
from integrity.declare.registry import Registry
from integrity.repair import Choices, CollectionJournal, Journal, Outcome, Summary, Undone, repair, undo
from integrity.store.blocking import BlockingStore
from integrity.store.run import run

Raw = Database[dict[str, Any]]
Bytes = dict[str, list[bytes]]


@dataclass
class Done:
    """What a repair did."""

    summary: Summary
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def reasons(self) -> set[str]:
        return {reason for _, _, reason in self.summary.left}


@dataclass
class Shop:
    """A database and its models."""

    raw: Raw
    models: Sequence[type]

    @property
    def registry(self) -> Registry:
        return Registry(self.models)

    @property
    def store(self) -> BlockingStore:
        return BlockingStore(self.raw)

    def repair(self, *unsafe: str, apply: bool = True, journal: Journal | None = None, **options: Any) -> Done:
        done = Done(Summary("", made=False))
        kept = journal or (CollectionJournal(self.store) if apply else None)
        done.summary = run(
            repair(
                self.store,
                self.registry,
                Options(**options),
                Choices(unsafe),
                journal=kept,
                tell=done.outcomes.append,
            )
        )
        return done

    def undo(self, name: str, journal: Journal | None = None, **how: Any) -> Undone:
        return run(undo(self.store, self.registry, journal or CollectionJournal(self.store), name, **how))

    def wrong(self) -> list[tuple[str, Any, str]]:
        """What an audit finds."""
        with run(audit(self.store, self.registry)) as result:
            assert result.complete, result.failure
            return sorted(((each.code, each.id, each.path) for each in result.violations), key=repr)

    def bytes(self) -> Bytes:
        """Every document of the declared collections and their quarantines, byte for byte."""
        options: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
        names = [each.collection for each in self.registry]
        found: Bytes = {}
        for name in [*names, *(f"{each}.quarantine" for each in names)]:
            documents: Any = self.raw.get_collection(name, codec_options=options).find({}, sort=[("_id", 1)])
            found[name] = [each.raw for each in documents]
        return found


@pytest.fixture
def raw(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    return client[database_name]


@pytest.fixture
def shop(raw: Raw) -> Callable[..., Shop]:
    """Makes a shop of models and documents: ``shop([Model, ...], customers=[...], ...)``."""

    def made(models: Sequence[type], **collections: list[dict[str, Any]]) -> Shop:
        for name in [each.collection for each in Registry(models)]:
            raw.create_collection(name)
        for name, documents in collections.items():
            raw[name].insert_many(documents)
        return Shop(raw, models)

    return made


@pytest.fixture
def alone(standalone: Any) -> Any:
    """A database on a server without transactions."""
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        name = "repaired_alone"
        client.drop_database(name)
        yield client[name]
        client.drop_database(name)
