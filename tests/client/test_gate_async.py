"""The gate for tasks: as for threads, and cancellation at any moment."""

import asyncio
import os
import time
from typing import Any

import pymongo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import integrity
from integrity.client import AsyncGate
from integrity.errors import PoolTimeout
from tests.client.warehouse import Part


async def turns(number: int = 3) -> None:
    """Let every task run that can."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_more_than_the_limit_wait_and_are_refused() -> None:
    gate = AsyncGate(1, 1, 0.5, lambda: (2, 0, 0))  # long enough that a loaded machine is not taken for a stalled loop
    async with gate.permit(), gate.permit():
        with pytest.raises(PoolTimeout) as caught:
            async with gate.permit():
                pass
    assert caught.value.waited >= 0.5
    assert (caught.value.in_use, caught.value.waiting, caught.value.cause) == (2, 1, "exhausted")
    assert gate.in_use == 0


async def test_those_who_wait_are_served_in_their_order_and_a_commit_first() -> None:
    gate = AsyncGate(1, 0, 10.0)
    order: list[Any] = []

    async def one(name: Any) -> None:
        async with gate.urgent() if name == "commit" else gate.permit():
            order.append(name)

    async with gate.permit():
        tasks = []
        for name in (0, 1, 2, "commit"):
            tasks.append(asyncio.create_task(one(name)))
            await turns()
    await asyncio.gather(*tasks)
    assert order == ["commit", 0, 1, 2]


async def test_a_thousand_cancelled_tasks_leave_the_counter_at_zero() -> None:
    gate = AsyncGate(5, 5, 10.0)

    async def one() -> None:
        async with gate.permit():
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(one()) for _ in range(1000)]
    await turns()
    assert (gate.in_use, gate.waiting) == (10, 990)
    for task in tasks:
        task.cancel()
    assert {type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)} == {asyncio.CancelledError}
    assert (gate.in_use, gate.waiting) == (0, 0)


async def test_a_permit_handed_to_a_task_that_is_cancelled_at_once_goes_on_to_the_next() -> None:
    gate = AsyncGate(1, 0, 10.0)
    served: list[str] = []

    async def one(name: str) -> None:
        async with gate.permit():
            served.append(name)

    await gate.acquire()
    first, second = asyncio.create_task(one("first")), asyncio.create_task(one("second"))
    await turns()
    gate.release()  # handed to the first, which has not run yet
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert served == ["second"]
    assert gate.in_use == 0


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["start", "finish", "cancel", "turn"]), st.integers(0, 30)), max_size=60)
)
def test_whatever_the_order_of_starts_ends_and_cancellations_the_limit_holds_and_nothing_leaks(
    steps: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        gate = AsyncGate(2, 1, 30.0)
        inside: set[int] = set()
        tasks: list[asyncio.Task[None]] = []
        ends: list[asyncio.Event] = []

        async def one(number: int, end: asyncio.Event) -> None:
            async with gate.permit():
                inside.add(number)
                try:
                    await end.wait()
                finally:
                    inside.discard(number)

        for step, which in steps:
            if step == "start":
                ends.append(asyncio.Event())
                tasks.append(asyncio.create_task(one(len(tasks), ends[-1])))
            elif step == "turn":
                await turns(1)
            elif tasks:
                number = which % len(tasks)
                ends[number].set() if step == "finish" else tasks[number].cancel()
            assert len(inside) <= 3
            assert 0 <= gate.in_use <= 3
        for end in ends:
            end.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (gate.in_use, gate.waiting, inside) == (0, 0, set())

    asyncio.run(play())


async def test_a_loop_that_stands_still_is_named_as_the_cause() -> None:
    """The holder has its reply and cannot read it: to say that the pool is exhausted would mislead."""
    gate = AsyncGate(1, 0, 0.1, lambda: (1, 0, 0))
    await gate.acquire()

    async def wait() -> None:
        async with gate.permit():
            pass

    task = asyncio.create_task(wait())
    await turns()
    time.sleep(0.3)  # noqa: ASYNC251 - this is the fault
    with pytest.raises(PoolTimeout) as caught:
        await task
    assert caught.value.cause == "loop stalled"
    assert "event loop stood still" in str(caught.value)
    gate.release()


async def test_who_waited_while_the_loop_stood_still_is_served_when_a_reply_had_come() -> None:
    gate = AsyncGate(1, 0, 0.1)
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
    )

    async def hold() -> None:
        async with gate.permit():
            await reader.readexactly(1)  # a server's reply
            await turns(10)  # what a driver has to do with it

    async def wait() -> str:
        async with gate.permit():
            return "served"

    holder = asyncio.create_task(hold())
    waiter = asyncio.create_task(wait())
    await turns()
    os.write(writing, b"x")
    time.sleep(0.3)  # noqa: ASYNC251 - this is the fault
    assert await waiter == "served"
    await holder
    os.close(writing)
    transport.close()


async def test_a_wait_ends_with_the_callers_own_deadline() -> None:
    gate = AsyncGate(1, 0, 30.0)
    async with gate.permit():
        with pymongo.timeout(0.05), pytest.raises(PoolTimeout) as caught:
            async with gate.permit():
                pass
    assert caught.value.waited < 30


def test_a_client_of_another_loop_is_refused_in_words() -> None:
    gate = AsyncGate(1, 0, 1.0)

    async def use() -> None:
        async with gate.permit():
            pass

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use())
    assert gate.in_use == 0


def test_without_a_loop_of_asyncio_the_way_out_is_said() -> None:
    """A task of Trio's is stepped by another scheduler, and would be told "no running event loop" and no more."""
    db = integrity.aio.connect("mongodb://127.0.0.1:1/shop", models=[Part])
    for coroutine in (db[Part].insert_one({"_id": 1}), db.__aenter__(), db.close(), AsyncGate(1, 0, 1.0).acquire()):
        with pytest.raises(
            RuntimeError, match=r"needs an event loop of asyncio.* under Trio call integrity\.connect in"
        ):
            coroutine.send(None)
    asyncio.run(db.close())
