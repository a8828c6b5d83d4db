"""Where reports go: a file that is whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integrity.cli.failure import Failure
from integrity.cli.output import writing


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    link, place = tmp_path / "report", tmp_path / "kept" / "report"
    link.symlink_to(place)  # which is not there yet
    for each in ("one", "two"):
        with writing(str(link)) as out:
            out.write(each)
        assert (link.readlink(), place.read_text()) == (place, each)

    def half() -> None:
        with writing(str(link)) as out:
            out.write("three")
            raise ValueError("half of it")

    with pytest.raises(ValueError, match="half"):
        half()
    assert [place.read_text(), *sorted(each.name for each in (tmp_path / "kept").iterdir())] == ["two", "report"]


@pytest.mark.parametrize("name", ["report", "/dev/null", "-"])
@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "refused"), BrokenPipeError(32, "of a worker")])
def test_what_fails_beside_the_writing_is_not_called_so(tmp_path: Path, name: str, error: OSError) -> None:
    """A server, a worker and a model's file raise it too; nothing is left of the report."""

    def half() -> None:
        with writing(name if name == "-" else str(tmp_path / name)) as out:
            out.write("half")
            raise error

    with pytest.raises(OSError, match=error.strerror) as found:
        half()
    assert found.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("text", ["x", "x" * 100_000], ids=["at the end", "in between"])
def test_what_fails_in_the_writing_is_called_so(text: str) -> None:
    def full() -> None:
        with writing("/dev/full") as out:
            out.write(text)
            out.writelines(["more"])

    with pytest.raises(Failure, match=r"^/dev/full cannot be written: No space left on device\.$"):
        full()


def test_a_report_of_which_the_file_fails_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffer cannot be emptied by the clearing up either."""
    real = os.open

    def opened(path: Path, *how: int) -> int:
        os.close(real(path, *how))
        return real("/dev/full", os.O_RDWR)

    monkeypatch.setattr(os, "open", opened)

    def full() -> None:
        with writing(str(tmp_path / "report"), private=True) as out:
            out.write("x" * 100_000)

    with pytest.raises(Failure, match=r"report cannot be written: No space left on device\.$"):
        full()
    assert list(tmp_path.iterdir()) == []
