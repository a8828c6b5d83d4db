"""Which mongod runs, and one clear sentence when none can."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from integrity.embedded import Mongod, MongodFailed, MongodNotFound, finding
from integrity.embedded.finding import find_mongod, runnable

FakeMongod = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No mongod but the wheel's."""
    monkeypatch.delenv("INTEGRITY_MONGOD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def executable(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def test_the_wheel_is_found_without_importing_it() -> None:
    assert find_mongod().parts[-4:] == ("fiftyone", "db", "bin", "mongod")


def test_path_comes_before_the_wheel(tmp_path: Path) -> None:
    on_path = executable(tmp_path / "bin" / "mongod")
    assert find_mongod() == on_path


def test_the_variable_comes_before_path(tmp_path: Path, fake_mongod: FakeMongod) -> None:
    executable(tmp_path / "bin" / "mongod")
    named = fake_mongod("exit 0")
    assert find_mongod() == named


def test_a_variable_that_names_nothing_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEGRITY_MONGOD", "/nowhere/mongod")
    with pytest.raises(MongodNotFound, match=r"^INTEGRITY_MONGOD is '/nowhere/mongod', and .*\.$"):
        Mongod().start()


def test_no_mongod_at_all_is_one_sentence_with_the_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "WHEELS", ("no-such-distribution",))
    with pytest.raises(MongodNotFound) as caught:
        Mongod().start()
    sentence = str(caught.value)
    assert sentence.startswith("No mongod found: ")
    assert "\n" not in sentence
    for way in ("pip install 'mongo-integrity[embedded]'", "PATH", "INTEGRITY_MONGOD"):
        assert way in sentence


@pytest.mark.parametrize(("library", "package"), [("libcurl.so.4", "libcurl4"), ("libcrypto.so.3", "libssl3")])
def test_a_missing_library_names_its_package(fake_mongod: FakeMongod, library: str, package: str) -> None:
    fake_mongod(
        f"echo 'mongod: error while loading shared libraries: {library}: cannot open shared "
        "object file: No such file or directory' >&2; exit 127"
    )
    with pytest.raises(MongodFailed, match=re.escape(f"{library}; on Debian")) as caught:
        Mongod().start()
    assert f"apt-get install {package}." in str(caught.value)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo \"version 'GLIBC_2.35' not found\"; exit 1", "newer system library (GLIBC_2.35)"),
        ("kill -ILL $$", "need AVX"),
        ("kill -KILL $$", "was ended by signal 9"),
        ("echo half a word; exit 14", "ended with status 14"),
        ("exit 3", "It said nothing."),
    ],
)
def test_the_reason_of_a_failed_start_is_said(fake_mongod: FakeMongod, script: str, reason: str) -> None:
    fake_mongod(script)
    with pytest.raises(MongodFailed, match=re.escape(reason)):
        Mongod().start()


def test_a_server_that_never_listens_is_given_up(fake_mongod: FakeMongod) -> None:
    fake_mongod("exec /bin/sleep 60")
    with pytest.raises(MongodFailed, match=r"did not open its port within 0\.5 s"):
        Mongod(timeout=0.5).start()


def test_a_program_that_cannot_be_executed_is_said_to(fake_mongod: FakeMongod) -> None:
    fake_mongod("").write_text("no program at all")
    with pytest.raises(MongodFailed, match=r"could not be started: .*Exec format error"):
        Mongod().start()


@pytest.mark.parametrize("theirs", [False, True])
def test_a_wheel_without_mode_bits_is_made_executable_or_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: bool
) -> None:
    program = executable(tmp_path / "mongod")
    program.chmod(0o600)
    spare = tmp_path / "spare"
    spare.mkdir()
    if theirs:
        copy = spare / "mongod"

        def refuse(path: Path, mode: int) -> None:
            if path != copy:
                raise PermissionError(path)
            original(path, mode)

        original = Path.chmod
        monkeypatch.setattr(Path, "chmod", refuse)
    found = runnable(program, spare)
    assert found.parent == (spare if theirs else tmp_path)
    assert found.stat().st_mode & 0o100
    assert shutil.which(str(found)) == str(found)
