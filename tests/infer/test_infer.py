"""From existing collections to models that read well, import, pass mypy, and are audited without an exception."""

from __future__ import annotations

import datetime as dt
import random
import subprocess
import sys
import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from integrity.audit import audit
from integrity.declare.registry import Entry, Registry
from integrity.errors import IntegrityError
from integrity.infer import infer
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.contracts.test_imports import SOURCE

Raw = Database[dict[str, Any]]

ROOT = SOURCE.parents[1]
OPENFLIGHTS = ROOT.parent / "shared" / "data" / "openflights"


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    return client[database_name]


@pytest.fixture
def imported() -> Iterator[Any]:
    """Imports source text as a module."""
    names: list[str] = []

    def load(source: str) -> types.ModuleType:
        name = f"inferred_{len(names)}_{random.randrange(10**9)}"
        module = types.ModuleType(name)
        sys.modules[name] = module
        names.append(name)
        exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - what is under test
        return module

    yield load
    for each in names:
        del sys.modules[each]


def inferred(database: Raw, **options: Any) -> str:
    return run(infer(BlockingStore(database), **options))


def references(entry: Entry) -> set[tuple[str, str, str]]:
    return {(each.path, each.target.collection, each.field) for each in entry.references}


def annotation(source: str, attribute: str) -> str:
    """The line that declares an attribute."""
    return next(line.strip() for line in source.splitlines() if line.strip().startswith(f"{attribute}:"))


def comment(source: str, attribute: str) -> str:
    """The comment above it."""
    lines = source.splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{attribute}:"))
    return lines[at - 1].strip()


def well_formed(source: str, folder: Path) -> None:
    """A formatter has nothing to do, a linter nothing to say, and mypy passes it in strict mode.

    E741: a field called ``l`` is called so in the database. The tests share mypy's cache: the library is read once.
    """
    file = folder / "models.py"
    file.write_text(source)
    for command in (
        ["ruff", "format", "--check", "--isolated", "--line-length", "120"],
        ["ruff", "check", "--isolated", "--select", "E,F,I,W", "--ignore", "E741", "--line-length", "120"],
        ["mypy", "--strict", "--config-file", "", "--cache-dir", str(folder.parent / "mypy")],
    ):
        done = subprocess.run([sys.executable, "-m", *command, str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr, source)


def audits(database: Raw, module: types.ModuleType) -> dict[str, int]:
    with run(audit(BlockingStore(database), Registry(module))) as result:
        assert result.complete, result.failure
        return {code: n for each in result.collections for code, n in each.counts.items()}


@pytest.fixture
def shop(database: Raw) -> Raw:
    """Customers, products and orders, as several programs have written them."""
    chance = random.Random(5)
    customers = [ObjectId(f"{number:024x}") for number in range(1, 201)]
    products = [f"P-{number:04}" for number in range(100)]
    kinds = ["book", "toy", "tool"]
    database.customers.insert_many(
        {
            "_id": each,
            "name": f"Customer {number % 150}" if number % 40 else "N/A",
            "email": f"c{number}@shop.test",
            **({"phone": f"+46 {number}"} if number % 3 else {}),
            "vip": None if number % 2 else True,
            "joined": dt.datetime(2020, 1, 1) + dt.timedelta(days=number),  # noqa: DTZ001 - PyMongo reads naive as UTC
            "address": {"street": f"Road {number}", "zip": str(10000 + number), "geo": {"lat": 1.5, "lon": number}},
            "first-name": "Ada",
            "class": "gold" if number % 5 else "silver",
            "settings": {f"key{chance.randrange(500)}": number for _ in range(3)},
        }
        for number, each in enumerate(customers)
    )
    database.products.insert_many(
        {
            "_id": each,
            "kind": chance.choice(kinds),
            "price": Decimal128(Decimal(number) / 4 + 1),
            "title": f"Thing {each}",
        }
        for number, each in enumerate(products)
    )
    names = {each["_id"]: each["name"] for each in database.customers.find()}
    titles = {each["_id"]: each["title"] for each in database.products.find()}
    orders: list[dict[str, Any]] = []
    for number in range(400):
        customer = chance.choice(customers)
        chosen = chance.sample(products, 3)
        orders.append(
            {
                "_id": number,
                "buyer_id": customer,
                "buyer_name": names[customer] if number % 50 else "Somebody else",
                "lines": [{"sku": each, "title": titles[each], "qty": chance.randrange(1, 5)} for each in chosen],
                "token": f"{number:08x}-0000-4000-8000-000000000000",
                "total": float(number) if number % 2 else number + 0.5,
                "count": number % 7 if number != 9 else "many",
                "day": f"2024-01-{number % 28 + 1:02}",
                "tags": chance.sample(["new", "old", "red", "blue"], 2),
                "extra": chance.choice(["text", 5]),
            }
        )
    database.orders.insert_many(orders)
    return database


def test_the_models_of_a_shop(shop: Raw, imported: Any, tmp_path: Path) -> None:
    source = inferred(shop)
    well_formed(source, tmp_path)
    registry = Registry(imported(source))
    order = registry.entry("Order")
    assert references(order) == {("buyer_id", "customers", "_id"), ("lines[].sku", "products", "_id")}
    copies = {(each.path, each.via.path, each.field) for each in order.copies}
    assert copies == {("buyer_name", "buyer_id", "name"), ("lines[].title", "lines[].sku", "title")}
    counts = audits(shop, imported(source))
    assert counts["FRB001"] >= 5  # the names that are no names
    assert counts["OWN001"] >= 1  # somebody else's
    assert counts["SCH001"] == 1  # many


def test_optional_and_nullable_are_told_apart(shop: Raw) -> None:
    source = inferred(shop)
    assert annotation(source, "phone").endswith("str | None, Unique()] = None")
    assert "absent" in comment(source, "phone")
    assert annotation(source, "vip") == "vip: bool | None"
    assert "null 50.0 %" in comment(source, "vip")
    assert "absent" not in comment(source, "vip")


def test_what_the_values_say_is_declared(shop: Raw) -> None:
    source = inferred(shop)
    assert annotation(source, "kind") == 'kind: Literal["book", "tool", "toy"]'
    assert annotation(source, "price") == "price: Decimal"
    assert annotation(source, "total") == "total: float"
    assert annotation(source, "joined") == "joined: datetime"
    assert "pattern=" in annotation(source, "email")
    assert "e-mail" in comment(source, "email")
    assert "pattern=" in annotation(source, "day")
    assert "pattern=" in annotation(source, "token")
    assert annotation(source, "extra") in {"extra: int | str", "extra: str | int"}
    assert annotation(source, "tags") == 'tags: list[Literal["blue", "new", "old", "red"]]'
    assert annotation(source, "settings") == "settings: dict[str, int]"
    assert annotation(source, "address") == "address: Address"
    assert annotation(source, "lines") == "lines: list[Line]"
    assert annotation(source, "first_name").endswith('Field(alias="first-name")]')
    assert annotation(source, "class_").endswith('Field(alias="class")]')


def test_dirty_values_are_left_out_of_the_types_and_mentioned(shop: Raw) -> None:
    source = inferred(shop)
    assert annotation(source, "name") == "name: str | None = None"
    assert "dirty 2.5 % ('N/A' 5)" in comment(source, "name")
    assert annotation(source, "count") == "count: int"
    assert "1 dirty value of type string" in comment(source, "count")


def test_the_inclusion_rate_is_said(shop: Raw) -> None:
    shop.orders.update_many({"_id": {"$lt": 20}}, {"$set": {"buyer_id": ObjectId()}})
    source = inferred(shop)
    assert "95.0 % found in customers._id" in comment(source, "buyer_id")


def test_a_number_is_no_reference_because_it_is_small(database: Raw, imported: Any) -> None:
    database.shelves.insert_many({"_id": number, "name": f"s{number}"} for number in range(100))
    database.items.insert_many(
        {"_id": number, "weight": number % 90, "shelf_id": number % 100, "quantity": number % 50}
        for number in range(300)
    )
    entry = Registry(imported(inferred(database))).entry("Item")
    assert references(entry) == {("shelf_id", "shelves", "_id")}


def test_every_type_of_bson_is_declared_as_something(database: Raw, imported: Any, tmp_path: Path) -> None:
    database.odds.insert_one(
        {
            "_id": MinKey(), "b": b"x", "u": Binary(bytes(16), 4), "r": Regex("a"), "t": Timestamp(1, 2),
            "c": Code("x"), "n": None, "e": [], "m": [1, "a", {"x": 1}], "o": {}, "l": [[1, 2], [3]],
            "d": Decimal128("NaN"), "id": 5, "_hidden": 1, "model_x": 1, "copy": 1, "1st": 1, "é": 1, "str": "x",
            "date time": 1, "json": {"a": 1},
        }
    )  # fmt: skip
    source = inferred(database)
    well_formed(source, tmp_path)
    audits(database, imported(source))


def test_a_field_that_no_model_can_name_is_said_and_left_out(database: Raw, imported: Any, tmp_path: Path) -> None:
    database.odds.insert_many({"_id": n, "a.b": n, "$c": 1, "in": {"x.y": n, "": "z"}, "x": n} for n in range(30))
    source = inferred(database)
    well_formed(source, tmp_path)
    audits(database, imported(source))
    assert "# 'a.b' is not declared" in source
    assert annotation(source, "in_").startswith("in_: Annotated[dict[str, int | str]")


def test_a_name_that_is_no_utf8_is_said_and_left_out(database: Raw, imported: Any, tmp_path: Path) -> None:
    """The driver reads it, and cannot write it: no query may name it."""
    customers = [{"_id": n, "name": f"Name {n}", "city": f"City {n}"} for n in range(30)]
    database.customers.insert_many(customers)
    odd = bson.encode({"_id": 30, "name": "Name 30", "##": "x", "city": "City 30"}).replace(b"##", b"\xff#")
    database.customers.insert_one(RawBSONDocument(odd))
    database.orders.insert_many({"_id": n, "customer_id": n % 30, "name": f"Name {n % 30}"} for n in range(60))
    source = inferred(database)
    well_formed(source, tmp_path)
    assert r"'\udcff#' is not declared, since no update names such a field" in source
    assert references(Registry(imported(source)).entry("Order")) == {("customer_id", "customers", "_id")}


def test_objects_in_a_mapping_are_models_too(database: Raw, imported: Any, tmp_path: Path) -> None:
    prices = {"net.total": {"amount": 1.5, "currency": "EUR"}, "gross": [{"amount": 2.5, "class": "A"}]}
    deep = {"by.year": {f"{year}.": {"sold": year, "lines": [{"sku": "A"}]} for year in range(2000, 2003)}}
    database.offers.insert_many({"_id": n, "prices": prices, "deep": deep} for n in range(30))
    source = inferred(database)
    well_formed(source, tmp_path)
    module = imported(source)
    assert annotation(source, "class_").startswith('class_: Annotated[Literal["A"]')
    assert audits(database, module) == {}


def test_objects_and_arrays_that_are_rare_are_dirty(database: Raw, imported: Any, tmp_path: Path) -> None:
    database.users.insert_many({"_id": n, "name": f"Name {n}"} for n in range(500))
    database.posts.insert_many({"_id": n, "user_id": n % 500} for n in range(500))
    database.posts.insert_many([{"_id": 500, "user_id": {"id": 5}}, {"_id": 501, "user_id": [1, 2]}])
    source = inferred(database)
    well_formed(source, tmp_path)
    assert annotation(source, "user_id").startswith('user_id: Annotated[int, Ref("User")')
    assert "1 dirty value of type array; 1 dirty value of type object" in source
    assert audits(database, imported(source)) == {"SCH001": 2}


def test_a_reference_goes_to_the_key_where_another_field_is_called_id(database: Raw, imported: Any) -> None:
    keys = [ObjectId() for _ in range(40)]
    database.users.insert_many({"_id": key, "id": n} for n, key in enumerate(keys))
    database.posts.insert_many({"_id": n, "user": keys[n % 40]} for n in range(120))
    assert references(Registry(imported(inferred(database))).entry("Post")) == {("user", "users", "_id")}


def test_references_beside_arrays_of_them_are_said_and_the_others_declared(database: Raw, imported: Any) -> None:
    keys = [ObjectId() for _ in range(40)]
    database.users.insert_many({"_id": key} for key in keys)
    database.posts.insert_many(
        {"_id": n, "user": keys[n % 40], "to": keys[n % 40] if n % 3 else [keys[n % 40]]} for n in range(120)
    )
    source = inferred(database)
    assert ("user", "users", "_id") in references(Registry(imported(source)).entry("Post"))
    assert "single values are found in users._id" in source


def test_a_sample_is_enough_and_the_server_says_what_hangs_on_every_value(database: Raw, imported: Any) -> None:
    database.parents.insert_many({"_id": ObjectId(f"{number:024x}"), "code": f"c{number}"} for number in range(3000))
    database.children.insert_many(
        {"_id": number, "parent": ObjectId(f"{number % 3000:024x}"), "state": "rare" if number == 7 else "often",
         "twice": f"t{number if number != 5999 else 0}"}
        for number in range(6000)
    )  # fmt: skip
    source = inferred(database, sample=300)
    entry = Registry(imported(source)).entry("Child")
    assert references(entry) == {("parent", "parents", "_id")}
    assert annotation(source, "state") == 'state: Literal["often", "rare"]'
    assert annotation(source, "twice") == "twice: str"
    assert "300 of them read" in source


def test_what_is_left_out_is_not_said_to_be_missing(database: Raw) -> None:
    database.users.insert_one({"_id": 1})
    database.create_collection("seen", viewOn="users", pipeline=[])
    with pytest.raises(IntegrityError, match="'seen' is a view: models are inferred for collections"):
        inferred(database, collections=["seen", "users"])
    with pytest.raises(IntegrityError, match="There is no collection 'usres' in"):
        inferred(database, collections=["usres"])


def test_a_database_without_documents_is_a_sentence(database: Raw) -> None:
    with pytest.raises(IntegrityError, match="holds no documents"):
        inferred(database)
    database.x.insert_one({"a": 1})
    with pytest.raises(IntegrityError, match="no collection 'y' in"):
        inferred(database, collections=["y"])


@pytest.mark.slow
@pytest.mark.skipif(not OPENFLIGHTS.is_dir(), reason="the data of OpenFlights is not beside this checkout")
def test_openflights_declared_references_and_copies_are_found(database: Raw, imported: Any) -> None:
    def module(path: Path) -> types.ModuleType:
        return imported(path.read_text())  # type: ignore[no-any-return]  # a module

    example = ROOT / "examples" / "openflights"
    module(example / "load.py").load(OPENFLIGHTS, database)
    database.routes.aggregate([{"$limit": 8_000}, {"$out": "routes"}])  # an eighth, which tells as much
    source = inferred(database)
    found, declared = Registry(imported(source)), Registry(module(example / "models.py"))
    for entry in declared:
        mine = found.by_collection(entry.collection)
        assert mine is not None
        assert references(entry) <= references(mine)
        copies = {(each.path, each.via.path, each.field) for each in entry.copies}
        assert copies <= {(each.path, each.via.path, each.field) for each in mine.copies}
    audits(database, imported(source))
