"""Two enforcements at once: it ends as if one had come after the other, and the server is as it is recorded."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from integrity.adopt import Advance, enforce, status
from integrity.adopt.enforce import _Enforcing
from integrity.declare.constraint import Unique
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.declare.stage import COLLECTION, Stage
from integrity.server.apply import apply, diff
from integrity.store.blocking import BlockingStore
from integrity.store.run import run

Raw = Database[dict[str, Any]]


class Ship(Model, collection="ships"):
    id: int
    name: str
    sign: Annotated[str | None, Unique()] = None


REGISTRY = Registry([Ship])
#: What changes something, and the looks at what is recorded.
_STEPS = frozenset({"findAndModify", "update", "collMod", "createIndexes", "create"})
#: What each leaves where it comes last: a fault keeps the schema from being enforced.
TIGHTENED = {"ships.schema": "warn", "ships.unique(sign)": "enforced"}
LOOSENED = {"ships.schema": "declared", "ships.unique(sign)": "declared"}


class Between(CommandListener):
    """Does something before the n-th step that a client takes."""

    def __init__(self, at: int, what: Any) -> None:
        self.left = at
        self.what = what
        self.done = False

    def started(self, event: CommandStartedEvent) -> None:
        named = event.command.get(event.command_name)
        if event.command_name in _STEPS or (event.command_name == "find" and named == COLLECTION):
            self.left -= 1
            if not self.left:
                self.what()
                self.done = True

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def enforced(database: Raw, to: Stage) -> dict[str, Advance]:
    return {each.constraint.name: each for each in run(enforce(BlockingStore(database), REGISTRY, to=to))}


@pytest.mark.parametrize("first", [Stage.ENFORCED, Stage.DECLARED])
def test_of_two_opposite_enforcements_at_once_one_comes_last_wholly(
    client: MongoClient[dict[str, Any]], uri: str, database_name: str, first: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins and ends at each moment of the first."""
    monkeypatch.setattr(sys.modules[_Enforcing.__module__], "KEPT", 0.0)
    second = Stage.DECLARED if first is Stage.ENFORCED else Stage.ENFORCED
    wrong, outcomes, at, between = [], [], 0, True
    while between:
        at += 1
        client.drop_database(database_name)
        database = client[database_name]
        database.ships.insert_many([{"_id": 1, "name": "N/A", "sign": "a"}, {"_id": 2, "name": "Vasa", "sign": "b"}])
        enforced(database, Stage.WARN)
        hook = Between(at, lambda: enforced(client[database_name], second))
        with MongoClient[dict[str, Any]](uri, event_listeners=[hook]) as other:
            advances = enforced(other[database_name], first)
        store = BlockingStore(database)
        ended = {each.constraint.name: str(each.stage) for each in run(status(store, REGISTRY, audited=False))}
        different = [str(each) for each in run(diff(store, REGISTRY))]
        told = {name: str(each.after) for name, each in advances.items()}
        between = hook.done
        if ended not in (TIGHTENED, LOOSENED) or different or told != ended:
            wrong.append((at, ended, different, told))
        outcomes.append(ended)
    assert at > 8
    assert wrong == []
    assert {each["ships.unique(sign)"] for each in outcomes} == {"enforced", "declared"}


def test_a_claim_that_a_killed_process_has_left_is_no_stage(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    database = client[database_name]
    database[COLLECTION].insert_one({"_id": "ships.schema", "claim": "000000000007 6b09345119a51360c4b35f3c"})
    store = BlockingStore(database)
    assert {str(each.stage) for each in run(status(store, REGISTRY, audited=False))} == {"declared"}
    run(apply(store, REGISTRY))
    assert (database[COLLECTION].find_one("ships.schema") or {})["stage"] == "enforced"
    assert not any(each.held for each in enforced(database, Stage.ENFORCED).values())


def test_what_a_later_enforcement_moves_is_left_to_it_and_said(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    database = client[database_name]
    database.create_collection("ships")
    with pytest.MonkeyPatch.context() as patched:
        clean = _Enforcing._clean

        async def overtaken(self: _Enforcing, constraints: Any) -> Any:
            patched.undo()
            enforced(database, Stage.WARN)
            return await clean(self, constraints)

        patched.setattr(_Enforcing, "_clean", overtaken)
        advances = enforced(database, Stage.ENFORCED)
    assert {str(each.after) for each in advances.values()} == {"warn"}
    assert all(each.held and "another `integrity enforce`" in each.reason for each in advances.values())


def test_what_is_applied_while_a_stage_is_taken_back_is_as_it_is_recorded_at_the_end(
    client: MongoClient[dict[str, Any]], uri: str, database_name: str
) -> None:
    """What `apply` had planned by the older record is not what stays."""
    wrong, at, between = [], 0, True
    while between:
        at += 1
        client.drop_database(database_name)
        database = client[database_name]
        database.ships.insert_one({"_id": 1, "name": "Vasa", "sign": "a"})
        enforced(database, Stage.ENFORCED)
        database.command({"collMod": "ships", "validator": {}})
        database.ships.drop_index("integrity_unique_sign")
        hook = Between(at, lambda: enforced(client[database_name], Stage.WARN))
        with MongoClient[dict[str, Any]](uri, event_listeners=[hook]) as other:
            run(apply(BlockingStore(other[database_name]), REGISTRY))
        store = BlockingStore(database)
        ended = {str(each.stage) for each in run(status(store, REGISTRY, audited=False))}
        different = [str(each) for each in run(diff(store, REGISTRY))]
        between = hook.done
        if different or ended != ({"warn"} if between else {"enforced"}):
            wrong.append((at, ended, different))
    assert at > 4
    assert wrong == []
