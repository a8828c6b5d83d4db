"""Guarded writes that are refused, each as a reader would write it, with what makes it one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from integrity import Database
from integrity.demo.models import Customer, Order, Product, Review
from integrity.errors import IntegrityError

_ADDRESS = {"street": "Lamp Street 1", "city": "Berlin", "country": "DE"}
_PLACED = dt.datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001 - as in shop


@dataclass(frozen=True)
class Refusal:
    """A write and what became of it.

    Args:
        title: What is tried.
        error: What was raised.
    """

    title: str
    error: IntegrityError


def stock(db: Database) -> int:
    """Store a customer, two products and an order through the guard, and return how many documents that were."""
    db[Customer].insert_one({"_id": 1, "name": "Ada Lovelace", "email": "ada@shop.test", "address": _ADDRESS})
    products = db[Product].insert_many([
        {"_id": "LAM-001", "name": "Blue lamp", "price": "19.95", "weight": 1.5, "stock": 4},
        {"_id": "KET-002", "name": "Round kettle", "price": "34.50", "weight": 0.9, "stock": 2},
    ])  # fmt: skip
    items = [{"product_id": "LAM-001", "quantity": 1}]  # the product's name is filled in
    db[Order].insert_one({"_id": 6, "customer_id": 1, "placed": _PLACED, "status": "open", "items": items})
    return 2 + len(products.inserted_ids)


def refusals(db: Database) -> Iterator[Refusal]:
    """Try writes that break the declarations, and yield each with its error.

    Raises:
        AssertionError: A write was not refused.
    """
    for title, attempt in _ATTEMPTS:
        try:
            attempt(db)
        except IntegrityError as error:
            yield Refusal(title, error)
        else:
            raise AssertionError(f"{title}: it was stored")


def _empty_form(db: Database) -> None:
    address = {"street": "   ", "city": "N/A", "country": "DE"}
    db[Customer].insert_one({"_id": 2, "name": "", "email": "alan@shop.test", "adress": "?", "address": address})


def _unknown_customer(db: Database) -> None:
    items = [{"product_id": "LAM-001", "quantity": 1}]
    db[Order].insert_one({"_id": 7, "customer_id": 99, "placed": _PLACED, "status": "open", "items": items})


def _second_truth(db: Database) -> None:
    items = [{"product_id": "LAM-001", "name": "Red lamp", "quantity": 0}]
    db[Order].insert_one({"_id": 7, "customer_id": 1, "placed": _PLACED, "status": "open", "items": items})


def _taken(db: Database) -> None:
    db[Customer].insert_one({"_id": 3, "name": "Ada Byron", "email": "ada@shop.test", "address": _ADDRESS})


def _oversold(db: Database) -> None:
    db[Product].update_one({"_id": "LAM-001"}, {"$inc": {"stock": -9}})


def _referred_to(db: Database) -> None:
    db[Customer].delete_one({"_id": 1})


def _foreign(db: Database) -> None:
    db[Review].insert_one({"_id": 1, "product_id": "LAM-001", "customer_id": 1, "stars": 5})


_ATTEMPTS: tuple[tuple[str, Callable[[Database], None]], ...] = (
    ("A customer from a half-empty form: all that is wrong is said at once", _empty_form),
    ("An order of a customer that does not exist", _unknown_customer),
    ("An order with a product's name of its own, and none of the product", _second_truth),
    ("A second customer with the same e-mail address", _taken),
    ("Taking nine lamps of four out of the stock, by $inc", _oversold),
    ("Deleting a customer who has an order", _referred_to),
    ("A review written by the shop: reviews belong to the service `community`", _foreign),
)
