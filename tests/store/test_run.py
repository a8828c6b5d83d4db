"""Core code over a blocking store is a coroutine that never suspends, and is run without a loop."""

import asyncio
import traceback
from collections.abc import Awaitable
from typing import Any

import pytest

from integrity.store.run import run


async def fails() -> None:
    raise LookupError("gone")


async def adds(first: int, second: int) -> int:
    async def inner() -> int:
        return first + second

    return await inner()


def test_the_result_comes_back_without_a_loop() -> None:
    assert run(adds(1, 2)) == 3
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_it_works_inside_a_running_loop_too() -> None:
    async def outer() -> int:
        return run(adds(1, 2))

    assert asyncio.run(outer()) == 3


def test_it_may_run_inside_itself() -> None:
    async def outer() -> int:
        return run(adds(1, 2)) + 1

    assert run(outer()) == 4


def test_an_error_comes_with_a_contiguous_traceback() -> None:
    with pytest.raises(LookupError) as raised:
        run(fails())
    frames = [each.name for each in traceback.extract_tb(raised.value.__traceback__)]
    assert frames[-2:] == ["run", "fails"]


def test_a_stop_iteration_of_the_codes_own_is_no_result() -> None:
    async def stops() -> None:
        raise StopIteration(5)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        run(stops())


def test_a_coroutine_that_suspends_is_refused_and_closed() -> None:
    closed = []

    async def sleeps() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            closed.append(True)

    async def outer() -> None:
        run(sleeps())

    with pytest.raises(RuntimeError, match=r"awaits an event loop over a blocking store; use integrity\.aio"):
        asyncio.run(outer())
    assert closed == [True]


def test_a_forgotten_await_is_an_error_and_not_a_result() -> None:
    async def forgets() -> Any:
        return adds(1, 2)

    async def uses(value: Awaitable[int]) -> int:
        return value + 1  # type: ignore[operator]  # what a type checker refuses

    result = run(forgets())
    with pytest.raises(TypeError):
        run(uses(result))
    result.close()
