"""A guarded library of each colour, over a database of the test's own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.ownership.library import MODELS
from tests.writes.handles import COLOURS, Handle, opened

Document = dict[str, Any]


@pytest.fixture(params=COLOURS)
async def db(request: pytest.FixtureRequest, uri: str, database_name: str) -> AsyncIterator[Handle]:
    """The library, by a client of each colour, unrestricted."""
    async with opened(request.param, uri, database_name, models=MODELS, actor="*") as handle:
        yield handle


@pytest.fixture
def raw(client: MongoClient[Document], database_name: str) -> Database[Document]:
    """PyMongo's own view of the same database."""
    return client[database_name]
