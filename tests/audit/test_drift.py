"""The audit compares validators and indexes when it is asked to, and says nothing of them otherwise."""

from typing import Any

from pymongo.database import Database

from integrity.audit import Options
from integrity.server.apply import apply
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.audit.conftest import audited
from tests.server.shop import REGISTRY


def test_drift_is_found_when_it_is_selected(database: Database[dict[str, Any]]) -> None:
    run(apply(BlockingStore(database), REGISTRY))
    database.customers.drop_index("integrity_unique_email")
    database.orders.drop_index("integrity_reference_customer_id")
    database.command({"collMod": "orders", "validationAction": "warn"})
    database.old.insert_one({})
    found = audited(BlockingStore(database), REGISTRY, Options(select=("DRF",)))
    assert found.complete
    assert found.counts == {
        "countries": {},
        "customers": {"DRF001": 1},
        "orders": {"DRF002": 1, "DRF003": 1},
        "old": {"DRF004": 1},
    }
    assert found.paths["customers"] == {"DRF001 email": 1}
    one = audited(BlockingStore(database), REGISTRY, Options(select=("DRF001",), collections=("customers",)))
    assert one.counts == {"customers": {"DRF001": 1}}


def test_drift_is_not_looked_for_unless_it_is_selected(database: Database[dict[str, Any]]) -> None:
    for name in ("countries", "customers", "orders"):
        database.create_collection(name)
    assert audited(BlockingStore(database), REGISTRY).codes == {}
    assert audited(BlockingStore(database), REGISTRY, Options(ignore=("EMP",))).codes == {}
