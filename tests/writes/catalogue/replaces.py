"""Bad replacements."""

from bson import Decimal128
from pymongo import ReplaceOne

from tests.writes.catalogue.entry import Bad
from tests.writes.catalogue.models import Account, Booking, Customer, Order, Product, start

CUSTOMER = {"email": "ann@example.org", "name": "Ann"}
PRODUCT = {key: value for key, value in start()["products"][0].items() if key != "_id"}
BOOKING = {"room": "blue", "start": 10, "end": 20, "version": 3}

ENTRIES = (
    Bad("replace by an empty document", Customer, ("replace_one", {"_id": 1}, {}), "SCH002"),
    Bad("replace by an empty string", Customer, ("replace_one", {"_id": 1}, {**CUSTOMER, "name": ""}), "EMP001"),
    Bad("replace by an unknown field", Customer, ("replace_one", {"_id": 1}, {**CUSTOMER, "age": 5}), "SCH004"),
    Bad("replace by a taken value", Customer,
        ("replace_one", {"_id": 1}, {**CUSTOMER, "email": "bob@example.org"}), "UNQ001"),
    Bad("replace an immutable field", Product,
        ("replace_one", {"_id": 1}, {**PRODUCT, "sku": "Z-9", "price": Decimal128("1")}), "OWN004"),
    Bad("replace by what a validator refuses", Booking,
        ("replace_one", {"_id": 1}, {**BOOKING, "end": 5}), "SCH005"),
    Bad("replace an older revision", Booking,
        ("replace_one", {"_id": 1}, {**BOOKING, "room": "red", "version": 2}), "OWN005"),
    Bad("replace a deleted document's revision", Booking,
        ("replace_one", {"_id": 8}, {**BOOKING, "version": 3}), "OWN005"),
    Bad("replace by a reference to nothing", Order,
        ("replace_one", {"_id": 1}, {**start()["orders"][0], "customer_id": 77}), "REF001"),
    Bad("replace what another actor owns", Account,
        ("replace_one", {"_id": 1}, {"holder": "Ann", "limit": 999}), "OWN003", actor="bank"),
    Bad("replace with upsert, a bad document", Customer,
        ("replace_one", {"_id": 8}, {"email": "x", "name": "Eve"}), "SCH003", options={"upsert": True}),
    Bad("find one and replace by a bad one", Customer,
        ("find_one_and_replace", {"_id": 1}, {**CUSTOMER, "level": "silver"}), "SCH003"),
    Bad("replace by bulk_write", Customer,
        ("bulk_write", [ReplaceOne({"_id": 1}, {**CUSTOMER, "name": "-"})]), "FRB001"),
)  # fmt: skip
