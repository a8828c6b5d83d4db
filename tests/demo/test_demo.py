"""The demonstration keeps its word: every planted fault is found, nothing else is, and nothing is left behind."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pymongo import MongoClient

import integrity
from integrity.audit import audit
from integrity.declare.registry import Registry
from integrity.demo import faults, shop
from integrity.demo.models import MODELS
from integrity.demo.refusals import refusals, stock
from integrity.store.blocking import BlockingStore
from integrity.store.run import run

ROOT = Path(__file__).parents[2]


def _timeless(text: str) -> list[str]:
    return re.sub(r" in \d+\.\d s\.", " in N s.", text).splitlines()


def fill(database: Any, documents: shop.Documents) -> None:
    for name, many in documents.items():
        database[name].insert_many(many)


def test_the_audit_finds_exactly_the_planted_faults(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    documents = shop.documents()
    planted = faults.plant(documents)
    fill(client[database_name], documents)
    with run(audit(BlockingStore(client[database_name]), Registry(MODELS))) as result:
        found = Counter(faults.Planted(each.collection, each.code, each.path, each.id) for each in result.violations)
    assert found == Counter(planted)
    assert result.complete


def test_the_shop_without_planted_faults_is_clean_and_about_5000_documents(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    documents = shop.documents()
    assert 4500 <= sum(map(len, documents.values())) <= 5500
    fill(client[database_name], documents)
    with run(audit(BlockingStore(client[database_name]), Registry(MODELS))) as result:
        assert result.clean


def test_faults_of_every_family_are_planted_one_a_document_and_always_the_same() -> None:
    planted = faults.plant(shop.documents())
    assert {each.code[:3] for each in planted} == {"EMP", "FRB", "SCH", "REF", "UNQ", "OWN"}
    assert set(Counter((each.collection, each.id) for each in planted).values()) == {1}
    documents = shop.documents()
    assert faults.plant(documents) == planted
    again = shop.documents()
    faults.plant(again)
    assert repr(again) == repr(documents)


def test_every_write_of_the_demo_is_refused_and_stores_nothing(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    with integrity.Database(client[database_name], models=MODELS, actor="shop") as db:
        many = stock(db)
        refused = list(refusals(db))
    assert [type(each.error).__name__ for each in refused] == [
        "InvalidDocument",
        "DanglingReference",
        "InvalidDocument",
        "DuplicateValue",
        "InvalidDocument",
        "RestrictedDelete",
        "ForeignWrite",
    ]
    database = client[database_name]
    assert database.products.find_one({"_id": "LAM-001"}, {"stock": 1}) == {"_id": "LAM-001", "stock": 4}
    assert sum(database[model.__integrity__.collection or ""].count_documents({}) for model in MODELS) == many


def test_the_command_ends_with_exit_0_what_to_do_next_and_no_process_left() -> None:
    running = subprocess.run(
        [sys.executable, "-m", "integrity", "demo"], capture_output=True, text=True, check=False, timeout=100
    )
    assert (running.returncode, running.stderr) == (0, "")
    count = len(faults.plant(shop.documents()))
    assert f"These are exactly the {count} faults that were planted." in running.stdout
    assert "What to do next" in running.stdout
    shown = (
        (ROOT / "README.md").read_text().partition("**`make demo`**")[2].partition("```text\n")[2].partition("```")[0]
    )
    printed = _timeless(running.stdout)
    assert [line for line in _timeless(shown) if line != "..." and line not in printed] == []
    for name in ("docs/tutorial/first-steps.md", "src/integrity/demo/models.py"):
        assert name in running.stdout
        assert (ROOT / name).is_file()
