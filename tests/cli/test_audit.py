"""What `integrity audit` promises about its report and its exit status."""

import datetime as dt
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, json_util
from pymongo.database import Database

from tests.cli.conftest import Command

Raw = Database[dict[str, Any]]


def test_a_clean_database_is_exit_0(command: Command, models: Path, at: str, database: Raw) -> None:
    found = command("audit", models, "--uri", at)
    assert found.status == 0
    assert found.out.splitlines()[0] == "customers: 1 document, all read"
    assert found.out.splitlines()[-1].startswith(f"No violation in 2 collections of {database.name}: 2 documents")
    assert found.err == ""


def test_violations_are_exit_1_and_exit_zero_makes_that_0(
    command: Command, models: Path, at: str, database: Raw
) -> None:
    database.customers.insert_one({"_id": 2, "name": ""})
    assert command("audit", models, "--uri", at).status == 1
    assert command("audit", models, "--uri", at, "--exit-zero").status == 0


def test_text_says_of_each_code_its_count_path_and_examples_with_their_ids(
    command: Command, models: Path, at: str, database: Raw
) -> None:
    database.customers.insert_many([{"_id": number, "name": ""} for number in range(10, 15)])
    database.orders.insert_one({"_id": 7, "customer_id": 1, "lines": ["a", "", "b"]})
    lines = command("audit", models, "--uri", at).out.splitlines()
    hint = '      Hint: Leave it out or store null; Allow("") where it means something.'
    assert lines[:-1] == [
        "customers: 6 documents, all read",
        "  EMP001 empty-string: 5",
        "    name: 5",
        "      _id 10: is an empty string.",
        "      _id 11: is an empty string.",
        "      _id 12: is an empty string.",
        "      ... and 2 more",
        hint,
        "",
        "orders: 2 documents, all read",
        "  EMP001 empty-string: 1",
        "    lines[]: 1",
        "      _id 7 lines.1: is an empty string.",
        hint,
        "",
        "`integrity rule EMP001` explains a rule; --output-format json lists every violation.",
    ]
    assert lines[-1].startswith("6 violations in 2 collections")


def test_json_has_exactly_the_promised_layout(command: Command, models: Path, at: str, database: Raw) -> None:
    database.orders.insert_one({"_id": 7, "customer_id": 1, "lines": ["a", "", "N/A", ""]})
    found = command("audit", models, "--uri", at, "--output-format", "json")
    report = json.loads(found.out)
    assert list(report) == ["database", "complete", "seconds", "collections", "violations"]
    assert (report["database"], report["complete"]) == (database.name, True)
    assert report["collections"] == [
        {"name": "customers", "documents": 1, "scanned": 1, "counts": {}, "paths": {}},
        {
            "name": "orders",
            "documents": 2,
            "scanned": 2,
            "counts": {"EMP001": 2, "FRB001": 1},
            "paths": {"EMP001 lines[]": 2, "FRB001 lines[]": 1},
        },
    ]
    assert report["violations"][0] == {
        "code": "EMP001",
        "rule": "empty-string",
        "collection": "orders",
        "id": 7,
        "path": "lines.1",
        "message": "is an empty string.",
        "hint": 'Leave it out or store null; Allow("") where it means something.',
    }
    assert [(each["code"], each["path"]) for each in report["violations"]] == [
        ("EMP001", "lines.1"),
        ("FRB001", "lines.2"),
        ("EMP001", "lines.3"),
    ]


@pytest.mark.parametrize(
    "identity",
    [
        ObjectId("65a1b2c3d4e5f60718293a4b"),
        Int64(1 << 60),
        dt.datetime(2026, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - as PyMongo reads it
        dt.datetime(1, 1, 1),  # noqa: DTZ001 - as PyMongo reads it
        uuid.UUID(int=5),
        Decimal128("1.50"),
        float("nan"),
        float("-inf"),
        {"a": 1, "b": [ObjectId("65a1b2c3d4e5f60718293a4b")]},
        b"\x00\xff",
        True,
        None,
    ],
    ids=repr,
)
def test_ids_of_every_type_are_relaxed_extended_json(
    command: Command, tmp_path: Path, at: str, database: Raw, identity: Any
) -> None:
    file = tmp_path / "anything_as_id.py"
    file.write_text('from integrity import Model\nclass Thing(Model, collection="things"):\n    name: str\n')
    database.with_options(
        database.codec_options.with_options(uuid_representation=4)  # subtype 4, the standard one
    ).things.insert_one({"_id": identity, "name": ""})
    found = command("audit", file, "--uri", at, "-f", "json")
    *_, violation = json.loads(found.out)["violations"]  # that `_id` is NaN is a violation of its own
    options = json_util.RELAXED_JSON_OPTIONS.with_options(uuid_representation=4)
    expected = json.loads(json_util.dumps(identity, json_options=options))
    assert violation["id"] == expected
    assert command("audit", file, "--uri", at).status == 1


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_max_examples_cuts_what_is_listed_and_never_a_count(
    command: Command, models: Path, at: str, database: Raw, limit: int
) -> None:
    database.customers.insert_many([{"_id": number, "name": "", "email": "N/A"} for number in range(10, 15)])
    report = json.loads(command("audit", models, "--uri", at, "-f", "json", "--max-examples", limit).out)
    assert report["collections"][0]["counts"] == {"EMP001": 5, "FRB001": 5}
    assert len(report["violations"]) == 2 * limit
    text = command("audit", models, "--uri", at, "--max-examples", limit).out
    assert text.count("_id ") == 2 * limit
    assert "EMP001 empty-string: 5" in text


def test_select_ignore_and_collection_narrow_it(command: Command, models: Path, at: str, database: Raw) -> None:
    database.customers.insert_one({"_id": 2, "name": "", "email": "N/A"})
    database.orders.insert_one({"_id": 2, "customer_id": 9, "lines": ["", "-"]})

    def codes(*options: str) -> set[tuple[str, str]]:
        report = json.loads(command("audit", models, "--uri", at, "-f", "json", *options).out)
        return {(each["collection"][0], each["code"]) for each in report["violations"]}

    everything = {("c", "EMP001"), ("c", "FRB001"), ("o", "EMP001"), ("o", "FRB001"), ("o", "REF001")}
    assert codes() == everything
    assert codes("--select", "EMP001,ref") == {("c", "EMP001"), ("o", "EMP001"), ("o", "REF001")}
    assert codes("--select", "EMP", "--select", "REF001") == {("c", "EMP001"), ("o", "EMP001"), ("o", "REF001")}
    assert codes("--ignore", "EMP001") == {each for each in everything if each[1] != "EMP001"}
    assert codes("--select", "EMP,FRB", "--ignore", "FRB001") == {("c", "EMP001"), ("o", "EMP001")}
    assert codes("--collection", "customers") == {("c", "EMP001"), ("c", "FRB001")}
    assert codes("-c", "customers", "-c", "orders") == everything


def test_the_uri_comes_from_the_environment_too_and_database_wins_over_it(
    command: Command, models: Path, uri: str, database: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.customers.insert_one({"_id": 2, "name": ""})
    monkeypatch.setenv("MONGODB_URI", uri.replace("/?", "/there_is_no_such_database?"))
    assert command("audit", models, "--database", database.name).status == 1
    assert command("audit", models).status == 2


def test_a_dotted_module_is_found_from_the_current_folder(
    command: Command, models: Path, at: str, database: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = models.parent / "my_shop_of_the_test"
    package.mkdir()
    (package / "__init__.py").touch()
    models.rename(package / "declared.py")
    monkeypatch.chdir(package.parent)
    assert command("audit", "my_shop_of_the_test.declared", "--uri", at).status == 0


def test_an_output_file_holds_the_report_and_stdout_nothing(
    command: Command, models: Path, at: str, database: Raw
) -> None:
    file = models.parent / "report.json"
    file.write_text("an older one")
    found = command("audit", models, "--uri", at, "-f", "json", "--output-file", file)
    assert (found.status, found.out) == (0, "")
    assert json.loads(file.read_text())["complete"] is True
    assert sorted(each.name for each in models.parent.iterdir() if each.is_file()) == [models.name, "report.json"]


def test_a_run_that_fails_leaves_an_older_report_as_it_was(command: Command, models: Path) -> None:
    file = models.parent / "report.json"
    file.write_text("an older one")
    found = command("audit", models, "--uri", "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=50", "-o", file)
    assert found.status == 2
    assert file.read_text() == "an older one"
    assert sorted(each.name for each in models.parent.iterdir() if each.is_file()) == [models.name, "report.json"]


def test_an_output_file_that_cannot_be_written_is_known_before_the_server_is_asked(
    command: Command, models: Path
) -> None:
    found = command("audit", models, "--uri", "mongodb://127.0.0.1:1/x", "-o", models.parent / "no" / "r.json")
    assert found.status == 2
    assert "cannot be written: No such file or directory." in found.err
