"""What the tests of the audit share: a database of the test's own, and an audit of it in one line."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options, audit
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.violation import Violation


@dataclass
class Found:
    """An audit's result with its violations in memory."""

    complete: bool
    failure: str | None
    violations: list[Violation]
    counts: dict[str, dict[str, int]]
    paths: dict[str, dict[str, int]]
    scanned: dict[str, int]
    documents: dict[str, int] = field(default_factory=dict)
    whole: dict[str, bool] = field(default_factory=dict)

    @property
    def places(self) -> list[tuple[str, Any, str]]:
        """Code, ``_id`` and path of every violation, sorted."""
        return sorted(((each.code, each.id, each.path) for each in self.violations), key=repr)

    @property
    def codes(self) -> Counter[str]:
        return Counter(each.code for each in self.violations)


Audit = Callable[..., Found]


def audited(store: BlockingStore, models: Any, options: Options | None = None, **how: Any) -> Found:
    """Audit a store and read everything that was found."""
    with run(audit(store, Registry(models), options, **how)) as result:
        return Found(
            result.complete,
            result.failure,
            list(result.violations),
            {each.name: dict(each.counts) for each in result.collections},
            {each.name: dict(each.paths) for each in result.collections},
            {each.name: each.scanned for each in result.collections},
            {each.name: each.documents for each in result.collections},
            {each.name: each.complete for each in result.collections},
        )


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Database[dict[str, Any]]:
    """A database of the test's own."""
    return client[database_name]


@pytest.fixture
def check(database: Database[dict[str, Any]]) -> Audit:
    """Audit the test's database: ``check([Model, ...], Options(...))``, by the server's filters, without, and here."""

    def audit_it(models: list[type[Model]], options: Options | None = None, **how: Any) -> Found:
        for model in models:
            name = model.__integrity__.collection
            if name and name not in database.list_collection_names():
                database.create_collection(name)
        store = BlockingStore(database)
        found = audited(store, models, options, **how)
        options = options or Options()
        for other in (replace(options, pushdown=False), replace(options, suspects="client")):
            plain = audited(store, models, other)
            assert repr(plain.places) == repr(found.places)  # NaN may be an id
            assert (plain.complete, plain.counts, plain.paths, plain.scanned) == (
                found.complete, found.counts, found.paths, found.scanned
            )  # fmt: skip
            assert sorted(map(repr, plain.violations)) == sorted(map(repr, found.violations))
        return found

    return audit_it
