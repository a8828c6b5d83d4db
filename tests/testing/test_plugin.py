"""The fixtures, in a session of pytest that somebody else would write."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import integrity
from integrity import Model


class Thing(Model, collection="things"):
    id: int


def test_one(integrity_server, integrity_database):
    assert integrity_server.uri.startswith("mongodb://127.0.0.1:")
    integrity.Database(integrity_database, models=[Thing])[Thing].insert_one({"_id": 1})
    assert integrity_database.things.count_documents({}) == 1


def test_another_begins_anew(integrity_server, integrity_database):
    assert integrity_database.list_collection_names() == []
    assert [each for each in integrity_database.client.list_database_names() if each.startswith("test_")] == []
    print(f"process {integrity_server.members[0].pid}")
"""


def test_each_test_has_a_database_of_its_own_and_the_server_is_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["integrity.testing.plugin"]\n')
    (tmp_path / "test_things.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    pid = int(done.stdout.split("process ")[1].split()[0])
    assert not Path(f"/proc/{pid}").exists()


LEFT = """
import pytest


def test_a_transaction_is_left_open(integrity_database):
    client = integrity_database.client
    client.admin.command({"setParameter": 1, "transactionLifetimeLimitSeconds": 3600})
    session = client.start_session()
    session.start_transaction()
    integrity_database.things.insert_one({"_id": 1}, session=session)
    assert False, "and it fails"


def test_the_client_is_closed(integrity_database):
    integrity_database.client.close()


def test_another_begins_anew(integrity_database):
    assert integrity_database.list_collection_names() == []
    assert [each for each in integrity_database.client.list_database_names() if each.startswith("test_")] == []
"""


def test_what_a_test_leaves_behind_is_its_own(tmp_path: Path) -> None:
    """The drop of its database would wait for the transaction, as long as one may last."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["integrity.testing.plugin"]\n')
    (tmp_path / "test_left.py").write_text(LEFT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
