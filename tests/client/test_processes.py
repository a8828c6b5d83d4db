"""One client a process and loop: shared inside, never across a fork."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.read_concern import ReadConcern

import integrity
from integrity.client import Pool, open_async_client, open_client
from integrity.client.processes import CLIENTS
from integrity.writes.references.pins import COLUMNS, Columns
from tests.client.warehouse import Part

SMALL = Pool(size=2, max_overflow=1, application_name="processes")


def test_who_opens_the_same_again_shares_the_client_and_the_last_closes_it(uri: str) -> None:
    first, second = open_client(uri, SMALL), open_client(uri, SMALL)
    assert first.client is second.client
    assert first.gate is second.gate
    first.close()
    first.close()  # twice is once
    assert second.client.admin.command("ping")["ok"] == 1
    second.close()
    assert len(CLIENTS) == 0
    with open_client(uri, SMALL) as third:
        assert third.client is not second.client


def test_other_arguments_make_another_client(uri: str) -> None:
    with open_client(uri, SMALL) as first, open_client(uri, Pool(size=3)) as second:
        assert first.client is not second.client
    with open_client(uri, SMALL) as first, open_client(uri, SMALL, tz_aware=True) as second:
        assert first.client is not second.client
    with open_client(uri, SMALL, event_listeners=[]) as first, open_client(uri, SMALL, event_listeners=[]) as second:
        assert first.client is not second.client, "what cannot be compared is not shared"


async def test_a_loop_shares_its_asynchronous_client(uri: str) -> None:
    async with open_async_client(uri, SMALL) as first, open_async_client(uri, SMALL) as second:
        assert first.client is second.client


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_what_could_not_be_opened_holds_no_client(driver: Any, uri: str) -> None:
    """Who opens the same again would share it, and the last to close it would not be the last."""
    with pytest.raises(integrity.IntegrityError, match="No database is named"):
        integrity.aio.connect(uri, models=[Part], pool=SMALL, driver=driver)
    assert len(CLIENTS) == 0
    async with integrity.aio.connect(uri, models=[Part], pool=SMALL, driver=driver, database="shop") as db:
        await db[Part].count_documents({})
    assert len(CLIENTS) == 0


def test_each_loop_has_its_own_asynchronous_client(uri: str) -> None:
    async def use() -> Any:
        opened = open_async_client(uri, SMALL)
        await opened.client.admin.command("ping")
        await opened.close()
        return opened.client

    assert asyncio.run(use()) is not asyncio.run(use())


def test_a_loop_that_is_closed_is_forgotten(uri: str) -> None:
    async def leave_open() -> Any:
        opened = open_async_client(uri, SMALL)
        await opened.client.admin.command("ping")
        await opened.client.close()  # the client itself, not the handle
        return opened

    asyncio.run(leave_open())
    assert len(CLIENTS) == 1

    async def use() -> None:
        async with open_async_client(uri, SMALL):
            assert len(CLIENTS) == 1

    asyncio.run(use())
    assert len(CLIENTS) == 0


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            result = json.dumps(work())
        except BaseException as error:  # noqa: BLE001 - the child must not run the parent's tests
            result = json.dumps(repr(error))
        os.write(writing, result.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(text)


def named(application: str) -> Pool:
    """Return a pool whose connections are told from those of the tests before, which the server may still list."""
    return Pool(size=2, max_overflow=1, application_name=application)


def ports(opened: Any) -> list[int]:
    """Return the ports from which the server sees the client's connections; a socket has one of its own."""
    pipeline = [
        {"$currentOp": {"allUsers": True, "idleConnections": True}},
        {"$match": {"appName": opened.settings.application_name}},
    ]
    admin = opened.client.get_database("admin", read_concern=ReadConcern("local"))  # $currentOp knows no other
    return [int(each["client"].rpartition(":")[2]) for each in admin.aggregate(pipeline)]


def test_a_forked_child_makes_its_own_client_and_shares_no_socket(uri: str) -> None:
    pool = named("a forked child")
    with open_client(uri, pool) as opened:
        opened.warm()
        before = set(ports(opened))

        def child() -> Any:
            mine = open_client(uri, pool)
            fresh = mine.client is not opened.client
            mine.warm()
            added = sorted(set(ports(mine)) - before)
            stats = mine.stats()
            mine.close()
            return [fresh, added, stats.requests, sum(each.created for each in stats.servers.values())]

        fresh, added, requests, created = in_child(child)
        assert fresh
        assert (requests, created) == (0, 2)
        assert len(added) >= 2 + 1, "two connections and a monitor or two, none of them the parent's"
        # The parent's connections still work, and are the same: the child closed none of them.
        assert opened.client.admin.command("ping")["ok"] == 1
        assert before <= set(ports(opened))


def test_a_child_that_was_forked_while_all_permits_were_taken_starts_with_all_of_them_free(uri: str) -> None:
    with open_client(uri, SMALL) as opened, opened.gate.permit(), opened.gate.permit(), opened.gate.permit():
        assert in_child(lambda: [opened.stats().in_use, opened.stats().requests, opened.streams.open]) == [0, 0, 0]
        assert opened.stats().in_use == 3


def test_a_child_that_was_forked_while_a_thread_took_a_pin_column_takes_one_of_its_own() -> None:
    columns = Columns()
    with columns._lock:  # as another thread of the parent would hold it

        def child() -> int:
            signal.alarm(10)  # it would wait for a thread that is not there
            with columns.one() as column:
                return column

        assert in_child(child) in range(COLUMNS)


def test_a_forked_child_counts_as_begun_when_its_new_lock_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread of the child that sees that it has begun takes the lock: the old one may be held for ever."""
    columns, seen, make = Columns(), [], threading.Lock
    columns._process = -1

    def lock() -> Any:
        seen.append(columns._process)
        return make()

    monkeypatch.setattr(threading, "Lock", lock)
    with columns.one():
        assert seen == [-1]
    assert columns._process == os.getpid()


@pytest.mark.filterwarnings("ignore:MongoClient opened before fork:UserWarning")  # the driver's, and it is right
def test_a_blocking_handle_of_the_parent_works_in_the_child_over_sockets_of_its_own(uri: str) -> None:
    with open_client(uri, named("a handle of the parent")) as opened:
        opened.warm()
        before = set(ports(opened))
        added = in_child(lambda: sorted(set(ports(opened)) - before))
        assert added
        assert opened.client.admin.command("ping")["ok"] == 1


def test_an_asynchronous_client_that_nobody_used_before_the_fork_belongs_to_the_child(uri: str) -> None:
    """What a preloaded application does that opens it at import."""
    opened = open_async_client(uri, SMALL)

    async def child() -> Any:
        async with opened.gate.permit():
            return (await opened.client.admin.command("ping"))["ok"]

    assert in_child(lambda: asyncio.run(child())) == 1
    asyncio.run(opened.close())


def test_an_asynchronous_client_of_the_parent_is_refused_in_the_child_in_words(uri: str) -> None:
    """It would hang, or read the parent's replies."""
    program = textwrap.dedent(f"""
        import asyncio, os, sys
        from integrity.client import open_async_client

        opened = None

        async def use():
            async with opened.gate.permit():
                await opened.client.admin.command("ping")

        async def parent():
            global opened
            opened = open_async_client({uri!r})
            await use()
            if os.fork() == 0:
                try:
                    asyncio.run(use())
                except RuntimeError as error:
                    print(error, flush=True)
                os._exit(0)
            os.wait()
            await opened.close()

        asyncio.run(parent())
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "opened before the process was forked" in done.stdout
    assert "integrity.aio.connect in the child" in done.stdout
