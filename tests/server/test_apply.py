"""What is declared is what the server enforces, and what somebody changes by hand is found and mended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from integrity import Model, Ref
from integrity.declare.registry import Registry
from integrity.declare.warnings import check
from integrity.embedded import Mongod
from integrity.errors import EnforcementError
from integrity.server.apply import Applied, apply, diff
from integrity.server.plan import Step
from integrity.server.step import take
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.server.shop import REGISTRY

Raw = Database[dict[str, Any]]


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    return client[database_name]


def applied(database: Raw, registry: Registry = REGISTRY, **options: Any) -> Applied:
    return run(apply(BlockingStore(database), registry, **options))


def differences(database: Raw, registry: Registry = REGISTRY) -> list[tuple[str, str, str, str]]:
    found = run(diff(BlockingStore(database), registry))
    return [(each.rule.code, each.how, each.collection, each.what) for each in found]


def test_after_an_apply_nothing_differs_and_a_second_one_has_nothing_to_do(database: Raw) -> None:
    assert differences(database)
    first = applied(database)
    assert first.done
    assert not first.blocked
    assert differences(database) == []
    assert applied(database).plan.steps == ()


class Country(Model, collection="countries"):
    id: int


class Trip(Model, collection="trips"):
    id: int
    stops: dict[str, Annotated[int, Ref(Country)]]


def test_a_reference_that_no_index_can_find_is_no_difference(database: Raw) -> None:
    """No `apply` would mend it: it is for `integrity check` to say."""
    registry = Registry([Country, Trip])
    assert applied(database, registry).done
    assert differences(database, registry) == []
    assert "unindexed-reference" in [each.name for each in check(registry)]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(database: Raw) -> None:
    made = applied(database, dry_run=True)
    assert made.plan.steps
    assert made.done == ()
    assert database.list_collection_names() == []
    assert "customers: create collection" in str(made.plan)


def test_the_server_refuses_what_is_declared_to_be_refused(database: Raw) -> None:
    applied(database)
    database.customers.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 3, "email": None}])  # nothing does not collide
    database.customers.insert_one({"_id": 4, "email": "a@b", "first": "A", "last": "B"})
    database.customers.insert_one({"_id": 5, "first": "A"})
    with pytest.raises(DuplicateKeyError):
        database.customers.insert_one({"_id": 6, "email": "a@b"})
    with pytest.raises(DuplicateKeyError):
        database.customers.insert_one({"_id": 6, "first": "A", "last": "B"})
    database.countries.insert_one({"_id": "SE", "name": "Sverige"})
    with pytest.raises(DuplicateKeyError):
        database.countries.insert_one({"_id": "XX", "name": "SVERIGE"})
    with pytest.raises(WriteError):
        database.orders.insert_one({"_id": 1, "customer_id": 1, "lines": [{"sku": "N/A", "qty": 1}]})


def _drop_index(database: Raw) -> None:
    database.customers.drop_index("integrity_unique_email")


def _hide_index(database: Raw) -> None:
    database.command({"collMod": "orders", "index": {"name": "integrity_reference_customer_id", "hidden": True}})


def _other_collation(database: Raw) -> None:
    database.countries.drop_index("integrity_unique_name")
    database.countries.create_index(
        "name", name="integrity_unique_name", unique=True, collation={"locale": "sv", "strength": 2}
    )


def _other_partial(database: Raw) -> None:
    database.customers.drop_index("integrity_unique_email")
    database.customers.create_index(
        "email", name="integrity_unique_email", unique=True, partialFilterExpression={"email": {"$gt": "m"}}
    )


def _not_unique(database: Raw) -> None:
    options = database.customers.index_information()["integrity_unique_email"]
    database.customers.drop_index("integrity_unique_email")
    database.customers.create_index(
        "email", name="integrity_unique_email", partialFilterExpression=options["partialFilterExpression"]
    )


def _expiring(database: Raw) -> None:
    database.orders.drop_index("integrity_reference_customer_id")
    database.orders.create_index("customer_id", name="integrity_reference_customer_id", expireAfterSeconds=5000)


def _edited_validator(database: Raw) -> None:
    validator = database.command({"listCollections": 1, "filter": {"name": "orders"}})["cursor"]["firstBatch"][0]
    schema = validator["options"]["validator"]["$jsonSchema"]
    schema["required"].remove("customer_id")
    database.command({"collMod": "orders", "validator": {"$jsonSchema": schema}})


def _other_validator(database: Raw) -> None:
    database.command({"collMod": "orders", "validator": {"x": 1}})


def _no_validator(database: Raw) -> None:
    database.command({"collMod": "orders", "validator": {}})


def _level(database: Raw) -> None:
    database.command({"collMod": "orders", "validationLevel": "off"})


def _action(database: Raw) -> None:
    database.command({"collMod": "orders", "validationAction": "warn"})


def _drop_own_index(database: Raw) -> None:
    database["integrity.condemned"].drop_indexes()


def _drop_own_collection(database: Raw) -> None:
    database["integrity.condemned"].drop()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_drop_own_index, ("DRF001", "missing", "integrity.condemned", "keys.n_1")),
        (_drop_own_collection, ("DRF001", "missing", "integrity.condemned", "keys.n_1")),
        (_drop_index, ("DRF001", "missing", "customers", "integrity_unique_email")),
        (_hide_index, ("DRF003", "different", "orders", "integrity_reference_customer_id")),
        (_other_collation, ("DRF001", "different", "countries", "integrity_unique_name")),
        (_other_partial, ("DRF001", "different", "customers", "integrity_unique_email")),
        (_not_unique, ("DRF001", "different", "customers", "integrity_unique_email")),
        (_expiring, ("DRF003", "different", "orders", "integrity_reference_customer_id")),
        (_edited_validator, ("DRF002", "different", "orders", "validator")),
        (_other_validator, ("DRF002", "different", "orders", "validator")),
        (_no_validator, ("DRF002", "missing", "orders", "validator")),
        (_level, ("DRF002", "different", "orders", "validator")),
        (_action, ("DRF002", "different", "orders", "validator")),
    ],
)
def test_each_change_by_hand_is_found_and_mended(
    database: Raw, change: Callable[[Raw], None], found: tuple[str, str, str, str]
) -> None:
    applied(database)
    change(database)
    assert differences(database) == [found]
    assert len(applied(database).done) == 1
    assert differences(database) == []


def test_an_extra_index_is_named_left_alone_and_dropped_when_told(database: Raw) -> None:
    applied(database)
    database.orders.create_index("email", name="by_email")
    assert differences(database) == [("DRF001", "extra", "orders", "by_email")]
    made = applied(database)
    assert made.done == ()
    assert [each.what for each in made.plan.left] == ["by_email"]
    assert "by_email" in database.orders.index_information()
    applied(database, prune=True)
    assert differences(database) == []


def test_an_index_is_hidden_before_it_is_dropped(database: Raw) -> None:
    applied(database)
    database.orders.create_index("email", name="by_email")
    commands: list[tuple[str, Any]] = []

    class Watching(BlockingStore):
        async def command(self, command: Any, *args: Any, **options: Any) -> dict[str, Any]:
            commands.append((next(iter(command)), command.get("index")))
            return await super().command(command, *args, **options)

    run(apply(Watching(database), REGISTRY, prune=True))
    hidden = commands.index(("collMod", {"name": "by_email", "hidden": True}))
    assert hidden < commands.index(("dropIndexes", "by_email"))


def test_an_index_of_another_name_that_does_the_same_is_as_good(database: Raw) -> None:
    database.countries.create_index("name", name="mine", unique=True, collation={"locale": "en", "strength": 2})
    database.orders.create_index([("customer_id", 1), ("email", 1)], name="mine")
    applied(database)
    assert "integrity_unique_name" not in database.countries.index_information()
    assert "integrity_reference_customer_id" not in database.orders.index_information()
    assert differences(database) == []


def test_an_undeclared_collection_is_named_and_left_alone(database: Raw) -> None:
    applied(database)
    database.old.insert_one({"_id": 1})
    database["orders.quarantine"].insert_one({"_id": 1})
    assert differences(database) == [("DRF004", "extra", "old", "collection")]
    applied(database, prune=True)
    assert database.old.find_one() is not None


def test_a_validator_that_somebody_else_made_is_replaced_only_when_told(database: Raw) -> None:
    database.create_collection("orders", validator={"x": {"$exists": False}})
    made = applied(database)
    assert [(each.collection, each.what) for each in made.plan.left] == [("orders", "validator")]
    assert database.command({"listCollections": 1, "filter": {"name": "orders"}})["cursor"]["firstBatch"][0]["options"][
        "validator"
    ] == {"x": {"$exists": False}}
    applied(database, prune=True)
    assert differences(database) == []


def test_a_validator_only_warns_where_documents_would_be_refused(database: Raw) -> None:
    database.orders.insert_one({"_id": 1, "customer_id": "?", "lines": []})
    made = applied(database)
    assert any("warns only" in each for each in made.plan.notes)
    database.orders.insert_one({"_id": 2})  # as it went before
    database.orders.delete_many({})
    assert differences(database) == []
    again = applied(database).plan
    assert again.steps == ()  # the stage is remembered
    assert any("warns only" in each for each in again.notes)  # and said each time
    database.customers.insert_one({"_id": 1})
    with pytest.raises(WriteError):
        database.customers.insert_one({"_id": 2, "x": 1})


def test_duplicates_that_are_there_block_a_unique_index_and_nothing_else(database: Raw) -> None:
    database.customers.insert_many([{"_id": 1, "email": "a@b"}, {"_id": 2, "email": "a@b"}])
    made = applied(database)
    assert [step.what for step, _ in made.blocked] == ["integrity_unique_email"]
    assert "equal email" in made.blocked[0][1]
    with pytest.raises(EnforcementError, match="integrity_unique_email"):
        made.raise_if_blocked()
    assert differences(database) == [("DRF001", "missing", "customers", "integrity_unique_email")]
    database.customers.delete_one({"_id": 2})
    applied(database).raise_if_blocked()
    assert differences(database) == []


def test_an_index_in_the_way_is_named_and_dropped_when_told(database: Raw) -> None:
    index = database.customers.create_index("country", name="mine", expireAfterSeconds=4000)
    made = applied(database)
    assert not made.blocked or index in made.blocked[0][1]
    applied(database, prune=True)
    applied(database, prune=True).raise_if_blocked()
    assert differences(database) == []


@pytest.mark.parametrize("documents", [0, 300])
def test_many_processes_may_apply_at_once(uri: str, database: Raw, documents: int) -> None:
    for number in range(documents):
        database.customers.insert_one({"_id": number, "email": f"{number}@x"})
    failures: list[BaseException] = []
    barrier = threading.Barrier(6)

    def one() -> None:
        with MongoClient[dict[str, Any]](uri) as client:
            barrier.wait()
            try:
                for _ in range(2):
                    applied(client[database.name]).raise_if_blocked()
            except BaseException as error:  # noqa: BLE001 - all of them are looked at below
                failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert differences(database) == []


def test_a_server_that_converts_no_index_builds_it_again(client: MongoClient[dict[str, Any]], database: Raw) -> None:
    """Servers before 6.0 know no ``prepareUnique``."""
    applied(database)
    _not_unique(database)
    client.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["collMod"], "errorCode": 40415},
        }
    )
    applied(database).raise_if_blocked()
    assert differences(database) == []


def test_an_index_that_cannot_be_built_again_stays_as_it_was(
    client: MongoClient[dict[str, Any]], database: Raw
) -> None:
    applied(database)
    _not_unique(database)
    database.customers.insert_many([{"_id": 1, "email": "a@b"}, {"_id": 2, "email": "a@b"}])
    client.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["collMod"], "errorCode": 40415},
        }
    )
    made = applied(database)
    assert "equal email" in made.blocked[0][1]
    assert "unique" not in database.customers.index_information()["integrity_unique_email"]


def test_what_is_applied_lasts_on_a_server_without_transactions(standalone: Mongod, database_name: str) -> None:
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        applied(client[database_name])
        assert differences(client[database_name]) == []
        client.drop_database(database_name)


@pytest.mark.parametrize("command", ["create", "collMod", "createIndexes"])
def test_what_an_election_may_take_back_is_not_said_to_be_done(
    client: MongoClient[dict[str, Any]], database: Raw, command: str
) -> None:
    """The answer of a primary that steps down before a majority has heard of what it did."""
    database.create_collection("countries")
    concern = {"code": 11602, "errmsg": "operation was interrupted"}
    lost = {"failCommands": [command], "writeConcernError": concern}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": lost})
    try:
        with pytest.raises(EnforcementError, match=r"no majority has confirmed it \(operation was interrupted\)"):
            run(apply(BlockingStore(database), REGISTRY))
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    run(apply(BlockingStore(database), REGISTRY))
    assert not run(diff(BlockingStore(database), REGISTRY))


def test_a_user_without_the_right_gets_one_sentence() -> None:
    with Mongod(auth=True) as server, MongoClient[dict[str, Any]](server.uri) as admin:
        admin.shop.command("createUser", "reader", pwd="secret-of-reader", roles=["read"])
        host = server.uri.split("@")[-1].split("/")[0]
        with MongoClient[dict[str, Any]](f"mongodb://reader:secret-of-reader@{host}/shop") as client:
            assert differences(client.shop)  # comparing needs no more than reading
            with pytest.raises(EnforcementError, match="readWrite and dbAdmin") as caught:
                applied(client.shop)
            assert "secret" not in str(caught.value)


def test_what_a_clustered_collection_is_sorted_by_is_no_extra_index(database: Raw) -> None:
    clustered = {"key": {"_id": 1}, "unique": True, "name": "mine"}
    database.create_collection("countries", clusteredIndex=clustered)
    applied(database, prune=True)
    assert differences(database) == []


def test_an_index_that_another_process_is_changing_is_changed_again(
    database: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(database)
    _not_unique(database)
    command, refused = BlockingStore.command, ["once"]

    async def asked(self: BlockingStore, what: Any, *args: Any, **options: Any) -> Any:
        if refused and isinstance(what, dict) and what.get("index", {}).get("unique"):
            refused.pop()
            raise OperationFailure("The index was modified by another thread. Please try to rerun the command", 125)
        return await command(self, what, *args, **options)

    monkeypatch.setattr(BlockingStore, "command", asked)
    applied(database).raise_if_blocked()
    assert not refused
    assert differences(database) == []


def test_a_collection_that_a_writer_made_first_gets_its_validator(database: Raw) -> None:
    database.create_collection("customers")
    entry = REGISTRY.by_collection("customers")
    assert entry is not None
    step = Step("create collection", "customers", "collection", "takes no time")
    assert run(take(BlockingStore(database), entry, step)) is None
    assert "validator" in database.customers.options()
