"""Who may import what, beyond the layers that import-linter guards (see pyproject.toml).

import-linter sees external packages as a whole and not their modules, and PyMongo's exceptions and
result classes are part of our own surface: so this is read off the source.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "integrity"

# Classes without I/O: errors to inherit from, results to return, requests and options to accept.
WORDS_OF_PYMONGO = frozenset({
    "pymongo.collation",
    "pymongo.common",  # its check of an update's form
    "pymongo.errors",
    "pymongo.operations",
    "pymongo.read_concern",
    "pymongo.read_preferences",
    "pymongo.results",
    "pymongo.write_concern",
})  # fmt: skip
# The facades take a client and a database of the application's, and hand them to a store.
TAKEN_BY_FACADES = frozenset({"pymongo", "pymongo.database", "pymongo.asynchronous.database"})
SPEAKS_TO_MONGODB = ("store", "client", "embedded")
FACADES = ("database", "aio", "facade", "cli", "demo", "report", "testing")
MODULES = sorted(SOURCE.rglob("*.py"))


def part(module: Path) -> str:
    """The first name below `integrity`: `store`, `cli`, `errors`, ..."""
    return module.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    """Every module that it imports, also inside functions; not those for type checking alone."""
    tree = ast.parse(module.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def below(package: str, name: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_store_the_client_and_the_embedded_server_speak_to_mongodb(module: Path) -> None:
    if part(module) in SPEAKS_TO_MONGODB:
        return
    known = WORDS_OF_PYMONGO | (TAKEN_BY_FACADES if part(module) in {"database", "aio", "testing"} else set())
    spoken = {name for name in imports(module) if below("pymongo", name) and name not in known}
    assert not spoken


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_its_adapter_imports_motor(module: Path) -> None:
    if module.relative_to(SOURCE).with_suffix("").parts[:2] in {("store", "motor"), ("client", "motor")}:
        return
    assert not {name for name in imports(module) if below("motor", name)}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_core_knows_no_event_loop(module: Path) -> None:
    """It is `async def` and never suspends under the blocking store: it must not ask for a loop."""
    if part(module) in {*SPEAKS_TO_MONGODB, *FACADES}:
        return
    assert not {name for name in imports(module) for package in ("asyncio", "anyio", "trio") if below(package, name)}
