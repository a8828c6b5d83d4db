"""Stand-ins for a mongod that cannot run."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def fake_mongod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a shell script the mongod that is found."""

    def make(script: str) -> Path:
        path = tmp_path / "fake-mongod"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        monkeypatch.setenv("INTEGRITY_MONGOD", str(path))
        return path

    return make
