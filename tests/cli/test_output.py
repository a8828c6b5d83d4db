"""Where reports go: a file that is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

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
