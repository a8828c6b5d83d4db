"""What `make bench` and `make torture` run can be run: a measurement that does not start is none."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    each.stem for each in (ROOT / "benchmarks").glob("*.py") if each.stem.startswith(("bench_", "torture_"))
)


@pytest.mark.filterwarnings("ignore")  # of the peers' own imports
@pytest.mark.parametrize("name", SCRIPTS)
def test_it_starts_as_make_starts_it(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").main)
