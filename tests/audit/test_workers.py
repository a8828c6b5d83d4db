"""Workers that are lost, are not there, or are not what this process is: never a clean verdict, and one sentence."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import Options, State, Workers, Workplace
from integrity.cli import main
from integrity.cli.models import registry
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from tests.audit.conftest import audited
from tests.audit.shop import Box, Item

SHOP = str(Path(__file__).parent / "shop.py")


def deadly(models: str) -> Registry:
    """Loads the models, where it is not a worker's process."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return registry(models)


def broken(_: str) -> Registry:
    raise RuntimeError("no licence on this machine")


class Never(Executor):
    """Runs nothing: what is handed over waits, or is cancelled as by a scheduler that ends."""

    def __init__(self, *, cancels: bool = False) -> None:
        self.cancels = cancels
        self.futures: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future = Future[Any]()
        if self.cancels:
            future.cancel()
            future.set_running_or_notify_cancel()
        self.futures.append(future)
        return future


@pytest.fixture
def shop(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """Items, some of which are wrong, and no boxes."""
    database.items.insert_many({"_id": i, "code": f"c{i}", "size": i if i % 3 else "x"} for i in range(300))
    database.create_collection("boxes")
    return database


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def test_a_killed_worker_leaves_an_incomplete_audit_and_a_sentence(
    shop: Database[dict[str, Any]], uri: str, processes: ProcessPoolExecutor, tmp_path: Path
) -> None:
    workers = Workers(processes, Workplace(deadly, SHOP, uri, shop.name))
    with State(tmp_path / "state") as state:
        found = audited(BlockingStore(shop), [Item, Box], Options(partition=100), workers=workers, state=state)
    assert not found.complete
    assert found.failure == (
        "Reading 'items' ended after 0 of 300 documents: a worker was lost while it read: it was killed, as by a "
        "system whose memory ran out, or what runs the workers ended. Run it again with the same --state to go on."
    )


def test_what_runs_the_workers_may_end(shop: Database[dict[str, Any]], uri: str) -> None:
    """Dask cancels what was handed to a scheduler that is gone."""
    workers = Workers(Never(cancels=True), Workplace(registry, SHOP, uri, shop.name))
    found = audited(BlockingStore(shop), [Item, Box], workers=workers)
    assert not found.complete
    assert "a worker was lost while it read" in (found.failure or "")


def test_a_cluster_without_workers_is_not_waited_for_for_ever(
    shop: Database[dict[str, Any]], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrity.audit.workers._LOOK", 0.01)
    monkeypatch.setattr("integrity.audit.workers._PATIENCE", 0.05)
    many = iter([0, 1, 1, *[0] * 100])  # one came and went
    executor = Never()
    workers = Workers(executor, Workplace(registry, SHOP, uri, shop.name), many=lambda: next(many))
    found = audited(BlockingStore(shop), [Item, Box], workers=workers)
    assert not found.complete
    assert "there was no worker to read it" in (found.failure or "")
    assert all(each.cancelled() for each in executor.futures)


def test_what_the_executor_calls_a_loss_is_one(shop: Database[dict[str, Any]], uri: str) -> None:
    class Failing(Never):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future = super().submit()
            future.set_exception(LookupError("three workers died"))
            return future

    place = Workplace(registry, SHOP, uri, shop.name)
    found = audited(BlockingStore(shop), [Item, Box], workers=Workers(Failing(), place, lost=(LookupError,)))
    assert "a worker was lost while it read" in (found.failure or "")
    with pytest.raises(LookupError):
        audited(BlockingStore(shop), [Item, Box], workers=Workers(Failing(), place))


SAME_NAMES = """
from integrity import Model

class Item(Model, collection="items"):
    id: int
    code: str
    size: int {or_str}

class Box(Model, collection="boxes"):
    id: int
"""


def test_workers_with_other_models_are_refused(
    shop: Database[dict[str, Any]], uri: str, processes: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """A worker that runs for long has imported them before they were changed, and would call everything clean."""
    models = tmp_path / "shop_models.py"
    models.write_text(SAME_NAMES.format(or_str="| str"))
    place = Workplace(registry, str(models), uri, shop.name)
    assert audited(BlockingStore(shop), registry(str(models)), workers=Workers(processes, place)).codes == {}
    models.write_text(SAME_NAMES.format(or_str=""))
    with pytest.raises(AuditError, match=r"^A worker on .*, in the folder .*, has other models than this process"):
        audited(BlockingStore(shop), registry(str(models)), workers=Workers(processes, place))


def test_workers_without_the_models_say_where(
    shop: Database[dict[str, Any]], uri: str, processes: ProcessPoolExecutor
) -> None:
    workers = Workers(processes, Workplace(broken, SHOP, uri, shop.name))
    with pytest.raises(AuditError, match=r"A worker on .* cannot take up the models: no licence on this machine"):
        audited(BlockingStore(shop), [Item, Box], workers=workers)


EVERY_PROCESS = """
import datetime as dt, sys, time
from typing import Annotated
from pydantic import AfterValidator, Field
from integrity import Model
from integrity.audit.identity import declarations
from integrity.cli.models import registry

GOOD = frozenset({"alpha", "beta", "gamma", "delta"})

def good(value):
    if value not in GOOD and value not in {"one", "two", "three"}:
        raise ValueError("not good")
    return value

class Item(Model, collection="items"):
    id: int
    word: Annotated[str, AfterValidator(good)]
    when: dt.datetime = dt.datetime.now()
    serial: float = Field(default_factory=lambda: time.time())

if __name__ == "__main__":
    print(declarations(registry(sys.argv[1])))
"""


def test_declarations_are_told_alike_in_every_process(tmp_path: Path) -> None:
    """Whatever the hash seed, the name under which the file is imported, and what a default was computed to be."""
    (tmp_path / "things.py").write_text(EVERY_PROCESS)
    (tmp_path / "runpy.py").write_text(EVERY_PROCESS)  # a name that a module has already
    told = {
        subprocess.run(
            [sys.executable, tmp_path / "things.py", tmp_path / name],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed, name in (("1", "things.py"), ("2", "things.py"), ("3", "runpy.py"))
    }  # fmt: skip
    assert len(told) == 1


class FakeClient:
    """Dask's client of a scheduler that is gone after its first answer."""

    def __init__(self, address: str, timeout: int) -> None:
        assert address == "tcp://scheduler:8786"
        assert timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("distributed.client").error("Traceback (most recent call last):")

    def nthreads(self) -> dict[str, int]:
        return {}

    def get_executor(self, *, pure: bool) -> Executor:
        assert not pure
        return Never(cancels=True)


def test_a_lost_scheduler_is_one_sentence(
    shop: Database[dict[str, Any]],
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("distributed.Client", FakeClient)
    arguments = ["audit", SHOP, "--uri", uri, "-d", shop.name, "--executor", "dask://scheduler:8786"]
    assert main(arguments) == 2
    said = capfd.readouterr().err
    assert "There is no worker at dask://scheduler:8786 yet; one is waited for." in said
    assert "a worker was lost while it read" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("address", ["dask://127.0.0.1", "dask://host:", "dask://host:port", "ray://host:1"])
def test_an_address_without_a_port_is_refused(uri: str, capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert main(["audit", SHOP, "--uri", uri, "-d", "shop", "--executor", address]) == 2
    assert "write dask://HOST:PORT" in capsys.readouterr().err


def test_a_validator_that_ends_the_process_is_no_clean_verdict(
    client: MongoClient[dict[str, Any]],
    uri: str,
    database_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client[database_name].leaving.insert_one({"_id": 1, "size": 1})
    models = tmp_path / "leaving.py"
    models.write_text(
        "import sys\nfrom typing import Annotated\nfrom pydantic import AfterValidator\nfrom integrity import Model\n"
        "class Leaving(Model, collection='leaving'):\n    id: int\n"
        "    size: Annotated[int, AfterValidator(lambda value: sys.exit())]\n"
    )
    assert main(["audit", str(models), "--uri", uri, "-d", database_name]) == 2
    assert "an unexpected SystemExit stopped the command" in capsys.readouterr().err
