"""Constraints are introduced stage by stage: nothing that worked breaks, and nothing advances over bad data."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import integrity
from integrity.adopt import Advance, enforce, status
from integrity.adopt.enforce import _Enforcing
from integrity.declare.constraint import Ref, Unique
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.declare.stage import Constraint, Stage
from integrity.errors import AuditError, EnforcementError
from integrity.server.apply import apply, diff
from integrity.server.plan import Step
from integrity.server.step import take
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.server.shop import REGISTRY, Country, Customer

Raw = Database[dict[str, Any]]
SCHEMA = Constraint("customers", "schema")
EMAIL = Constraint("customers", "unique", "email")


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Raw:
    """A shop with a bad customer, two customers of one address, and an order of nobody."""
    raw = client[database_name]
    raw.countries.insert_one({"_id": "SE", "name": "Sverige"})
    raw.customers.insert_many(
        [
            {"_id": 1, "email": "a@b", "country": "SE"},
            {"_id": 2, "email": "a@b"},
            {"_id": 3, "first": "N/A"},
        ]
    )
    raw.orders.insert_one({"_id": 1, "customer_id": 9, "lines": [{"sku": "x", "qty": 1}]})
    return raw


def enforced(database: Raw, *names: str, to: Stage = Stage.ENFORCED) -> dict[str, Advance]:
    advances = run(enforce(BlockingStore(database), REGISTRY, names, to=to))
    return {each.constraint.name: each for each in advances}


def stages(database: Raw) -> dict[str, str]:
    rows = run(status(BlockingStore(database), REGISTRY, audited=False))
    return {each.constraint.name: str(each.stage) for each in rows}


def repaired(database: Raw) -> None:
    database.customers.delete_one({"_id": 2})
    database.customers.update_one({"_id": 3}, {"$unset": {"first": ""}})
    database.orders.delete_many({})


def test_without_a_record_everything_is_declared(database: Raw) -> None:
    assert set(stages(database).values()) == {"declared"}


def test_a_reference_that_another_index_serves_is_not_enforced_before_that_is_there(database: Raw) -> None:
    class Owner(Model, collection="owners"):
        id: int

    class Pet(Model, collection="pets", constraints=[Unique("owner_id", "name")]):
        id: int
        owner_id: Annotated[int, Ref(Owner)]
        name: str

    database.owners.insert_one({"_id": 1})
    database.pets.insert_one({"_id": 1, "owner_id": 5, "name": "Rex"})
    store, registry = BlockingStore(database), Registry([Owner, Pet])
    rows = run(status(store, registry))
    assert {str(each.stage) for each in rows} == {"declared"}
    held = {each.constraint.name: each for each in run(enforce(store, registry)) if each.held}
    assert {name: str(each.after) for name, each in held.items()} == {"pets.reference(owner_id)": "warn"}


def test_at_warn_the_server_takes_what_it_took_before(database: Raw) -> None:
    enforced(database, to=Stage.WARN)
    assert set(stages(database).values()) == {"warn"}
    assert run(diff(BlockingStore(database), REGISTRY)) == ()
    database.customers.insert_many([{"_id": 10, "x": 1}, {"_id": 11, "email": "a@b"}])
    assert run(apply(BlockingStore(database), REGISTRY)).plan.steps == ()


def test_violations_hold_a_constraint_back_and_are_shown(database: Raw) -> None:
    advances = enforced(database)
    assert advances["countries.schema"].after is Stage.ENFORCED
    held = advances["customers.schema"]
    assert (held.after, held.violations, held.examples[0].code) == (Stage.WARN, 1, "FRB001")
    assert advances["customers.unique(email)"].violations == 2
    assert advances["customers.unique(first, last)"].after is Stage.ENFORCED
    assert advances["orders.reference(customer_id)"].examples[0].code == "REF001"
    database.customers.insert_one({"_id": 12, "email": "a@b"})  # still taken
    assert run(diff(BlockingStore(database), REGISTRY)) == ()


def test_when_the_data_is_repaired_everything_is_enforced(database: Raw) -> None:
    enforced(database)
    repaired(database)
    advances = enforced(database)
    assert not any(each.held for each in advances.values())
    assert set(stages(database).values()) == {"enforced"}
    assert run(diff(BlockingStore(database), REGISTRY)) == ()
    with pytest.raises(WriteError):
        database.customers.insert_one({"_id": 20, "first": ""})
    with pytest.raises(DuplicateKeyError):
        database.customers.insert_one({"_id": 20, "email": "a@b"})


def test_at_moderate_new_faults_are_refused_and_old_ones_can_be_updated(database: Raw) -> None:
    enforced(database, "customers", to=Stage.MODERATE)
    database.customers.update_one({"_id": 3}, {"$set": {"last": "B"}})
    with pytest.raises(WriteError):
        database.customers.insert_one({"_id": 20, "first": "N/A"})
    with pytest.raises(DuplicateKeyError):
        database.customers.insert_one({"_id": 20, "email": "a@b"})


def test_where_the_server_cannot_refuse_new_duplicates_only_it_is_said(
    client: MongoClient[dict[str, Any]], database: Raw
) -> None:
    """MongoDB before 6.0 knows no ``prepareUnique``; duplicates that came after the look leave the index as it was."""
    enforced(database, EMAIL.name, to=Stage.WARN)
    refuse = {"configureFailPoint": "failCommand", "data": {"failCommands": ["collMod"], "errorCode": 72}}
    client.admin.command({**refuse, "mode": "alwaysOn"})
    try:
        advance = enforced(database, EMAIL.name, to=Stage.MODERATE)[EMAIL.name]
        assert "before MongoDB 6.0" in advance.reason
        assert (advance.after, stages(database)[EMAIL.name]) == (Stage.WARN, "warn")
        assert enforced(database, EMAIL.name, to=Stage.WARN)[EMAIL.name].reason == ""
        database.customers.delete_one({"_id": 2})
        client.admin.command({**refuse, "mode": {"times": 1}})
        assert enforced(database, EMAIL.name)[EMAIL.name].after is Stage.ENFORCED
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    with pytest.raises(DuplicateKeyError):
        database.customers.insert_one({"_id": 20, "email": "a@b"})


def test_a_stage_that_is_recorded_and_not_there_is_made(database: Raw) -> None:
    """A process without the rights, or somebody by hand, has left a difference: "enforced" is said of what is so."""
    repaired(database)
    enforced(database)
    database.command("collMod", "customers", validator={})
    database.customers.drop_index("integrity_unique_email")
    enforced(database)
    assert run(diff(BlockingStore(database), REGISTRY)) == ()
    with pytest.raises(WriteError):
        database.customers.insert_one({"_id": 10, "first": "N/A"})


def restored(database: Raw) -> None:
    """What was enforced is dropped, and comes back as it was before: with a fault, and with no validator."""
    repaired(database)
    enforced(database)
    database.customers.drop()
    database.customers.insert_many([{"_id": 3, "first": "N/A"}, {"_id": 4, "first": "Ada"}])


def refuses_new_faults_only(database: Raw) -> None:
    assert stages(database)["customers.schema"] == "moderate"
    assert run(diff(BlockingStore(database), REGISTRY)) == ()
    database.customers.update_one({"_id": 3}, {"$set": {"last": "B"}})
    with pytest.raises(WriteError):
        database.customers.insert_one({"_id": 20, "first": "N/A"})
    with pytest.raises(WriteError):
        database.customers.update_one({"_id": 4}, {"$set": {"first": "N/A"}})
    with pytest.raises(integrity.IntegrityError):
        integrity.Database(database, models=[Country, Customer])[Customer].insert_one({"_id": 20, "first": "N/A"})


def test_what_is_restored_with_faults_is_not_enforced_over_by_apply(database: Raw) -> None:
    """What worked goes on working: its documents can be updated, and new faults are refused as they were."""
    restored(database)
    store = BlockingStore(database)
    planned = run(apply(store, REGISTRY, dry_run=True)).plan
    assert [each.act for each in planned.steps if each.stage is Stage.MODERATE] == ["set validator"]
    assert any("refuses new faults only" in each for each in planned.notes)
    assert stages(database)["customers.schema"] == "enforced"
    made = run(apply(store, REGISTRY))
    assert any("refuses new faults only" in each for each in made.plan.notes)
    assert not made.blocked
    refuses_new_faults_only(database)
    again = run(apply(store, REGISTRY)).plan
    assert again.steps == ()
    assert any("refuses new faults only" in each for each in again.notes)
    assert enforced(database)["customers.schema"].violations == 1
    database.customers.delete_one({"_id": 3})
    assert not any(each.held for each in enforced(database).values())


def test_what_is_restored_with_faults_is_not_enforced_over_by_enforce(database: Raw) -> None:
    restored(database)
    advance = enforced(database)["customers.schema"]
    assert (advance.before, advance.after, advance.violations) == (Stage.ENFORCED, Stage.MODERATE, 1)
    refuses_new_faults_only(database)


@pytest.mark.parametrize("collection", ["restored", "made by a writer"])
def test_new_faults_are_refused_before_apply_looks_for_old_ones(database: Raw, uri: str, collection: str) -> None:
    """The other way round, one could come in between."""
    repaired(database)
    enforced(database)
    database.customers.drop()
    seen: list[str] = []

    class Listener(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            if event.command.get(event.command_name) == "customers" and event.command_name in {"collMod", "find"}:
                seen.append(event.command.get("validationLevel", event.command_name))

        def succeeded(self, event: CommandSucceededEvent) -> None: ...

        def failed(self, event: CommandFailedEvent) -> None: ...

    if collection == "restored":
        database.create_collection("customers")
    with MongoClient[dict[str, Any]](uri, event_listeners=[Listener()]) as client:
        store = BlockingStore(client[database.name])
        entry = REGISTRY.by_collection("customers")
        assert entry is not None
        if collection == "restored":
            run(apply(store, REGISTRY))
        else:
            database.create_collection("customers")
            run(take(store, entry, Step("create collection", "customers", "collection", "takes no time")))
    assert [each for each in seen if each != "collMod"] == ["moderate", "find", "strict"]


def test_one_constraint_can_be_moved_alone_and_taken_back(database: Raw) -> None:
    database.customers.delete_one({"_id": 2})
    advances = enforced(database, "customers.unique(email)")
    assert list(advances) == ["customers.unique(email)"]
    assert stages(database)["customers.schema"] == "declared"
    assert database.customers.index_information()["integrity_unique_email"]["unique"]
    enforced(database, "customers.unique(email)", to=Stage.WARN)
    assert "unique" not in database.customers.index_information()["integrity_unique_email"]
    enforced(database, "customers.unique(email)", to=Stage.DECLARED)
    assert stages(database)["customers.unique(email)"] == "declared"


def test_what_comes_in_between_the_look_and_the_last_step_is_noticed(
    database: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New faults are refused before the audit looks for the last time; the other way round one could slip through."""
    repaired(database)
    looks: list[bool] = []
    clean = _Enforcing._clean

    async def looking(self: _Enforcing, constraints: Any) -> Any:
        found = await clean(self, constraints)
        try:
            database.customers.insert_one({"_id": 30 + len(looks), "first": "N/A"})
        except WriteError:
            looks.append(True)
        else:
            looks.append(False)
        return found

    monkeypatch.setattr(_Enforcing, "_clean", looking)
    advance = enforced(database, "customers.schema")["customers.schema"]
    assert looks == [False, True]
    assert (advance.after, advance.violations) == (Stage.MODERATE, 1)


def test_a_name_that_nothing_has_is_answered_with_those_that_there_are(database: Raw) -> None:
    with pytest.raises(EnforcementError, match=r"customers\.unique\(email\)"):
        enforced(database, "customers.unique(mail)")


def test_a_view_is_not_enforced(database: Raw) -> None:
    database.drop_collection("orders")
    database.create_collection("orders", viewOn="customers", pipeline=[{"$project": {"x": {"$divide": [1, 0]}}}])
    assert all("is a view" in each.reason for each in enforced(database, "orders").values())
    assert stages(database)["orders.schema"] == "declared"


def test_nothing_is_moved_over_what_the_audit_could_not_see(database: Raw) -> None:
    database.drop_collection("countries")
    with pytest.raises(AuditError, match="countries"):
        enforced(database, "customers.reference(country)")
    assert stages(database)["customers.reference(country)"] == "warn"


def test_the_table_says_stage_violations_and_drift(database: Raw) -> None:
    enforced(database, to=Stage.WARN)
    database.customers.drop_index("integrity_unique_email")
    rows = {each.constraint: each for each in run(status(BlockingStore(database), REGISTRY))}
    assert (rows[EMAIL].stage, rows[EMAIL].violations, rows[EMAIL].drift) == (Stage.WARN, 2, "missing")
    assert (rows[SCHEMA].violations, rows[SCHEMA].drift) == (1, "")


def test_what_is_enforced_already_is_seen_beside_what_nothing_declares(database: Raw) -> None:
    """It is not taken back, and built again, on the way to where it is."""
    repaired(database)
    run(apply(BlockingStore(database), REGISTRY))
    database.old.insert_one({})
    database.customers.create_index("x", name="mine")
    assert stages(database)[EMAIL.name] == "enforced"
    before = {name: str(each.before) for name, each in enforced(database).items() if each.constraint.kind != "copy"}
    assert set(before.values()) == {"enforced"}


@pytest.mark.parametrize("from_stage", [Stage.MODERATE, Stage.ENFORCED])
def test_what_is_only_declared_the_server_refuses_no_more(database: Raw, from_stage: Stage) -> None:
    repaired(database)
    enforced(database, "customers", to=from_stage)
    enforced(database, "customers", to=Stage.DECLARED)
    assert "customers" not in {each.collection for each in run(diff(BlockingStore(database), REGISTRY))}
    database.customers.insert_many([{"_id": 20, "email": "a@b"}, {"_id": 21, "email": "a@b", "first": ""}])


@pytest.mark.parametrize("to", [Stage.WARN, Stage.ENFORCED])
def test_a_validator_that_somebody_else_made_is_not_replaced(database: Raw, to: Stage) -> None:
    theirs = {"x": {"$exists": False}}
    database.command("collMod", "customers", validator=theirs)
    advances = enforced(database, "customers", to=to)
    assert "`integrity apply --prune` replaces it" in advances[SCHEMA.name].reason
    assert database.customers.options()["validator"] == theirs
    (found,) = [each for each in run(diff(BlockingStore(database), REGISTRY)) if each.constraint == SCHEMA]
    assert "--prune" in str(found.fault.hint)
    assert not enforced(database, SCHEMA.name, to=Stage.DECLARED)[SCHEMA.name].held
    assert "take it off" in enforced(database, SCHEMA.name, to=to)[SCHEMA.name].reason
    assert database.customers.options()["validator"] == theirs
    database["integrity.stages"].delete_one({"_id": SCHEMA.name})
    run(apply(BlockingStore(database), REGISTRY, prune=True))
    assert enforced(database, SCHEMA.name, to=to)[SCHEMA.name].reason == ""


@pytest.mark.parametrize("stage", [None, Stage.MODERATE])
def test_what_the_server_does_not_let_somebody_do_is_not_recorded(
    client: MongoClient[dict[str, Any]], database: Raw, stage: Stage | None
) -> None:
    """Else a user without the right would have guarded writes store what they refused."""
    repaired(database)
    if stage is not None:
        enforced(database, to=stage)
    recorded = {"since": 0, "claim": 0}
    before = list(database["integrity.stages"].find({}, recorded))
    # What the library keeps beside is there, or is let through: nothing would be recorded where that fails.
    refuse = {"failCommands": ["collMod"], "errorCode": 13}
    client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": refuse})
    try:
        with pytest.raises(EnforcementError, match="dbAdmin"):
            enforced(database, "customers", to=Stage.WARN)
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert list(database["integrity.stages"].find({}, recorded)) == before


def test_what_the_server_has_done_stays_recorded_also_where_an_election_may_take_it_back(
    client: MongoClient[dict[str, Any]], database: Raw
) -> None:
    repaired(database)
    lost = {"failCommands": ["collMod"], "writeConcernError": {"code": 64, "errmsg": "waiting timed out"}}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": lost})
    try:
        with pytest.raises(EnforcementError, match="waiting timed out"):
            enforced(database, SCHEMA.name, to=Stage.WARN)
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert stages(database)[SCHEMA.name] == "warn"


def test_what_was_there_already_is_told_when_an_election_cannot_take_it_back(
    client: MongoClient[dict[str, Any]], database: Raw
) -> None:
    repaired(database)
    enforced(database)
    lost = {"failCommands": ["update"], "writeConcernError": {"code": 64, "errmsg": "waiting timed out"}}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": lost})
    try:
        with pytest.raises(EnforcementError, match="waiting timed out"):
            enforced(database)
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def test_what_a_process_stores_that_has_not_heard_yet_is_noticed(
    database: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarded writes go by stages that they have read a moment ago."""
    repaired(database)
    enforced(database, to=Stage.WARN)
    writer = integrity.Database(database, models=REGISTRY, actor="*")
    writer[Customer].insert_one({"_id": 20, "country": "nowhere"})  # it knows now: `warn`
    database.customers.delete_one({"_id": 20})
    move = _Enforcing._move

    async def moved(self: _Enforcing, constraints: Any, stage: Stage) -> None:
        await move(self, constraints, stage)
        if stage is Stage.MODERATE:
            writer[Customer].insert_one({"_id": 21, "country": "nowhere"})

    monkeypatch.setattr(_Enforcing, "_move", moved)
    advance = enforced(database, "customers.reference(country)")["customers.reference(country)"]
    assert (advance.after, advance.violations) == (Stage.MODERATE, 1)
    with pytest.raises(integrity.InvalidDocument):
        writer[Customer].insert_one({"_id": 22, "country": "nowhere"})


def test_who_fails_leaves_what_another_has_recorded_meanwhile(database: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    repaired(database)
    enforced(database, "customers", to=Stage.WARN)
    follow = _Enforcing._follow
    failing = ["once"]

    async def followed(self: _Enforcing, constraints: Any, **how: Any) -> None:
        if failing and self.to is Stage.MODERATE and self.advances[EMAIL].after is Stage.MODERATE:
            failing.pop()
            enforced(database, "customers", to=Stage.MODERATE)
            raise OperationFailure("not authorized", 13)
        await follow(self, constraints, **how)

    monkeypatch.setattr(_Enforcing, "_follow", followed)
    with pytest.raises(EnforcementError):
        enforced(database, "customers", to=Stage.MODERATE)
    assert {each for name, each in stages(database).items() if name.startswith("customers")} == {"moderate"}


class _Looks(CommandListener):
    """The read concerns with which documents are read, by collection, and what waits for a majority."""

    def __init__(self) -> None:
        self.concerns: dict[str, set[str | None]] = {}
        self.waits = 0
        self.kept: set[tuple[str, Any]] = set()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in {"find", "aggregate"}:
            concern = event.command.get("readConcern", {}).get("level")
            self.concerns.setdefault(event.command[event.command_name], set()).add(concern)
        if event.command_name in {"collMod", "createIndexes", "findAndModify"}:
            self.kept.add((event.command_name, event.command.get("writeConcern", {}).get("w")))
        if event.command.get("update") == "integrity.stages":
            self.waits += 1

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def test_what_an_election_may_take_back_is_not_enforced_over(database: Raw, uri: str) -> None:
    """A repair that only the primary has is none yet; killed between the look and the last step, it would be none."""
    repaired(database)
    looks = _Looks()
    with MongoClient[dict[str, Any]](uri, event_listeners=[looks]) as watched:
        assert not any(each.held for each in enforced(watched[database.name]).values())
    assert {looks.concerns[name] == {"majority"} for name in ("customers", "orders")} == {True}
    # Before each of the two looks, which would not see what a majority has yet to hear of; and at the end.
    assert looks.waits == 3
    assert looks.kept == {(each, "majority") for each in ("collMod", "createIndexes", "findAndModify")}
