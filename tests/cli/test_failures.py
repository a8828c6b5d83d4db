"""What cannot be done is exit 2 and a sentence: no traceback, no credential, and never a clean verdict."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from integrity.embedded import Mongod
from integrity.store.failure import sentence
from tests.cli.conftest import Command, Outcome

Raw = Database[dict[str, Any]]

NOWHERE = "mongodb://ada:secret@127.0.0.1:1/shop?serverSelectionTimeoutMS=50"


def refused(found: Outcome) -> str:
    """The sentence of a command that could not do its job."""
    assert found.status == 2
    assert "No violation" not in found.out
    assert "Traceback" not in found.err
    assert found.err.count("\n") == 1
    return found.err.removeprefix("integrity: ").strip()


def test_a_server_that_does_not_answer(command: Command, models: Path) -> None:
    said = refused(command("audit", models, "--uri", NOWHERE))
    assert said == "No MongoDB server answered at 127.0.0.1:1: the connection was refused."


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mongodb://",
        "http://ada:secret@shop.test/x",
        "mongodb://ada:secret",
        "mongodb://ada:secret/part@127.0.0.1/x",
        "mongodb://ada:secret@part@127.0.0.1:1/x",
        "mongodb://ada:secret:x@127.0.0.1/x",
        "mongodb://127.0.0.1:99999/x",
        "mongodb://127.0.0.1/x?tls=maybe",
        "mongodb://127.0.0.1/x?tlsCAFile=no-such-file.pem",
        "mongodb://127.0.0.1/x?authMechanism=secret",
        "mongodb+srv://ada:secret@shop.invalid/x",
    ],
)
def test_a_uri_that_is_none_and_nothing_of_its_password_is_said(command: Command, models: Path, uri: str) -> None:
    assert "secret" not in refused(command("audit", models, "--uri", uri))


def test_an_option_that_the_driver_would_drop_is_refused(command: Command, models: Path) -> None:
    """`tls=maybe` without TLS would send the password in the clear."""
    said = refused(command("audit", models, "--uri", "mongodb://ada:secret@127.0.0.1:1/x?tls=maybe"))
    assert said.startswith("The URI has an option with a value that the driver does not take")


def test_no_server_and_no_database_are_named(command: Command, models: Path) -> None:
    assert "--uri URI, set MONGODB_URI, or add --embedded" in refused(command("audit", models))
    said = refused(command("audit", models, "--uri", "mongodb://127.0.0.1:1"))
    assert said == "No database is named; add one to the URI (mongodb://HOST/DATABASE). Or add --database NAME."


def test_a_database_with_a_name_that_mongodb_refuses(command: Command, models: Path, uri: str) -> None:
    assert refused(command("audit", models, "--uri", uri, "-d", "a b")) == "'a b' is no name for a database."


def test_a_collection_that_is_not_there(command: Command, models: Path, at: str, database: Raw) -> None:
    database.drop_collection("orders")
    found = command("audit", models, "--uri", at)
    assert "'orders'" in refused(found)
    assert "orders: 0 documents, 0 read, NOT COMPLETE" in found.out
    assert "NOT COMPLETE" in found.out.splitlines()[-2]


def test_quarantine_with_an_id_that_is_none_and_a_record_of_somebody_else(
    command: Command, models: Path, at: str, database: Raw
) -> None:
    release = ["quarantine", "release", models, "customers", "--uri", at]
    for each in ('{"$oid": "x"}', '{"$numberDecimal": "x"}', '{"$date": "x"}'):
        said = refused(command(*release, "--id", each))
        assert said == f"--id {each}: it is JSON, and no value in MongoDB's extended JSON."
    database["customers.quarantine"].insert_one({"_id": 1, "document": {"_id": 2}})
    for arguments in (release, ["quarantine", "list", models, "--uri", at]):
        said = refused(command(*arguments))
        assert (
            said
            == "customers.quarantine holds a record that no repair has made, with the _id 1: move it elsewhere first."
        )


def test_a_collection_and_a_code_that_nothing_declares(command: Command, models: Path, at: str, database: Raw) -> None:
    assert "'payments'" in refused(command("audit", models, "--uri", at, "-c", "payments"))
    assert "'XYZ'" in refused(command("audit", models, "--uri", at, "--select", "EMP,XYZ"))
    assert "'REF9'" in refused(command("audit", models, "--uri", at, "--ignore", "REF9"))


def test_an_incomplete_audit_is_exit_2_whatever_else_was_asked(
    command: Command, models: Path, at: str, database: Raw
) -> None:
    database.drop_collection("orders")
    database.customers.insert_one({"_id": 2, "name": ""})
    assert command("audit", models, "--uri", at, "--exit-zero").status == 2


@pytest.mark.parametrize("answered", [1, 2, 4])
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_connection_that_is_lost_half_way(
    command: Command,
    models: Path,
    at: str,
    database: Raw,
    client: MongoClient[dict[str, Any]],
    output: str,
    answered: int,
) -> None:
    database.customers.insert_many([{"_id": number, "name": ""} for number in range(10, 3000)])
    client.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": {"skip": answered},
            "data": {
                "failCommands": ["find", "aggregate", "count", "getMore"],
                "closeConnection": True,
                "appName": "integrity",
            },
        }
    )
    try:
        found = command("audit", models, "--uri", at, "-f", output)
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert "incomplete" in refused(found)
    assert '"complete": false' in found.out or "NOT COMPLETE" in found.out


KILLS = """
import contextlib, multiprocessing, os, signal

if multiprocessing.parent_process() is not None:
    with contextlib.suppress(ProcessLookupError):
        os.kill({pid}, signal.SIGKILL)
"""


def test_a_server_that_is_gone_before_a_worker_has_opened_it(command: Command, models: Path, tmp_path: Path) -> None:
    """A worker imports the models first, and these end the server there: it is told as every other loss."""
    with Mongod(standalone=True) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.shop.customers.insert_one({"_id": 1, "name": ""})
            client.shop.create_collection("orders")
        models.write_text(models.read_text() + KILLS.format(pid=server.members[0].pid))
        at = server.uri.replace("/?", "/shop?") + "&serverSelectionTimeoutMS=300"
        files = {each: tmp_path / f"report.{each}" for each in ("json", "html")}
        outputs = [f"--output={name}={file}" for name, file in files.items()]
        found = command("audit", models, "--uri", at, "--jobs", 2, "--state", tmp_path / "state", *outputs)
    assert "NOT COMPLETE" in found.out
    said = refused(found)
    assert "the audit is incomplete. Reading 'customers' ended after 0 of 1 documents: a worker on " in said
    assert "No MongoDB server answered at 127.0.0.1:" in said
    assert said.endswith("Run it again with the same --state to go on.")
    assert '"complete": false' in files["json"].read_text()
    assert "not complete" in files["html"].read_text().lower()


def test_what_pymongos_own_threads_log_of_a_lost_connection_is_not_on_the_terminal() -> None:
    code = (
        "import logging; from integrity.cli import main; main(['rule', 'REF001']); "
        "logging.getLogger('pymongo.client').error('MongoClient background task encountered an error:')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""


def test_a_login_that_is_wrong_and_a_user_who_may_not_read(command: Command, models: Path) -> None:
    with Mongod(auth=True) as server, MongoClient[dict[str, Any]](server.uri) as root:
        root.shop.customers.insert_one({"_id": 1, "name": ""})
        root.shop.orders.insert_one({"_id": 1, "customer_id": 1})
        root.shop.command("createUser", "reader", pwd="secret", roles=["read"])
        root.shop.command("createUser", "nobody", pwd="secret", roles=[])
        host = f"127.0.0.1:{server.members[0].port}"

        found = command("audit", models, "--uri", f"mongodb://reader:secret@{host}/shop")
        assert (found.status, found.err) == (1, "")

        said = refused(command("audit", models, "--uri", f"mongodb://reader:pw-wrong@{host}/shop"))
        assert said.startswith(f"{host} refused the login")
        assert "pw-wrong" not in said

        said = refused(command("audit", models, "--uri", f"mongodb://nobody:secret@{host}/shop"))
        assert "not authorized" in said
        assert "lsid" not in said


def test_uri_and_embedded_together_are_one_too_many(command: Command, models: Path) -> None:
    found = command("audit", models, "--uri", NOWHERE, "--embedded")
    assert found.status == 2
    assert "--uri and --embedded name two servers" in found.err


def test_ctrl_c_is_exit_130_and_a_sentence(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "interrupted.py"
    file.write_text("raise KeyboardInterrupt\n")
    found = command("audit", file, "--uri", NOWHERE)
    assert found.status == 130
    assert found.err.strip().startswith("integrity: stopped by Ctrl-C")


def interrupted(*words: str, after: float = 0.0, **environment: str) -> tuple[int, str]:
    """Run Python, send it Ctrl-C after it has printed "imported"; return how it ended."""
    running = subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == "imported\n"
        time.sleep(after)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    return running.returncode, said


def test_a_real_ctrl_c_leaves_no_traceback(models: Path) -> None:
    with models.open("a") as file:
        file.write("\nimport time\nprint('imported', flush=True)\ntime.sleep(60)\n")
    status, said = interrupted("-m", "integrity", "audit", str(models), "--uri", NOWHERE, after=0.1)
    assert status == 130
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_no_draft_of_its_reports(
    models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """They hold what the database holds."""
    folder = tmp_path / "reports"
    folder.mkdir()
    address = "mongodb://127.0.0.1:1/test?serverSelectionTimeoutMS=60000"
    command = [
        "audit",
        str(models),
        "--uri",
        address,
        "-o",
        f"{folder}/report",
        "--output",
        f"html={folder}/report.html",
    ]
    # Under nohup, SIGHUP is ignored by all that it starts.
    heard = f"import signal, sys; signal.signal({number:d}, signal.SIG_DFL)"
    program = f"{heard}; from integrity.__main__ import main; sys.exit(main())"
    with subprocess.Popen([sys.executable, "-c", program, *command], stderr=subprocess.PIPE, text=True) as running:
        while len(list(folder.iterdir())) < 2 and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(number)
        _, said = running.communicate()
    assert (running.returncode, said, list(folder.iterdir())) == (-number, "", [])


ENTRIES = {
    "module": ["-m", "integrity"],
    "script": ["-c", "import sys; from integrity.__main__ import main; sys.exit(main())"],
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("module", ["click", "integrity_models"])
def test_ctrl_c_is_one_line_while_modules_are_imported_too(tmp_path: Path, entry: str, module: str) -> None:
    """Python's own modules aside, `click` is the first that the command imports, and the models are the last."""
    (tmp_path / f"{module}.py").write_text("print('imported', flush=True)\nimport time\ntime.sleep(60)\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    status, said = interrupted(*ENTRIES[entry], "audit", "integrity_models", "--uri", NOWHERE, PYTHONPATH=path)
    assert status == 130
    assert said.strip().startswith("integrity: stopped by Ctrl-C before ")
    assert "\n" not in said.strip()


def test_ctrl_c_that_is_ignored_stays_ignored(models: Path) -> None:
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); from integrity.__main__ import main; main()"
    )
    with models.open("a") as file:
        file.write("\nimport os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')\n")
    found = subprocess.run(
        [sys.executable, "-c", program, "check", str(models)], capture_output=True, text=True, check=False
    )
    assert found.stdout.startswith("went on\n")


def test_an_error_that_nobody_expected_is_a_sentence_without_its_text(
    command: Command, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(NOWHERE)

    monkeypatch.setattr("integrity.store.opening.opened", broken)
    said = refused(command("audit", models, "--uri", NOWHERE))
    assert "RuntimeError" in said
    assert "secret" not in said
    monkeypatch.setenv("INTEGRITY_TRACEBACK", "1")
    done = command("audit", models, "--uri", NOWHERE)
    assert done.status == 2  # what Python ends with, 1, would say that violations were found
    assert "Traceback (most recent call last)" in done.err
    assert "secret" not in done.err


@pytest.mark.parametrize(("violations", "read"), [(3000, 10), (1, 0)], ids=["in the middle", "before the first line"])
def test_a_reader_that_goes_away_is_no_traceback(
    models: Path, at: str, database: Raw, violations: int, read: int
) -> None:
    database.customers.insert_many([{"_id": number, "name": ""} for number in range(10, 10 + violations)])
    running = subprocess.Popen(
        [sys.executable, "-m", "integrity", "audit", str(models), "--uri", at, "-f", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(read)
        running.stdout.close()
        assert running.wait() == 2
        assert running.stderr.read() == b"integrity: the reader of the report went away before its end.\n"


BAD = {
    "an ObjectId that is none": (["--since", '{"$oid": "x"}'], "is no time"),
    "an _id that is none": (["--since", '{"$numberDecimal": "x"}'], "is no time"),
    "a rate that is no number": (["--max-rate", "nan"], "nan is no finite number"),
    "a rate without an end": (["--max-rate", "inf"], "inf is no finite number"),
    "a time that is no number": (["--max-time", "nan"], "nan is no finite number"),
    "a baseline of too many digits": (["--baseline", "known"], "known is no baseline"),
    "a number for a file": (["--config", "integrity.toml"], "output-file is a file's name, in quotes, not 3"),
    "two reports in one file": (["--output", "json=one", "--output", "text=./one"], "Two reports would be written to"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_a_command_is_given_is_looked_at(
    command: Command, models: Path, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / "known").write_text(f"# integrity baseline 2\n{'f' * 17}\n")
    (tmp_path / "integrity.toml").write_text("output-file = 3\n")
    given, said = BAD[what]
    monkeypatch.chdir(tmp_path)
    if what != "a number for a file":
        (tmp_path / "integrity.toml").unlink()
    found = command("audit", models, "--uri", at, *given)
    assert found.status == 2
    assert said in found.err
    assert "unexpected" not in found.err


def test_an_option_of_several_words_may_stand_in_the_environment(
    command: Command, models: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own name, as it is written on the command line."""
    monkeypatch.setenv("INTEGRITY_AUDIT_COLLECTION", "payments")
    assert "'payments'" in refused(command("audit", models, "--uri", at))
    monkeypatch.setenv("INTEGRITY_AUDIT_COLLECTION", "customers")
    monkeypatch.setenv("INTEGRITY_AUDIT_OUTPUT", "nonsense")
    assert "--output nonsense: write FORMAT=FILE" in command("audit", models, "--uri", at).err


def test_a_uri_in_the_place_of_another_argument_shows_no_password(command: Command) -> None:
    for arguments in (("audit", NOWHERE), ("infer", NOWHERE), ("check", "mongodb+srv://ada:secret@shop.test/x")):
        found = command(*arguments)
        assert found.status == 2
        assert "secret" not in found.err


def test_a_filter_of_extended_json_that_names_no_value(command: Command, models: Path) -> None:
    assert "FILTER is not JSON" in refused(command("plan-delete", models, "Order", '{"_id": {"$oid": "x"}}'))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_nobody_takes(tmp_path: Path) -> None:
    """A full disk, and streams that were closed before the command began."""

    def rule(redirected: str) -> subprocess.CompletedProcess[str]:
        line = f"{sys.executable} -m integrity rule EMP001 {redirected}"
        return subprocess.run(line, shell=True, capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S602

    full = rule("> /dev/full")
    assert (full.returncode, full.stderr) == (2, "integrity: the output cannot be written: No space left on device.\n")
    assert rule(">&-").returncode == 0
    assert rule("2>&-").stdout.startswith("EMP001")


def test_the_server_is_written_as_it_stands_in_the_sentence() -> None:
    lost = AutoReconnect("not primary")
    assert sentence(lost, "The server") == "The connection to the server was lost: not primary."
    assert sentence(lost, "db.example:27017") == "The connection to db.example:27017 was lost: not primary."
