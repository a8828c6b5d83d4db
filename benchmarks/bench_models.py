"""Model A (sync, many workers) against model B (async, one worker): the same validated workload over HTTP.

    python benchmarks/bench_models.py [--seconds 4] [--plot docs/explanation/models.svg]

Each request inserts one validated document with a checked reference and reads one back; in the second half of the
runs it also waits 50 ms for something else, as for another service. Model A is gunicorn with 2 x cores + 1 sync
workers and a pool of 1 each, model B is uvicorn with one worker and the default pool. The load comes from this
process: 10, 100 and 1,000 requests at once, a new TCP connection each, as gunicorn's sync workers want it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pymongo import MongoClient

import integrity
from integrity import Model, Pool, Ref
from integrity.embedded import Mongod
from integrity.embedded.ports import free_ports

HERE = Path(__file__).parent
CORES = os.cpu_count() or 1
WORKERS = 2 * CORES + 1
CONCURRENT = (10, 100, 1000)
WAIT_MS = (0, 50)
SHOPS = 1000


def document() -> dict[str, Any]:
    return {"name": "pencil", "price": 250, "tags": ["office"], "shop": random.randrange(SHOPS)}


class Shop(Model, collection="shops"):
    id: int
    name: str


class Item(Model, collection="items"):
    name: str
    price: int
    tags: list[str]
    shop: Annotated[int, Ref(Shop)]


def pool(size: int, overflow: int, model: str) -> Pool:
    return Pool(size=size, max_overflow=overflow, timeout=30.0, application_name=model)


_db: Any = None


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Model A."""
    global _db  # noqa: PLW0603 - one a process
    if _db is None:
        _db = integrity.connect(os.environ["BENCH_URI"], models=[Shop, Item], database="bench", pool=pool(1, 0, "A"))
    time.sleep(int(environ["PATH_INFO"].strip("/")) / 1000)
    inserted = _db[Item].insert_one(document())
    found = _db[Item].find_one({"_id": inserted.inserted_id})
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(found["name"])))])
    return [found["name"].encode()]


async def asgi(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """Model B."""
    global _db  # noqa: PLW0603 - one a process
    if _db is None:
        _db = integrity.aio.connect(
            os.environ["BENCH_URI"], models=[Shop, Item], database="bench", pool=pool(20, 30, "B")
        )
    await asyncio.sleep(int(scope["path"].strip("/")) / 1000)
    inserted = await _db[Item].insert_one(document())
    found = await _db[Item].find_one({"_id": inserted.inserted_id})
    body = found["name"].encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


COMMANDS = {
    "A": [
        "gunicorn",
        "bench_models:wsgi",
        "--workers",
        str(WORKERS),
        "--backlog",
        "4096",
        "--timeout",
        "120",
        "--no-control-socket",
    ],
    "B": ["uvicorn", "bench_models:asgi", "--lifespan", "off", "--backlog", "4096", "--no-access-log"],
}


@contextmanager
def serving(model: str, uri: str, log: Path) -> Iterator[tuple[int, int]]:
    """Run a model's server for the time of a ``with`` block; yields its process and port."""
    (port,) = free_ports(1)
    where = ["--bind", f"127.0.0.1:{port}"] if model == "A" else ["--port", str(port), "--log-level", "warning"]
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", *COMMANDS[model], *where],
            cwd=HERE,
            env={**os.environ, "BENCH_URI": uri},
            stdout=out,
            stderr=out,
        )
        try:
            asyncio.run(until_up(port, process))
            yield process.pid, port
        finally:
            process.terminate()
            process.wait(30)


async def until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit("the server ended at once")
        try:
            # every worker opens its database before anything is measured
            await asyncio.gather(*[request(port, 0) for _ in range(4 * WORKERS)])
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not answer")


async def request(port: int, wait: int) -> float:
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{wait} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"pencil"):
        raise OSError(f"not served: {answer[:100]!r}")
    return time.perf_counter() - started


@dataclass
class Result:
    model: str
    wait: int
    concurrent: int
    throughput: float
    p50: float
    p99: float
    megabytes: float
    connections: int
    failed: int


async def measure(port: int, wait: int, concurrent: int, seconds: float) -> tuple[list[float], int, float]:
    times: list[float] = []
    failed = 0
    started = time.perf_counter()
    end = started + seconds

    async def client() -> None:
        nonlocal failed
        while time.perf_counter() < end:
            try:
                times.append(await request(port, wait))
            except OSError:
                failed += 1

    await asyncio.gather(*[client() for _ in range(concurrent)])
    return times, failed, time.perf_counter() - started


def megabytes(root: int) -> float:
    """The proportional memory of a process and its children: shared pages are counted once."""
    children = subprocess.run(  # noqa: S603 - a fixed program
        ["ps", "-o", "pid=", "--ppid", str(root)],  # noqa: S607 - as above
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    total = 0
    for pid in (str(root), *children):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text() if Path(f"/proc/{pid}").exists() else ""
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def connections(client: MongoClient[dict[str, Any]], model: str) -> int:
    pipeline: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": True, "idleConnections": True}},
        {"$match": {"appName": model}},
    ]
    return len(list(client.admin.aggregate(pipeline)))


def run(seconds: float) -> list[Result]:
    results = []
    with Mongod() as server, MongoClient[dict[str, Any]](server.uri) as client, tempfile.TemporaryDirectory() as folder:
        db = integrity.connect(server.uri, models=[Shop, Item], database="bench", pool=Pool(size=1), actor="*")
        db.apply()
        db[Shop].insert_many([{"_id": each, "name": f"shop {each}"} for each in range(SHOPS)])
        db.close()
        for model in COMMANDS:
            with serving(model, server.uri, Path(folder) / model) as (pid, port):
                for wait in WAIT_MS:
                    for concurrent in CONCURRENT:
                        times, failed, took = asyncio.run(measure(port, wait, concurrent, seconds))
                        ordered = sorted(times) or [float("nan")]
                        results.append(
                            Result(
                                model,
                                wait,
                                concurrent,
                                len(times) / took,
                                statistics.median(ordered) * 1000,
                                ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
                                megabytes(pid),
                                connections(client, model),
                                failed,
                            )
                        )
                        print(line(results[-1]), flush=True)
    return results


HEAD = (
    "| model | waits | at once | requests/s | p50 ms | p99 ms | memory MB | connections | failed |\n" + "|---" * 9 + "|"
)


def line(each: Result) -> str:
    name = f"A: gunicorn, {WORKERS} sync workers" if each.model == "A" else "B: uvicorn, 1 async worker"
    return (
        f"| {name} | {each.wait} ms | {each.concurrent:,} | {each.throughput:.0f} | {each.p50:.0f} | {each.p99:.0f} "
        f"| {each.megabytes:.0f} | {each.connections} | {each.failed} |"
    )


def plot(results: list[Result], path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - only for the plot

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "models"  # the same numbers make the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for model, colour in (("A", "tab:orange"), ("B", "tab:blue")):
        for wait, style in zip(WAIT_MS, ("-", "--"), strict=True):
            mine = [each for each in results if (each.model, each.wait) == (model, wait)]
            label = f"{model}, {wait} ms of other waiting"
            at_once = [each.concurrent for each in mine]
            axes[0].plot(at_once, [each.throughput for each in mine], style, color=colour, marker="o", label=label)
            axes[1].plot(at_once, [each.p99 for each in mine], style, color=colour, marker="o", label=label)
    for axis, title in zip(axes, ("requests a second", "99th percentile, ms"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="requests at once", title=title)
        axis.grid(visible=True, alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--plot", type=Path, help="draw the results into this SVG file")
    arguments = parser.parse_args()
    print(HEAD)
    results = run(arguments.seconds)
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
