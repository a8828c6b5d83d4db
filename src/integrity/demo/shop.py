"""The shop's documents, without a fault: about 5,000 in four collections that refer to each other."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bson import Decimal128

Documents = dict[str, list[dict[str, Any]]]

CUSTOMERS, PRODUCTS, ORDERS, REVIEWS = 1200, 300, 2000, 1500

_FIRST = ("Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "Ida", "John", "Margaret", "Niklaus")
_LAST = ("Allen", "Dijkstra", "Hamilton", "Hopper", "Knuth", "Liskov", "Lovelace", "Null", "Rhodes", "Turing", "Wirth")
_CITIES = (("Berlin", "DE"), ("Madrid", "ES"), ("Lyon", "FR"), ("Torino", "IT"), ("Utrecht", "NL"), ("Köln", "DE"))
_THINGS = ("kettle", "lamp", "chair", "clock", "bicycle", "umbrella", "notebook", "teapot", "hammer", "blanket")
_KINDS = ("blue", "folding", "large", "quiet", "round", "small", "wooden")
_WORDS = ("Does what it says.", "Broke after a week.", "A present; well received.", "I bought a second one.")
_START = dt.datetime(2026, 1, 1, 9, 0)  # noqa: DTZ001 - BSON's dates are UTC, and PyMongo reads them naive


def documents() -> Documents:
    """Return the documents by collection, in an order in which every reference is to what is there already."""
    products = [_product(number) for number in range(PRODUCTS)]
    return {
        "customers": [_customer(number) for number in range(CUSTOMERS)],
        "products": products,
        "orders": [_order(number, products) for number in range(ORDERS)],
        "reviews": [_review(number, products) for number in range(REVIEWS)],
    }


def _customer(number: int) -> dict[str, Any]:
    first, last = _FIRST[number % len(_FIRST)], _LAST[number // len(_FIRST) % len(_LAST)]
    city, country = _CITIES[number % len(_CITIES)]
    return {
        "_id": number,
        "name": f"{first} {last}",
        "email": f"{first}.{last}.{number}@shop.test".lower(),
        "phone": f"+49 30 {100_000 + number}" if number % 3 else None,
        "address": {"street": f"{_THINGS[number % len(_THINGS)].title()} Street {number % 90 + 1}",
                    "city": city, "country": country},
        "interests": [_THINGS[number % 7], _THINGS[number % 3 + 7]],
    }  # fmt: skip


def _product(number: int) -> dict[str, Any]:
    kind, thing = _KINDS[number % len(_KINDS)], _THINGS[number % len(_THINGS)]
    return {
        "_id": f"{thing[:3].upper()}-{number:03}",
        "name": f"{kind.title()} {thing} {number}",
        "price": Decimal128(f"{3 + number * 7 % 90}.{number % 10}5"),
        "weight": 0.25 + number % 40,
        "stock": number * 13 % 50,
    }


def _order(number: int, products: list[dict[str, Any]]) -> dict[str, Any]:
    placed = _START + dt.timedelta(minutes=97 * number)
    status = ("open", "paid", "shipped")[number % 3]
    chosen = [products[(number * 11 + place * 37) % len(products)] for place in range(number % 4 + 1)]
    return {
        "_id": 100_000 + number,
        "customer_id": number * 7 % CUSTOMERS,
        "placed": placed,
        "shipped": placed + dt.timedelta(days=2) if status == "shipped" else None,
        "status": status,
        "items": [
            {"product_id": each["_id"], "name": each["name"], "quantity": (number + place) % 5 + 1}
            for place, each in enumerate(chosen)
        ],
    }


def _review(number: int, products: list[dict[str, Any]]) -> dict[str, Any]:
    # 300 products by 1,200 customers: number and number // 300 keep each pair apart.
    return {
        "_id": number,
        "product_id": products[number % len(products)]["_id"],
        "customer_id": (number * 17 + number // len(products)) % CUSTOMERS,
        "stars": number % 5 + 1,
        "text": _WORDS[number % len(_WORDS)] if number % 4 else None,
    }
