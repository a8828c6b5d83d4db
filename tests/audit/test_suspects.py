"""Where the suspects are found: by the server, or here, and what decides it. The findings are the same."""

import math
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, MongoClient
from pymongo.database import Database
from pymongo.errors import InvalidOperation

from integrity.audit import Options, Pace, audit, columns, describe, plans, sooner
from integrity.audit.plan import Known
from integrity.audit.source import Source
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.asynchronous import AsyncStore
from integrity.store.blocking import BlockingStore
from integrity.store.port import Pages
from integrity.store.run import run
from tests.audit.conftest import audited
from tests.audit.shop import Box, Item

SHOP = str(Path(__file__).parent / "shop.py")
MANY = 3000
Raw = Database[dict[str, Any]]


@pytest.fixture
def shop(database: Raw) -> Raw:
    """Items, in two replies of the size that they are fetched in, some of them wrong."""
    database.items.insert_many(
        {"_id": i, "code": f"c{i}", "size": "x" if i % 997 == 0 else i, "more": "y" * (i % 7)}
        if i % 500 == 0
        else {"_id": i, "code": f"c{i}", "size": "x" if i % 997 == 0 else i}
        for i in range(MANY)
    )
    return database


def test_a_few_documents_are_the_servers_to_look_through(shop: Raw) -> None:
    (plan,) = run(plans(BlockingStore(shop), Registry([Item])))
    assert plan.suspects == "server"


@pytest.mark.parametrize(
    ("documents", "average", "many"),
    [
        (1_000_000, 300, 4000),
        (20_000, 300, 4000),
        (19_999, 300, 0),
        (1_000_000, 10_000, 400),
        (1_000_000, 30_000, 0),
        (1_000_000, None, 0),
    ],
)
def test_it_is_tried_with_some_thousand_documents_where_there_are_many(
    documents: int, average: int | None, many: int
) -> None:
    assert columns.trial(Source("items", documents=documents, average=average)) == many


@pytest.mark.parametrize("quicker", [True, False])
def test_the_quicker_one_is_taken(shop: Raw, quicker: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is tried twice: one that took its time once may have waited for a disk."""
    monkeypatch.setattr(columns, "_LEAST", 1)
    fetched, seconds = fetches(monkeypatch), sooner.seconds
    # The server's way and this one, and once more.
    times = [9.0, 9.0, 2.0, 1.0] if quicker else [9.0, 9.0, 1.0, 2.0]

    async def timed(work: Any) -> float:
        await seconds(work)
        return times.pop(0)

    monkeypatch.setattr("integrity.audit.nearer.seconds", timed)
    found = audited(BlockingStore(shop), [Item])
    assert not times
    # Two trials of one reply each; and then everything, or nothing.
    assert len(fetched) == (2 + 1 if quicker else 2)
    assert found.places == audited(BlockingStore(shop), [Item], Options(pushdown=False)).places


def fetches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The readings of documents as they are stored."""
    found: list[Any] = []
    own = BlockingStore.pages

    def pages(self: BlockingStore, *args: Any, **options: Any) -> Pages:
        found.append(options)
        return own(self, *args, **options)

    monkeypatch.setattr(BlockingStore, "pages", pages)
    return found


def test_nothing_is_tried_under_a_rate_or_while_the_pause_file_is_there(
    shop: Raw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(columns, "_LEAST", 1)
    fetched, pause = fetches(monkeypatch), tmp_path / "pause"

    class Sleeping(BlockingStore):
        async def sleep(self, seconds: float) -> None:
            del seconds
            assert not fetched
            pause.unlink(missing_ok=True)

    audited(Sleeping(shop), [Item], pace=Pace(rate=1e9))
    assert not fetched
    pause.touch()
    audited(Sleeping(shop), [Item], pace=Pace(pause=pause))
    assert not pause.exists()
    assert fetched


def test_it_is_tried_for_real(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_LEAST", 1)
    found = audited(BlockingStore(shop), [Item])
    assert (found.complete, found.counts["items"]["SCH004"], found.counts["items"]["SCH001"]) == (True, 6, 4)


def test_where_documents_cannot_be_fetched_so_the_server_finds_them(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that encrypts fields has no such cursor."""
    monkeypatch.setattr(columns, "_LEAST", 1)

    def pages(*_: Any, **__: Any) -> Pages:
        raise InvalidOperation("find_raw_batches does not support auto encryption")

    monkeypatch.setattr(BlockingStore, "pages", pages)
    assert len(audited(BlockingStore(shop), [Item]).violations) == 10


def test_without_numpy_the_server_finds_them(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_LEAST", 1)
    known = Known(Source("items", documents=MANY, average=60), (("items", "collection"),), suspects="client")
    monkeypatch.setattr(columns, "columns", lambda: False)
    monkeypatch.setattr("integrity.audit.scan.columns", lambda: False)
    monkeypatch.setattr("integrity.audit.options.columns", lambda: False)
    fetched = fetches(monkeypatch)
    assert len(audited(BlockingStore(shop), [Item]).violations) == 10
    with pytest.raises(AuditError) as refused:
        Options(suspects="client")
    assert str(refused.value) == (
        "To find the suspects in the client takes numpy, which is not installed: pip install "
        "'mongo-integrity[audit]', or let the server find them."
    )
    # A worker without it finds the same by the same plan.
    plan = known.plan(Registry([Item]).by_collection("items"), Options())  # type: ignore[arg-type]  # it is declared
    assert plan.suspects == "client"
    monkeypatch.setattr(Known, "plan", lambda *_: plan)
    assert len(audited(BlockingStore(shop), [Item]).violations) == 10
    assert not fetched


def test_numpy_is_imported_by_nobody_who_needs_it_not() -> None:
    program = "import sys, integrity.audit, integrity.cli.audit; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_plan_says_where(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    def described(options: Options) -> list[str]:
        return describe(run(plans(BlockingStore(shop), Registry([Item]), options))[0]).splitlines()

    server = "  field rules: the server reads every document and returns the suspects:"
    here = "  field rules: every document is fetched as it is stored, and the suspects are found here, by columns"
    either = "  or, where documents come quicker than that answer, each as it is stored: they are found here"
    assert described(Options())[1] == server
    assert either not in described(Options())
    monkeypatch.setattr(columns, "_LEAST", 1)
    assert (described(Options())[1], described(Options())[3]) == (server, either)
    assert either not in described(Options(suspects="server"))
    assert described(Options(suspects="client"))[1] == here
    assert server not in described(Options(suspects="client"))
    assert here not in described(Options(suspects="client", pushdown=False))
    assert here not in described(Options(suspects="client", select=("UNQ",)))


def test_no_cursor_is_left_where_an_audit_is_stopped(
    shop: Raw, client: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two replies: the server has nothing open afterwards."""
    monkeypatch.setattr("integrity.audit.sieve.sifter._MOST", 100)
    own, read = BlockingStore.pages, []

    def pages(self: BlockingStore, *args: Any, **options: Any) -> Pages:
        found = own(self, *args, **options)
        following = found.next

        async def next_() -> bytes:
            read.append(threading.current_thread())
            if len(read) == 3:
                raise KeyboardInterrupt
            return await following()

        monkeypatch.setattr(found, "next", next_, raising=False)
        return found

    monkeypatch.setattr(BlockingStore, "pages", pages)

    def opened() -> int:
        return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])

    before = opened()
    with pytest.raises(KeyboardInterrupt):
        audited(BlockingStore(shop), [Item], Options(suspects="client"))
    assert len(read) == 3
    assert opened() == before


async def test_an_asynchronous_store_finds_the_same(shop: Raw, uri: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri)
    try:
        store = AsyncStore(client[shop.name])
        with await audit(store, Registry([Item]), Options(suspects="client")) as result:
            assert result.complete
            assert len(list(result.violations)) == 10
    finally:
        await client.close()


def test_what_is_changed_meanwhile_is_not_reported(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every finding is read again: what was mended after it was fetched is not one any more."""
    own = BlockingStore.find

    def find(self: BlockingStore, *args: Any, **options: Any) -> Any:
        shop.items.update_many({"size": "x"}, {"$set": {"size": 1}})
        return own(self, *args, **options)

    monkeypatch.setattr(BlockingStore, "find", find)
    found = audited(BlockingStore(shop), [Item], Options(suspects="client", select=("SCH001",)))
    assert (found.complete, found.violations) == (True, [])


def test_progress_is_told_while_documents_are_fetched(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrity.audit.sieve.sifter._MOST", 100)
    monkeypatch.setattr("integrity.audit.scan._SECONDS", 0.0)
    told: list[int] = []

    def progress(each: Any) -> None:
        told.append(each.done)

    found = audited(BlockingStore(shop), [Item], Options(suspects="client", select=("SCH",)), progress=progress)
    assert len(found.violations) == 10
    assert told == sorted(told)
    assert len(set(told)) > MANY // 200
    assert told[-1] == MANY


def test_references_copies_and_constraints_are_judged_beside_it(shop: Raw) -> None:
    shop.boxes.insert_many([{"_id": 1, "item": 1, "code": "c1"}, {"_id": 2, "item": -1}, {"_id": 3, "item": 2}])
    shop.items.insert_one({"_id": "twice", "code": "c1", "size": 1})
    store = BlockingStore(shop)
    found = audited(store, [Item, Box], Options(suspects="client"))
    assert found.codes["UNQ001"] == 2
    assert found.codes["REF001"] == 1
    assert found.codes["OWN001"] == 1
    assert sorted(map(repr, found.violations)) == sorted(map(repr, audited(store, [Item, Box]).violations))


@pytest.mark.parametrize("slow", [True, False])
def test_the_next_reply_is_under_way_where_it_takes_long(
    shop: Raw, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    monkeypatch.setattr("integrity.audit.sieve.sifter._MOST", 100)
    monkeypatch.setattr("integrity.audit.sieve.sifter._SLOW", 0.0 if slow else math.inf)
    fetched, beside = [], []
    own = BlockingStore.overlapped

    async def overlapped(self: BlockingStore, sending: Any, work: Any) -> Any:
        beside.append(work.__qualname__)
        return await own(self, sending, work)

    monkeypatch.setattr(BlockingStore, "overlapped", overlapped)
    fetched += audited(BlockingStore(shop), [Item], Options(suspects="client", select=("SCH",))).violations
    assert len(fetched) == 10
    # All but the first: of that, it is seen how long it takes.
    assert beside == (["Sifter._at_fault"] * (MANY // 100 - 1) if slow else [])


def test_code_and_symbols_in_any_field_are_found_by_both(database: Raw, uri: str) -> None:
    """A symbol that stands for nothing, and code that is no UTF-8, are strings to Python."""
    raw = [
        _stored(0, 0x0E, b"N/A"),
        _stored(1, 0x0E, b"plain"),
        _stored(2, 0x0D, b"\xff"),
        _stored(3, 0x0D, b"return 1"),
        _stored(4, 0x02, b"plain"),
    ]

    class Loose(Model, collection="loose"):
        id: int
        value: Any

    with MongoClient[RawBSONDocument](uri, document_class=RawBSONDocument) as client:
        client[database.name].loose.insert_many([RawBSONDocument(each) for each in raw])
    store = BlockingStore(database)
    every = [audited(store, [Loose], each) for each in (Options(pushdown=False), *map(_by, ("server", "client")))]
    assert {repr(sorted(map(repr, each.violations))) for each in every} == {
        repr(sorted(map(repr, every[0].violations)))
    }
    assert {each.id for each in every[0].violations} == {0, 2}


def _by(where: Any) -> Options:
    return Options(suspects=where)


def _stored(number: int, kind: int, text: bytes) -> bytes:
    """A document with a text of a type that the driver does not write."""
    text = struct.pack("<i", len(text) + 1) + text + b"\0"
    body = b"\x10_id\0" + struct.pack("<i", number) + bytes((kind,)) + b"value\0" + text + b"\0"
    return struct.pack("<i", len(body) + 4) + body
