"""`--embedded [FOLDER]`: a server for the time of the command."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from integrity.embedded import Mongod
from tests.cli.conftest import Command


def commands() -> Iterator[str]:
    """The command lines of the processes of this machine."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield each.read_text(errors="replace")


def test_a_folder_is_served_audited_and_left_as_it_was(command: Command, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Mongod(folder) as server, MongoClient[dict[str, Any]](server.uri) as client:
        client.shop.customers.insert_one({"_id": 1, "name": ""})
        client.shop.orders.insert_one({"_id": 1, "customer_id": 1})
    found = command("audit", models, "--embedded", folder, "--database", "shop")
    assert found.status == 1
    assert "EMP001 empty-string: 1" in found.out
    assert not [each for each in commands() if str(folder) in each]


def test_without_a_folder_the_server_is_empty_and_an_empty_server_is_not_clean(command: Command, models: Path) -> None:
    found = command("audit", models, "--embedded")
    assert found.status == 2
    assert "'customers'" in found.err


def test_embedded_wins_over_the_environment(command: Command, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1/x")
    assert "'customers'" in command("audit", models, "--embedded").err


def test_no_server_to_be_found_is_a_sentence(
    command: Command, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTEGRITY_MONGOD", str(tmp_path / "no-such-mongod"))
    found = command("audit", models, "--embedded")
    assert found.status == 2
    assert "no-such-mongod" in found.err
    assert "Traceback" not in found.err
