"""The recipes of docs/how-to/processes.md run as they stand there: each worker has connections of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "processes.md"
FILE = re.compile(r"^# ([\w./]+\.py): .*\n", re.MULTILINE)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    blocks = re.findall(r"^```python no-run\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        found = FILE.match(block)
        assert found is not None
        path = tmp_path / found[1]
        path.parent.mkdir(exist_ok=True)
        path.write_text(block)
    (tmp_path / "shop" / "__init__.py").touch()
    return tmp_path


@contextmanager
def running(folder: Path, *command: str, **environment: str) -> Iterator[Path]:
    """Run a server of the recipes for the time of a ``with`` block; yields its log."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-W", "always", "-m", *command],
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": str(folder)},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(30) in {0, -signal.SIGTERM}, log.read_text()
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def orders(port: int, numbers: range, log: Path) -> set[int]:
    """Place orders; return the processes that served them."""
    deadline = time.monotonic() + 60
    served = set()
    for number in numbers:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}", timeout=30) as answer:
                    served.add(int(answer.read()))
                break
            except (ConnectionError, urllib.error.URLError):
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
    return served


def sockets_by_process(pids: set[int], port: int) -> dict[int, set[str]]:
    """Return the sockets (inodes) of each process that are connected to a port of this machine."""
    connected = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port and fields[3] == "01":
            connected.add(fields[9])
    found = defaultdict(set)
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            inode = target.removeprefix("socket:[").removesuffix("]")
            if inode in connected:
                found[pid].add(inode)
    return found


def shares_nothing(pids: set[int], uri: str, log: Path) -> None:
    """Check that no two processes have one socket to the server, and that nobody was warned."""
    port = int(re.search(r":(\d+)/", uri)[1])  # type: ignore[index]  # a URI of our own
    sockets = sockets_by_process(pids, port)
    assert set(sockets) == pids
    every = [each for found in sockets.values() for each in found]
    assert len(every) == len(set(every))
    assert "opened before fork" not in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_gunicorn(preload: bool, shop: Path, uri: str, database_name: str, client: MongoClient[dict[str, Any]]) -> None:
    port = free_port()
    command = ["gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "shop.wsgi"]
    with running(
        shop, *command, *(["--preload"] if preload else []), MONGODB_URI=uri, SHOP_DATABASE=database_name
    ) as log:
        served: set[int] = set()
        number = 0
        while len(served) < 2:
            served |= orders(port, range(number, number + 10), log)
            number += 10
            assert number < 500, "one worker serves everything"
        shares_nothing(served, uri, log)
    assert client[database_name].orders.count_documents({"customer": "Ada"}) == number


@pytest.mark.slow
def test_uvicorn(shop: Path, uri: str, database_name: str, client: MongoClient[dict[str, Any]]) -> None:
    port = free_port()
    command = ["uvicorn", "shop.asgi:application", "--port", str(port)]
    with running(shop, *command, MONGODB_URI=uri, SHOP_DATABASE=database_name) as log:
        (pid,) = orders(port, range(20), log)
        shares_nothing({pid}, uri, log)
    assert client[database_name].orders.count_documents({}) == 20
    assert "Application shutdown complete" in log.read_text()


@pytest.mark.slow
def test_celery(shop: Path, uri: str, database_name: str, client: MongoClient[dict[str, Any]]) -> None:
    folder = shop / "broker"
    folder.mkdir()
    environment = {
        "BROKER": "filesystem://",
        "BACKEND": f"file://{folder}",
        "FOLDER": str(folder),
        "MONGODB_URI": uri,
        "SHOP_DATABASE": database_name,
    }
    script = (
        "from shop.tasks import order\n"
        "results = [order.delay(number) for number in range(20)]\n"
        "print(sorted({each.get(timeout=60) for each in results}))\n"
    )
    command = [
        "celery",
        "--app",
        "shop.tasks",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "2",
        "--loglevel",
        "INFO",
    ]
    with running(shop, *command, **environment) as log:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=shop,
            env={**os.environ, **environment, "PYTHONPATH": str(shop)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr + log.read_text()
        pids = {int(each) for each in re.findall(r"\d+", done.stdout)}
        shares_nothing(pids, uri, log)
    assert client[database_name].orders.count_documents({"customer": "Ada"}) == 20
