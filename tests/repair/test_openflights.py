"""OpenFlights, loaded as a naive importer would: the stale copies whose owner is valid are mended, the others named."""

import importlib.util
import re
from pathlib import Path
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


@pytest.mark.slow
def test_the_copies_of_valid_owners_are_mended_and_the_others_wait_for_their_owners(
    client: MongoClient[dict[str, Any]],
    uri: str,
    database_name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = importlib.util.spec_from_file_location("openflights_load", EXAMPLE / "load.py")
    assert spec is not None
    assert spec.loader is not None
    loading = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loading)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    loading.load(DATA, client[database_name])
    options = [str(EXAMPLE / "models.py"), "--uri", uri, "--database", database_name, "--select", "OWN001"]
    capsys.readouterr()
    assert main(["repair", *options, "--apply"]) == 1
    out = capsys.readouterr().out
    assert "OWN001  1,081 found, 727 repaired" in out
    first = "the owner is to be mended first: airports.iata"
    assert re.search(rf"176 left at routes\.source: {first}", out)
    assert re.search(rf"178 left at routes\.destination: {first}", out)
    assert main(["audit", *options, "--statistics"]) == 1
    assert "354" in capsys.readouterr().out
