"""The commands that make the server enforce: diff, apply, enforce, status, infer, export."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from integrity.embedded import Mongod
from tests.cli.conftest import MODELS, Command

Raw = Database[dict[str, Any]]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    file = tmp_path / "shop_models.py"
    file.write_text(MODELS)
    return file


@pytest.fixture
def arguments(models: Path, uri: str, database_name: str) -> tuple[str, ...]:
    return (str(models), "--uri", uri, "--database", database_name)


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    return client[database_name]


def test_apply_and_diff_go_round(command: Command, arguments: tuple[str, ...], database: Raw) -> None:
    found = command("diff", *arguments)
    assert (found.status, "DRF001 customers: integrity_unique_email is missing" in found.out) == (1, True)
    dry = command("apply", *arguments, "--dry-run")
    assert (dry.status, "create index integrity_unique_email; reads 0 documents" in dry.out) == (0, True)
    assert database.list_collection_names() == []
    assert command("apply", *arguments).status == 0
    assert command("apply", *arguments).out == "Nothing was to be done.\n"
    assert command("diff", *arguments).status == 0


def test_diff_as_json_and_with_things_passed_over(command: Command, arguments: tuple[str, ...], database: Raw) -> None:
    command("apply", *arguments)
    database.orders.create_index("lines", name="mine")
    database.other.insert_one({})
    found = json.loads(command("diff", *arguments, "-f", "json").out)
    assert [(each["code"], each["how"], each["what"]) for each in found["differences"]] == [
        ("DRF001", "extra", "mine"),
        ("DRF004", "extra", "collection"),
    ]
    assert command("diff", *arguments, "--ignore", "DRF004", "--ignore-extra").status == 0


def test_what_is_in_the_way_of_an_index_is_exit_1(command: Command, arguments: tuple[str, ...], database: Raw) -> None:
    database.customers.insert_many([{"_id": 1, "name": "a", "email": "x"}, {"_id": 2, "name": "b", "email": "x"}])
    done = command("apply", *arguments)
    assert done.status == 1
    assert "there are documents with equal email" in done.out


def test_enforce_holds_back_shows_why_and_goes_on_after_the_repair(
    command: Command, arguments: tuple[str, ...], database: Raw
) -> None:
    database.customers.insert_many([{"_id": 1, "name": "a", "email": "x"}, {"_id": 2, "name": "N/A", "email": "x"}])
    database.create_collection("orders")
    held = command("enforce", *arguments)
    assert held.status == 1
    assert "customers.schema: declared → warn: 1 violation" in held.out
    assert "FRB001 _id 2 name: is the placeholder 'N/A'." in held.out
    assert "orders.schema: declared → enforced" in held.out
    table = command("status", *arguments).out.splitlines()
    assert table[0].split() == ["constraint", "stage", "violations", "drift"]
    assert table[1].split() == ["customers.schema", "warn", "1", "none"]
    assert table[2].split() == ["customers.unique(email)", "warn", "2", "none"]
    database.customers.delete_one({"_id": 2})
    assert command("enforce", *arguments).status == 0
    rows = json.loads(command("status", *arguments, "--no-audit", "-f", "json").out)["constraints"]
    assert {each["stage"] for each in rows} == {"enforced"}
    assert {each["violations"] for each in rows} == {None}


def test_status_shows_what_was_seen_and_says_of_what_it_knows_nothing(
    command: Command, arguments: tuple[str, ...], database: Raw
) -> None:
    database.customers.insert_one({"_id": 1, "name": "N/A", "email": "x"})
    done = command("status", *arguments)
    assert [line.split()[2] for line in done.out.splitlines()[1:]] == ["1", "0", "?", "?"]
    assert (done.status, "The collection 'orders' of the model" in done.err) == (2, True)
    done = command("status", *arguments, "-f", "json")
    rows = json.loads(done.out)["constraints"]
    assert (done.status, [each["violations"] for each in rows]) == (2, [1, 0, None, None])
    assert [each["unseen"] is None for each in rows] == [True, True, False, False]


def test_a_constraint_that_is_none_is_exit_2(command: Command, arguments: tuple[str, ...]) -> None:
    done = command("enforce", arguments[0], "customers.unique(mail)", *arguments[1:])
    assert done.status == 2
    assert "customers.unique(email)" in done.err


def test_infer_writes_models_that_audit_reads(
    command: Command, uri: str, database_name: str, database: Raw, tmp_path: Path
) -> None:
    database.customers.insert_many([{"_id": n, "name": f"c{n}"} for n in range(30)])
    file = tmp_path / "inferred_models.py"
    assert command("infer", "--uri", uri, "--database", database_name, "-o", file).status == 0
    assert command("audit", file, "--uri", uri, "--database", database_name).status == 0


def test_infer_of_nothing_is_exit_2(command: Command, uri: str, database_name: str) -> None:
    done = command("infer", "--uri", uri, "--database", database_name)
    assert (done.status, done.out) == (2, "")
    assert "holds no documents" in done.err


def test_export_needs_no_server(command: Command, models: Path) -> None:
    diagram = command("export", models, "--mermaid").out
    assert 'Customer ||--o{ Order : "customer_id (restrict)"' in diagram
    assert "string email UK" in diagram
    schema = json.loads(command("export", models, "--jsonschema").out)
    customer = schema["$defs"]["Customer"]
    assert "_id" in customer["properties"]
    assert customer["x-integrity"]["unique"][0]["paths"] == ["email"]
    validators = json.loads(command("export", models, "--validators").out)
    assert validators["orders"]["$jsonSchema"]["required"] == ["customer_id"]
    assert command("export", models).status == 2


@pytest.mark.slow
def test_a_user_without_rights_gets_a_sentence_and_exit_2(command: Command, models: Path) -> None:
    with Mongod(auth=True) as server, MongoClient[dict[str, Any]](server.uri) as admin:
        admin.shop.command("createUser", "reader", pwd="secret-of-reader", roles=["read"])
        admin.shop.command("createUser", "stranger", pwd="secret-of-stranger", roles=[])
        host = server.uri.split("@")[-1].split("/")[0]
        reader = f"mongodb://reader:secret-of-reader@{host}/shop"
        stranger = f"mongodb://stranger:secret-of-stranger@{host}/shop"
        for name, uri in (("apply", reader), ("enforce", reader), ("diff", stranger), ("status", stranger)):
            done = command(name, models, "--uri", uri)
            assert done.status == 2, (name, done)
            assert "the user needs the roles readWrite and dbAdmin" in done.err, (name, done)
            assert "secret" not in done.err + done.out
        done = command("infer", "--uri", stranger)
        assert done.status == 2
        assert "secret" not in done.err
        assert command("diff", models, "--uri", reader).status == 1


def test_two_processes_apply_at_once(arguments: tuple[str, ...], database: Raw) -> None:
    database.customers.insert_many([{"_id": n, "name": f"c{n}", "email": f"{n}@x"} for n in range(2000)])
    command = [sys.executable, "-m", "integrity", "apply", *arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for each in running:
        out, err = each.communicate(timeout=100)
        assert each.returncode == 0, out + err
    assert database.customers.index_information()["integrity_unique_email"]["unique"]


def test_what_the_database_holds_is_no_command_for_a_terminal(models: Path, uri: str, database: Raw) -> None:
    from integrity.cli import main  # noqa: PLC0415 - in this process, where click strips nothing

    database.customers.insert_one({"_id": 1, "name": "a", "email": "x", "\x1b[2J": 1})
    database.customers.create_index("y", name="\x1b[31mmine")
    database["\x1b[31mother"].insert_one({})
    at = (str(models), "--uri", uri, "--database", database.name)
    for arguments in (("diff", *at), ("enforce", *at), ("apply", *at), ("apply", *at, "--dry-run")):
        shown = io.StringIO()
        shown.isatty = lambda: True  # type: ignore[method-assign]
        with contextlib.redirect_stdout(shown):
            main(arguments)
        assert r"\x1b[" in shown.getvalue()
        assert "\x1b" not in shown.getvalue()


@pytest.mark.parametrize("name", ["recover", "sync"])
def test_what_writes_does_not_ask_for_the_right_to_read(
    client: MongoClient[dict[str, Any]], command: Command, arguments: tuple[str, ...], name: str
) -> None:
    refuse = {"failCommands": ["find"], "errorCode": 13}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": refuse})
    try:
        refused = command(name, *arguments)
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert (refused.status, refused.err.count("the role `readWrite`.")) == (2, 1)
