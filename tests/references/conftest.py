"""Fixtures of the protocols' tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from integrity.embedded import Mongod


@pytest.fixture(scope="session")
def alone(standalone: Mongod) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the standalone server."""
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        yield client
