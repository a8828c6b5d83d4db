"""A guarded shop of each colour, over a database of the test's own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from tests.writes.handles import COLOURS, Handle, opened
from tests.writes.shop import MODELS

Document = dict[str, Any]


@pytest.fixture(params=COLOURS)
async def db(request: pytest.FixtureRequest, uri: str, database_name: str) -> AsyncIterator[Handle]:
    """The shop, by a client of each colour, unrestricted."""
    async with opened(request.param, uri, database_name, models=MODELS, actor="*") as handle:
        yield handle


@pytest.fixture
def raw(client: MongoClient[Document], database_name: str) -> Database[Document]:
    """PyMongo's own view of the same database."""
    return client[database_name]


def stored(database: Database[Any]) -> dict[str, list[bytes]]:
    """Every byte of the shop's collections."""
    options = database.codec_options.with_options(document_class=RawBSONDocument)
    names = [each.__integrity__.collection for each in MODELS]
    view = database.with_options(codec_options=options)
    return {name: [each.raw for each in view[name].find().sort("_id")] for name in names}
