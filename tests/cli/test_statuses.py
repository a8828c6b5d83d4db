"""What a command left undone is its exit status: a timer or a pipeline reads nothing else."""

import datetime as dt
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from integrity.writes.copies import waiting
from tests.cli.conftest import Command

Raw = Database[dict[str, Any]]

MODELS = """
from typing import Annotated
from pydantic import Field
from integrity import CopyOf, Model, Ref

class Customer(Model, collection="customers"):
    id: int
    name: str

class Order(Model, collection="orders"):
    id: int
    customer_id: Annotated[int, Ref(Customer, on_delete="cascade")]
    customer: Annotated[str, Field(max_length=5), CopyOf(Customer, "name", via="customer_id")]

class Line(Model, collection="lines"):
    id: int
    order_id: Annotated[int, Ref(Order)]
"""

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A file with three models."""
    file = tmp_path / "shop_of_statuses.py"
    file.write_text(MODELS)
    return file


@pytest.fixture
def raw(database: Raw) -> Raw:
    """A clean customer with an order and its line."""
    database.orders.update_one({"_id": 1}, {"$set": {"customer": "Ada"}})
    database.customers.update_one({"_id": 1}, {"$unset": {"email": ""}})
    database["lines"].insert_one({"_id": 1, "order_id": 1})
    return database


def deleted(raw: Raw, collection: str, value: int) -> None:
    """Record a deletion whose grace is over."""
    key = {"c": collection, "f": "_id", "v": value, "n": "x"}
    token = ObjectId()
    raw["integrity.condemned"].insert_one(
        {"_id": token, "op": token, "owner": token, "state": "gone", "until": PAST, "over": PAST, "keys": [key]}
    )


def test_recover(command: Command, shop: Path, at: str, raw: Raw) -> None:
    deleted(raw, "customers", 1)
    raw.customers.delete_one({"_id": 1})
    found = command("recover", shop, "--uri", at)
    assert (found.status, raw.orders.count_documents({})) == (1, 1), "a line refers to the stray order"
    raw["integrity.condemned"].delete_many({})
    deleted(raw, "elsewhere", 1)
    found = command("recover", shop, "--uri", at)
    assert found.status == 2
    assert "deletes in elsewhere were left as they are" in found.err


def test_sync(command: Command, shop: Path, at: str, raw: Raw) -> None:
    record = {"collection": "orders", "path": "customer", "key": 1, "change": ObjectId(), "until": PAST}
    raw.customers.update_one({"_id": 1}, {"$set": {"name": "Grace"}})
    raw["integrity.refreshes"].insert_one({"_id": "a", **record})
    assert command("sync", shop, "--uri", at).status == 0
    assert raw.orders.distinct("customer") == ["Grace"]
    raw.customers.update_one({"_id": 1}, {"$set": {"name": "Ada Lovelace"}})
    raw["integrity.refreshes"].insert_one({"_id": "b", **record})
    for _ in range(2):
        found = command("sync", shop, "--uri", at)
        assert found.status == 1, "it is as stale as before"
        assert "left: orders.customer cannot hold what its owner holds" in found.out
    raw["integrity.refreshes"].insert_one({"_id": "c", **record, "collection": "elsewhere"})
    found = command("sync", shop, "--uri", at)
    assert found.status == 2
    assert "copies in elsewhere.customer were left as they are" in found.err


def test_sync_says_that_it_waits_for_what_was_killed(
    command: Command, shop: Path, at: str, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    record = {"collection": "orders", "path": "customer", "key": 1, "change": ObjectId(), "until": PAST}
    raw.customers.update_one({"_id": 1}, {"$set": {"name": "Grace"}})
    raw["integrity.refreshes"].insert_one({"_id": "a", **record})
    limit = "transactionLifetimeLimitSeconds"
    server = raw.client.admin
    before = server.command({"setParameter": 1, limit: 1})["was"]
    try:
        with raw.client.start_session() as killed:
            killed.start_transaction()
            raw.orders.update_one({"_id": 1}, {"$set": {"customer": "Grace"}}, session=killed)
            found = command("sync", shop, "--uri", at)
    finally:
        server.command({"setParameter": 1, limit: before})
    assert (found.status, raw.orders.distinct("customer")) == (0, ["Grace"])
    assert "orders.customer: waiting for another transaction" in found.err
    assert "waiting" not in found.out


def test_repair_and_quarantine_and_undo(command: Command, shop: Path, at: str, raw: Raw) -> None:
    raw.customers.insert_one({"_id": 2, "name": ""})
    raw.orders.update_one({"_id": 1}, {"$set": {"customer_id": 1.0}})
    assert command("repair", shop, "--uri", at).status == 1
    assert raw.orders.find_one({"customer_id": {"$type": "double"}})
    left = command("repair", shop, "--uri", at, "--apply")
    assert (left.status, raw.orders.count_documents({"customer_id": {"$type": "int"}})) == (1, 1)
    assert command("repair", shop, "--uri", at, "--apply", "--unsafe", "EMP001=quarantine").status == 0
    assert command("quarantine", "list", shop, "--uri", at).status == 1
    assert command("quarantine", "release", shop, "customers", "--uri", at).status == 1
    raw["customers.quarantine"].update_one({}, {"$set": {"document.name": "Bob"}})
    assert command("quarantine", "release", shop, "customers", "--uri", at).status == 0
    assert command("quarantine", "list", shop, "--uri", at).status == 0
    raw.orders.update_one({"_id": 1}, {"$set": {"customer": "Grace"}})
    (undo,) = re.findall(r"`integrity (undo .*?)`", left.err)
    assert command(*shlex.split(undo), "--uri", at).status == 1, "the order was changed since"
    raw.orders.drop()
    found = command("repair", shop, "--uri", at)
    assert found.status == 2
    assert "not everything was seen" in found.err


def test_check(command: Command, shop: Path) -> None:
    assert command("check", shop, "--strict").status == 0
    shop.write_text(MODELS.replace('on_delete="cascade"', 'on_delete="no_action"'))
    assert (command("check", shop).status, command("check", shop, "--strict").status) == (0, 1)
