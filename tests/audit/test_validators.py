"""A validator of the model that ends in an error which says nothing of the value."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import field_validator
from pymongo import MongoClient

from integrity import Model
from integrity.audit import Options, audit
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run


class Reading(Model, collection="readings"):
    id: int
    value: int

    @field_validator("value")
    @classmethod
    def known(cls, value: int) -> int:
        if value == 3:
            raise RuntimeError("the service is away")
        return value


class Other(Model, collection="others"):
    id: int


@pytest.mark.parametrize("pushdown", [True, False])
def test_it_leaves_the_collection_unfinished_and_is_named(
    client: MongoClient[dict[str, Any]], database_name: str, pushdown: bool
) -> None:
    raw = client[database_name]
    raw["readings"].insert_many({"_id": each, "value": each} for each in range(6))
    raw["others"].insert_one({"_id": "1"})
    options = Options(pushdown=pushdown)
    with run(audit(BlockingStore(raw), Registry([Reading, Other]), options)) as result:
        assert not result.complete
        assert result.failure is not None
        assert "a validator of Reading raised RuntimeError (the service is away) over the document 3" in result.failure
        assert [each.code for each in result.violations] == ["SCH001"]  # of the other collection
