"""Every ``python`` block of the documentation runs, and prints what the page says that it prints.

* The blocks of a page share a namespace, in which ``uri`` (of a database of the page's own) and ``mongod`` are there.
* ``await`` may stand at the top of a block.
* A ``text`` block right after a block that prints is what it prints.
* A ``text`` block right after ``$ integrity audit ...`` is the report on the page's models and ``db``, but for its
  database's name and its seconds.
* A block that must not run is ```` ```python no-run ````, and its first line is a comment that says why.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import itertools
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

import integrity
from integrity.audit import audit
from integrity.declare.registry import Registry
from integrity.embedded import Mongod
from integrity.report import as_text
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.docs.page import ROOT, Block, blocks, pages

PAGES = [page for page in pages() if any(each.language == "python" for each in blocks(page))]
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@pytest.fixture
def no_traces(client: MongoClient[dict[str, Any]]) -> Iterator[None]:
    """What a page writes into databases of other names is gone before the next page."""
    before = set(client.list_database_names())
    yield
    for name in set(client.list_database_names()) - before:
        client.drop_database(name)


@pytest.fixture
def module(
    mongod: Mongod,
    uri: str,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    no_traces: None,
) -> types.ModuleType:
    """The namespace of a page: a module, since pydantic looks annotations up by a model's module."""
    made = types.ModuleType("page_of_the_documentation")
    vars(made).update(uri=uri.replace("/?", f"/{database_name}?"), mongod=mongod)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs_and_prints_what_it_says(page: Path, module: types.ModuleType) -> None:
    printed: str | None = None
    with asyncio.Runner() as runner:
        try:
            for block, after in itertools.zip_longest(here := list(blocks(page)), here[1:]):
                if block.language == "python" and "no-run" not in block.options:
                    printed = _run(block, module, runner)
                elif block.language == "console" and _compared(block, after):
                    printed = _audit(module)
                elif block.language == "text" and block.follows and printed:
                    assert _timeless(printed) == _timeless(block.code), f"{block} is not what is printed"
                    printed = None
                else:
                    printed = None
        finally:
            _close(module, runner)


def test_a_block_that_does_not_run_says_why() -> None:
    silent = [
        str(block)
        for page in pages()
        for block in blocks(page)
        if "no-run" in block.options and not block.code.startswith("# ")
    ]
    assert silent == []


def test_every_block_names_its_language() -> None:
    """A block without one is neither run nor compared, and nobody notices."""
    nameless = [str(block) for page in pages() for block in blocks(page) if not block.language]
    assert nameless == []


def _run(block: Block, module: types.ModuleType, runner: asyncio.Runner) -> str:
    # As many empty lines before it as stand above it in the page: a traceback then names the page's line.
    code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec", flags=FLAGS, dont_inherit=True)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        outcome = eval(code, vars(module))  # noqa: S307 - the documentation's own code
        if inspect.iscoroutine(outcome):
            runner.run(outcome)
    return out.getvalue()


def _compared(block: Block, after: Block | None) -> bool:
    """Whether what a shell prints stands in the page."""
    shows = after is not None and after.language == "text" and after.follows
    return shows and block.code.startswith("$ integrity audit ")


def _audit(module: types.ModuleType) -> str:
    """The report of the page's models on the database of its `db`."""
    models = [each for each in vars(module).values() if _has_collection(each)]
    out = io.StringIO()
    with run(audit(BlockingStore(module.db.unsafe_raw), Registry(models))) as result:
        as_text.write(result, out)
    return out.getvalue().replace(module.db.name, "shop")


def _has_collection(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, integrity.Model) and value.__integrity__.collection is not None


def _timeless(text: str) -> list[str]:
    return re.sub(r" in \d+\.\d s\.", " in N s.", text).splitlines()


def _close(module: types.ModuleType, runner: asyncio.Runner) -> None:
    """Close what a page left open."""
    for each in list(vars(module).values()):
        if isinstance(each, integrity.Database | MongoClient):
            each.close()
        elif isinstance(each, integrity.aio.Database | AsyncMongoClient):
            runner.run(_closed(each))


async def _closed(each: Any) -> None:
    await each.close()
