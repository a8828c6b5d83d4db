"""Bad inserts."""

from decimal import Decimal
from typing import Any

from pymongo import InsertOne

from tests.writes.catalogue.entry import Bad
from tests.writes.catalogue.models import Account, Booking, Customer, Order, Product

Document = dict[str, Any]

CUSTOMER: Document = {"_id": 9, "email": "dan@example.org", "name": "Dan"}
PRODUCT: Document = {
    "_id": 9, "sku": "C-3", "name": "Lamp", "price": Decimal("9.90"), "stock": 5, "weight": 1.0, "tags": ["light"],
    "ratings": [],
}  # fmt: skip
ORDER: Document = {
    "_id": 9, "customer_id": 1, "status": "new", "lines": [{"product_id": 1, "qty": 1}], "address": {"city": "Bonn"},
}  # fmt: skip


def without(document: Document, name: str) -> Document:
    return {key: value for key, value in document.items() if key != name}


ENTRIES = (
    Bad("insert without a required field", Customer, ("insert_one", without(CUSTOMER, "email")), "SCH002"),
    Bad("insert a wrong type", Product, ("insert_one", {**PRODUCT, "stock": "many"}), "SCH001"),
    Bad("insert a fraction for an integer", Product, ("insert_one", {**PRODUCT, "stock": 1.5}), "SCH001"),
    Bad("insert past a bound", Product, ("insert_one", {**PRODUCT, "stock": 1001}), "SCH003"),
    Bad("insert what is none of the choices", Customer, ("insert_one", {**CUSTOMER, "level": "silver"}), "SCH003"),
    Bad("insert what does not match the pattern", Customer, ("insert_one", {**CUSTOMER, "email": "dan"}), "SCH003"),
    Bad("insert an unknown field", Customer, ("insert_one", {**CUSTOMER, "nmae": "Dan"}), "SCH004"),
    Bad("insert an empty string", Customer, ("insert_one", {**CUSTOMER, "name": ""}), "EMP001"),
    Bad("insert white space", Customer, ("insert_one", {**CUSTOMER, "name": "  \t "}), "EMP002"),
    Bad("insert an invisible character", Customer, ("insert_one", {**CUSTOMER, "name": "\u200b\u200b"}), "EMP002"),
    Bad("insert an empty list", Product, ("insert_one", {**PRODUCT, "tags": []}), "EMP003"),
    Bad("insert an empty object", Product, ("insert_one", {**PRODUCT, "attributes": {}}), "EMP003"),
    Bad("insert null where null is not declared", Customer, ("insert_one", {**CUSTOMER, "name": None}), "EMP004"),
    Bad("insert NaN", Product, ("insert_one", {**PRODUCT, "weight": float("nan")}), "EMP005"),
    Bad("insert an infinite number", Product, ("insert_one", {**PRODUCT, "weight": float("inf")}), "EMP005"),
    Bad("insert a placeholder", Customer, ("insert_one", {**CUSTOMER, "name": "N/A"}), "FRB001"),
    Bad("insert an importer's null", Product, ("insert_one", {**PRODUCT, "code": "\\N"}), "FRB001"),
    Bad("insert what a pattern forbids", Product, ("insert_one", {**PRODUCT, "name": "Test lamp"}), "FRB002"),
    Bad("insert a bad element", Product, ("insert_one", {**PRODUCT, "ratings": [5, 6]}), "SCH003"),
    Bad("insert a list that is too long", Product, ("insert_one", {**PRODUCT, "tags": list("abcd")}), "SCH003"),
    Bad("insert a bad embedded document", Order, ("insert_one", {**ORDER, "address": {"street": "X"}}), "SCH002"),
    Bad("insert a bad value in an array of documents", Order,
        ("insert_one", {**ORDER, "lines": [{"product_id": 1, "qty": 0}]}), "SCH003"),
    Bad("insert a document that a validator refuses", Booking,
        ("insert_one", {"_id": 9, "room": "red", "start": 5, "end": 5}), "SCH005"),
    Bad("insert a reference to nothing", Order, ("insert_one", {**ORDER, "customer_id": 77}), "REF001"),
    Bad("insert a reference to nothing in an array", Order,
        ("insert_one", {**ORDER, "lines": [{"product_id": 1, "qty": 1}, {"product_id": 77, "qty": 1}]}), "REF001"),
    Bad("insert a copy that is not its owner's value", Order, ("insert_one", {**ORDER, "customer": "Zoe"}), "OWN001"),
    Bad("insert a taken value", Product, ("insert_one", {**PRODUCT, "sku": "A-1"}), "UNQ001"),
    Bad("insert a taken value in another case", Customer,
        ("insert_one", {**CUSTOMER, "email": "ANN@example.org"}), "UNQ001"),
    Bad("insert a taken _id", Customer, ("insert_one", {**CUSTOMER, "_id": 1}), "UNQ001"),
    Bad("insert what another actor owns", Account,
        ("insert_one", {"_id": 9, "holder": "Dan", "limit": 1}), "OWN003", actor="shop"),
    Bad("insert many, the last one bad", Customer,
        ("insert_many", [{**CUSTOMER, "_id": "x"}]), "SCH001"),
    Bad("insert many, all bad", Customer,
        ("insert_many", [{**CUSTOMER, "name": ""}, {"_id": 10}]), "SCH002", options={"ordered": False}),
    Bad("insert by bulk_write", Customer, ("bulk_write", [InsertOne({**CUSTOMER, "name": ""})]), "EMP001"),
    Bad("insert past the validation", Customer,
        ("insert_one", {**CUSTOMER, "name": ""}), "UnguardedWrite", options={"bypass_document_validation": True}),
)  # fmt: skip
