"""Judging in other processes stores the same, reports the same, and happens there."""

import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import BulkWriteError

import integrity
from integrity import InvalidBulkWrite, Model
from integrity.client import offload
from tests.client.warehouse import Part

Document = dict[str, Any]
MANY = 2500  # more than one portion

#: A module that another machine, or an interpreter with fewer packages, does not have.
HERE_ONLY = """
import multiprocessing
from integrity import Model

if multiprocessing.parent_process() is not None:
    raise ImportError("not in a worker")

class Part(Model, collection="parts"):
    id: int
"""


def nameless() -> None:
    """A function that no module has under its name: of a local one, the pickler says something else."""


nameless.__qualname__ = "nobody"


def documents(number: int) -> list[Document]:
    """Valid ones, and of each seven one that is empty, one that is out of range, one to be coerced."""
    made: list[Document] = [
        {"_id": each, "name": f"part {each}", "price": 1.5, "tags": ["a"]} for each in range(number)
    ]
    for each in range(0, number, 7):
        made[each]["name"] = "  "
    for each in range(1, number, 7):
        made[each]["price"] = -1
    for each in range(2, number, 7):
        made[each]["price"] = "2.5"
    return made


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture
async def db(uri: str, database_name: str, executor: ProcessPoolExecutor) -> AsyncIterator[integrity.aio.Database]:
    async with integrity.aio.connect(uri, models=[Part], database=database_name, executor=executor) as db:
        yield db


@pytest.fixture
def stored(client: MongoClient[Document], database_name: str) -> Any:
    return client[database_name].parts


async def test_what_is_valid_is_judged_and_encoded_elsewhere(db: integrity.aio.Database, stored: Any) -> None:
    given = [each for each in documents(MANY) if each["_id"] % 7 > 1]
    for each in given[::2]:
        del each["_id"]
    found = await db[Part].insert_many(given)
    assert found.inserted_ids == [each["_id"] for each in given], "who left an _id out is told it"
    assert [each["_id"] for each in stored.find()] == found.inserted_ids
    assert {each["price"] for each in stored.find()} == {1.5, 2.5}
    assert os.getpid() not in stored.distinct("judged_by")
    assert set(stored.distinct("judged_by"))


async def test_a_few_are_judged_here(db: integrity.aio.Database, stored: Any) -> None:
    await db[Part].insert_many([each for each in documents(offload.FEW - 1) if each["_id"] % 7 > 1])
    assert stored.distinct("judged_by") == [os.getpid()]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("first", [0, 1500])
async def test_what_is_refused_is_reported_as_if_it_were_judged_here(
    uri: str, db: integrity.aio.Database, stored: Any, ordered: bool, first: int
) -> None:
    given = [each for each in documents(MANY) if each["_id"] >= first or each["_id"] % 7 > 1]
    with pytest.raises(InvalidBulkWrite) as elsewhere:
        await db[Part].insert_many([dict(each) for each in given], ordered=ordered)
    kept = [each["_id"] for each in stored.find()]
    stored.drop()
    async with integrity.aio.connect(uri, models=[Part], database=db.name) as inline:
        with pytest.raises(InvalidBulkWrite) as here:
            await inline[Part].insert_many([dict(each) for each in given], ordered=ordered)
    assert elsewhere.value.violations == here.value.violations
    assert str(elsewhere.value) == str(here.value)
    assert kept == [each["_id"] for each in stored.find()]


async def test_what_the_server_refuses_has_its_index(db: integrity.aio.Database, stored: Any) -> None:
    stored.insert_one({"_id": 1203, "name": "there already"})
    given = [each for each in documents(MANY) if each["_id"] % 7 > 1]
    with pytest.raises(BulkWriteError) as caught:
        await db[Part].insert_many(given)
    (error,) = caught.value.details["writeErrors"]
    assert given[error["index"]]["_id"] == 1203
    assert error["op"]["name"] == "part 1203"
    assert stored.count_documents({}) == error["index"] + 1


async def test_a_duplicate_is_named_as_if_it_were_judged_here(db: integrity.aio.Database) -> None:
    given = [{"_id": each, "name": "x", "price": 1, "tags": ["b"], "code": f"c{each}"} for each in range(offload.FEW)]
    given[70]["code"] = "C7"
    with pytest.raises(InvalidBulkWrite, match=r"code: is 'C7', which is taken") as refused:
        await db[Part].insert_many(given)
    assert [each.id for each in refused.value.violations] == [70]


def nested() -> type[Model]:
    class Inside(Model, collection="parts"):
        id: int
        name: str

    return Inside


async def test_what_no_other_process_can_do_is_done_here_and_said(
    uri: str, database_name: str, stored: Any, executor: ProcessPoolExecutor
) -> None:
    model = nested()
    given = [{"_id": each, "name": "x"} for each in range(offload.FEW)]
    async with integrity.aio.connect(uri, models=[model], database=database_name, executor=executor) as db:
        with pytest.warns(RuntimeWarning, match="cannot import Inside"):
            await db[model].insert_many(given)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as shut:
        shut.shutdown()
    async with integrity.aio.connect(uri, models=[Part], database=database_name, executor=shut) as db:
        with pytest.warns(RuntimeWarning, match="the executor is broken"):
            await db[Part].insert_many(
                [{"_id": 1000 + each, "name": "y", "price": 1, "tags": ["b"]} for each in range(offload.FEW)]
            )
    assert stored.count_documents({}) == 2 * offload.FEW


async def test_a_document_that_cannot_be_sent_is_judged_here(db: integrity.aio.Database, stored: Any) -> None:
    given = [{"_id": each, "name": "x", "price": 1, "tags": ["b"]} for each in range(offload.FEW)]
    given[70]["code"] = nameless
    with (
        pytest.warns(RuntimeWarning, match="a document cannot be sent"),
        pytest.raises(InvalidBulkWrite, match=r"\(request 70\)"),
    ):
        await db[Part].insert_many(given)
    assert stored.distinct("judged_by") == [os.getpid()]


async def test_a_process_that_cannot_import_a_model_leaves_it_to_this_one(
    uri: str, database_name: str, stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here_only.py").write_text(HERE_ONLY)
    monkeypatch.syspath_prepend(tmp_path)
    model = import_module("here_only").Part
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        async with integrity.aio.connect(uri, models=[model], database=database_name, executor=executor) as db:
            with pytest.warns(RuntimeWarning, match=r"cannot import Part \(not in a worker\)"):
                await db[model].insert_many([{"_id": each} for each in range(offload.FEW)])
    assert stored.count_documents({}) == offload.FEW
