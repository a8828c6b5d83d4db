"""The audit of real, dirty data has exactly the counts that plain Python gives over the same files."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pymongo import MongoClient

from integrity.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "openflights"
DATA = ROOT.parent / "shared" / "data" / "openflights"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="OpenFlights' files are not there (../shared/data/openflights): they are not in the project",
)


@pytest.fixture
def loading() -> Iterator[ModuleType]:
    """examples/openflights/load.py."""
    spec = importlib.util.spec_from_file_location("openflights_load", EXAMPLE / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path, modules = list(sys.path), set(sys.modules)
    yield module
    sys.path[:] = path
    sys.modules.pop("models", None) if "models" not in modules else None


def test_the_counts_per_collection_code_and_path_are_the_expected_ones(
    loading: ModuleType, client: MongoClient[dict[str, Any]], uri: str, database_name: str, tmp_path: Path
) -> None:
    loading.load(DATA, client[database_name])
    report_file = tmp_path / "report.json"
    status = main(
        [
            "audit",
            str(EXAMPLE / "models.py"),
            "--uri",
            uri.replace("/?", f"/{database_name}?"),
            "--output-format",
            "json",
            "--output-file",
            str(report_file),
        ]
    )
    report = json.loads(report_file.read_text())
    expected = json.loads((DATA / "expected.json").read_text())
    assert status == 1
    assert report["complete"] is True
    found = {each["name"]: each for each in report["collections"]}
    assert {name: each["documents"] for name, each in found.items()} == expected["documents"]
    assert {name: each["scanned"] for name, each in found.items()} == expected["documents"]
    assert {name: each["counts"] for name, each in found.items()} == expected["codes"]
    assert {name: each["paths"] for name, each in found.items()} == expected["paths"]
    assert len(report["violations"]) == sum(sum(each.values()) for each in expected["codes"].values())
