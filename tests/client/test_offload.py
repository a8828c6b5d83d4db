"""Judging in pieces or in other processes says the same as judging inline, and does not hold up the loop."""

import asyncio
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from integrity.client import offload

MODELS = "tests.client.warehouse"


def documents(number: int) -> list[dict[str, Any]]:
    """Valid ones, and of each seven one that is empty, one that is out of range, one to be coerced."""
    made: list[dict[str, Any]] = [
        {"_id": each, "name": f"part {each}", "price": 1.5, "tags": ["a"]} for each in range(number)
    ]
    for each in range(0, number, 7):
        made[each]["name"] = "  "
    for each in range(1, number, 7):
        made[each]["price"] = -1
    for each in range(2, number, 7):
        made[each]["price"] = "2.5"
    return made


def inline(given: list[dict[str, Any]]) -> list[Any]:
    judge = offload.judge_of(MODELS, "parts")
    return [judge.offered(each) for each in given]


async def test_other_processes_give_the_same_verdicts_in_the_same_order() -> None:
    given = documents(offload.MANY + 123)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        verdicts = await offload.judge(MODELS, "parts", given, executor)
    expected = inline(given)
    assert [each.violations for each in verdicts] == [each.violations for each in expected]
    assert [each.document for each in verdicts if not each.violations] == [
        each.document for each in expected if not each.violations
    ]
    assert {each.violations[0].code for each in verdicts if each.violations} == {"EMP002", "SCH003"}
    assert verdicts[2].document["price"] == 2.5


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 1000])
async def test_pieces_give_the_same_verdicts(number: int) -> None:
    given = documents(number)
    assert await offload.judge(MODELS, "parts", given) == inline(given)


async def test_between_two_pieces_others_have_their_turn() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await offload.judge(MODELS, "parts", documents(offload.PIECE * 10))
    task.cancel()
    assert turns >= 10


async def test_few_are_not_sent_anywhere() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        executor.shutdown()  # it would refuse
        assert await offload.judge(MODELS, "parts", documents(5), executor) == inline(documents(5))


async def test_a_collection_without_a_model_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match="no model with the collection lorries"):
        await offload.judge(MODELS, "lorries", documents(1))
