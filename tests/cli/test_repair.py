"""`integrity repair`, cut off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from integrity.repair import CollectionJournal
from tests.cli.conftest import Command

MODELS = """
from integrity import Model

class Thing(Model, collection="things"):
    id: int
    size: int
"""


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (AutoReconnect, 2)])
def test_a_repair_that_is_cut_off_says_how_to_go_on(
    uri: str,
    database_name: str,
    client: Any,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    status: int,
) -> None:
    file = tmp_path / "things_models.py"
    file.write_text(MODELS)
    raw = client[database_name]
    raw.things.insert_many({"_id": number, "size": float(number)} for number in range(3))
    options = ["--uri", uri, "--database", database_name]

    async def cut(*_: Any) -> None:
        raise error("no more")

    with monkeypatch.context() as patched:
        patched.setattr(CollectionJournal, "mark", cut)  # the last that a repair does
        found = command("repair", file, *options, "--apply")
    assert found.status == status
    assert "Traceback" not in found.err
    said = re.search(r"what was repaired stays; --apply again does the rest, `integrity (undo \S+ \S+)`", found.err)
    assert said
    assert command(*said[1].split(), *options).status == 0
    assert [type(each["size"]) for each in raw.things.find()] == [float] * 3
