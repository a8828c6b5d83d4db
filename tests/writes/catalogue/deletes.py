"""Bad deletes."""

from pymongo import DeleteMany, DeleteOne

from tests.writes.catalogue.entry import Bad
from tests.writes.catalogue.models import Account, Customer, Product

ONE = {"_id": 1}

ENTRIES = (
    Bad("delete what is referred to", Customer, ("delete_one", ONE), "REF004"),
    Bad("delete what an array refers to", Product, ("delete_one", {"_id": 2}), "REF004"),
    Bad("delete many, some referred to", Customer, ("delete_many", {"level": "basic"}), "REF004"),
    Bad("find one and delete what is referred to", Customer, ("find_one_and_delete", ONE), "REF004"),
    Bad("delete by bulk_write", Customer, ("bulk_write", [DeleteOne(ONE)]), "REF004"),
    Bad("delete many by bulk_write", Customer, ("bulk_write", [DeleteMany({"_id": {"$lte": 1}})]), "REF004"),
    Bad("delete what another actor owns", Account, ("delete_one", ONE), "OWN003", actor="risk"),
    Bad("delete many that another actor owns", Account, ("delete_many", {}), "OWN003", actor="risk"),
    Bad("find one and delete what another actor owns", Account, ("find_one_and_delete", ONE), "OWN003", actor="risk"),
    Bad(
        "delete by bulk_write what another actor owns",
        Account,
        ("bulk_write", [DeleteOne(ONE)]),
        "OWN003",
        actor="risk",
    ),
)
