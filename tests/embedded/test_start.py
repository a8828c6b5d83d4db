"""A `with` block is a server: there inside, gone outside, in private."""

import asyncio
import stat
import threading
from pathlib import Path
from typing import Self

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import OperationFailure

from integrity.embedded import Mongod, MongodFailed
from tests.embedded.system import alive, eventually, listening_addresses

LOOPBACK = {"0100007F"}


def test_a_replica_set_has_transactions(mongod: Mongod, database_name: str) -> None:
    with MongoClient[dict[str, object]](mongod.uri) as client:
        collection = client[database_name].things
        with client.start_session() as session, session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
        assert collection.count_documents({}) == 1


def test_a_standalone_server_has_no_transactions(standalone: Mongod) -> None:
    with MongoClient[dict[str, object]](standalone.uri) as client:
        assert "setName" not in client.admin.command("hello")
        with (
            client.start_session() as session,
            pytest.raises(OperationFailure, match="Transaction numbers are only allowed"),
            session.start_transaction(),
        ):
            client.database.things.insert_one({"_id": 1}, session=session)


def test_it_listens_on_the_loopback_interface_only(mongod: Mongod) -> None:
    (member,) = mongod.members
    assert listening_addresses(member.port) == LOOPBACK
    assert not list(Path("/tmp").glob(f"mongodb-{member.port}.sock"))  # noqa: S108 - where mongod would put it


def test_only_its_owner_can_read_the_files(mongod: Mongod) -> None:
    folder = mongod.members[0].folder
    for each in (folder, folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_a_given_folder_keeps_its_mode_and_what_is_put_in_it_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Mongod(tmp_path, standalone=True):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o700}


def test_nothing_is_left_after_the_block() -> None:
    with Mongod() as server:
        (member,) = server.members
    assert not alive(member.pid)
    assert not member.folder.parent.exists()
    assert server.members == ()


def test_nothing_is_left_when_the_block_raises() -> None:
    seen = []

    def body() -> None:
        with Mongod(standalone=True) as server:
            seen.append(server.members[0])
            raise LookupError("the body's own")

    with pytest.raises(LookupError, match="the body's own"):
        body()
    assert not alive(seen[0].pid)
    assert not seen[0].folder.parent.exists()


def test_the_asynchronous_form_does_not_block_the_loop() -> None:
    """A ticker beside the start-up goes on ticking."""

    async def measure() -> float:
        loop = asyncio.get_running_loop()
        longest, stop = 0.0, asyncio.Event()

        async def tick() -> None:
            nonlocal longest
            while not stop.is_set():
                before = loop.time()
                await asyncio.sleep(0.01)
                longest = max(longest, loop.time() - before)

        ticker = asyncio.create_task(tick())
        async with Mongod() as server, AsyncMongoClient[dict[str, object]](server.uri) as client:
            await client.database.things.insert_one({"_id": 1})
            pid = server.members[0].pid
        stop.set()
        await ticker
        assert not alive(pid)
        return longest

    assert asyncio.run(measure()) < 0.5  # a start takes about one second, a stop as long


async def test_a_cancelled_start_leaves_nothing() -> None:
    running, cancelled = threading.Event(), threading.Event()

    class Slow(Mongod):
        def start(self) -> Self:
            super().start()
            running.set()
            cancelled.wait(60)
            return self

    server = Slow()
    started = asyncio.create_task(server.__aenter__())
    await asyncio.to_thread(running.wait, 60)
    assert len(server.members) == 1
    started.cancel()
    await asyncio.sleep(0)  # the task hears of it
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await started
    assert not server.members, "nothing is left"


def test_the_thread_that_started_it_may_end() -> None:
    """PR_SET_PDEATHSIG alone would end the server with its thread."""
    server = Mongod(standalone=True)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        pid = server.members[0].pid
        assert not eventually(lambda: not alive(pid), seconds=0.5)
    finally:
        server.stop()


def test_start_and_stop_may_be_repeated() -> None:
    server = Mongod(standalone=True)
    for _ in range(2):
        with server:
            assert len(server.members) == 1
            with pytest.raises(RuntimeError, match="runs already"):
                server.start()
    server.stop()


def test_outside_the_block_there_is_no_uri() -> None:
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        _ = Mongod().uri


@pytest.mark.parametrize(("members", "standalone"), [(0, False), (8, False), (3, True)])
def test_impossible_numbers_of_members_are_refused(members: int, standalone: bool) -> None:
    with pytest.raises(ValueError, match="member"):
        Mongod(members=members, standalone=standalone)


def test_an_argument_that_mongod_refuses_is_quoted_from_its_own_words() -> None:
    with pytest.raises(MongodFailed, match="noSuchParameter"):
        Mongod(args=("--setParameter", "noSuchParameter=1")).start()
