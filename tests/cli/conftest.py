"""Running the command inside the test's process, as its entry point does."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity.cli import main

MODELS = """
from typing import Annotated
from integrity import Model, Ref, Unique

class Customer(Model, collection="customers"):
    id: int
    name: str
    email: Annotated[str | None, Unique()] = None

class Order(Model, collection="orders"):
    id: int
    customer_id: Annotated[int, Ref(Customer)]
    lines: list[str] | None = None
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs `integrity` with arguments; what it imported is forgotten afterwards."""
    monkeypatch.delenv("MONGODB_URI", raising=False)
    path, modules = list(sys.path), set(sys.modules)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("integrity.", "pymongo", "bson", "pydantic", "rich")):
            del sys.modules[name]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A file with two models."""
    file = tmp_path / "declared_here.py"
    file.write_text(MODELS)
    return file


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Database[dict[str, Any]]:
    """The test's database, with a clean customer and a clean order."""
    database = client[database_name]
    database.customers.insert_one({"_id": 1, "name": "Ada", "email": "ada@shop.test"})
    database.orders.insert_one({"_id": 1, "customer_id": 1})
    return database


@pytest.fixture
def at(uri: str, database_name: str) -> str:
    """The URI of the test's database."""
    return uri.replace("/?", f"/{database_name}?")
