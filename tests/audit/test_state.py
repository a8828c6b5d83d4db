"""A state vouches for what was judged, by the rules that are declared now, and for nothing else."""

import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field
from pymongo.database import Database

from integrity.audit import Options, Pace, State, audit
from integrity.audit.identity import identity, judged
from integrity.audit.marks import standing
from integrity.audit.state import Mark
from integrity.audit.task import Task
from integrity.declare.constraint import Ref
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from integrity.store.port import Store
from integrity.store.run import run
from tests.audit.conftest import audited

Raw = Database[dict[str, Any]]


class Port(Model, collection="ports"):
    id: int


class Ship(Model, collection="ships"):
    id: int
    n: int = 0
    calls: dict[str, Annotated[int, Ref(Port)]] = Field(default_factory=dict)


class Boat(Model, collection="boats"):
    id: int
    port: Annotated[int, Ref(Port)]


MODELS: list[type[Model]] = [Port, Ship, Boat]


def test_what_was_read_without_its_references_is_read_again(database: Raw, tmp_path: Path) -> None:
    """Their collection was missing: the documents are judged for them once it is there, and once only."""
    database.ships.insert_one({"_id": 1, "n": "x", "calls": {"a": 99}})
    database.boats.insert_one({"_id": 1, "port": 99})
    store = BlockingStore(database)
    with State(tmp_path / "state") as state:
        assert not audited(store, MODELS, state=state).complete
        database.create_collection("ports")
        found = audited(store, MODELS, state=state)
    assert found.complete
    assert found.places == [("REF001", 1, "calls.a"), ("REF001", 1, "port"), ("SCH001", 1, "n")]


def test_what_was_judged_by_less_is_not_done(tmp_path: Path) -> None:
    """Also where nothing else tells that another plan was followed, as by another version of the library."""
    with State(tmp_path / "state") as state:
        state.record(Task("ships", "partition", 0), [], 1)
        assert state.done(Task("ships", "partition", 0)) == ([], 1)
        for judged in ("whole", "without references"):
            assert state.done(Task("ships", "partition", 0, judged=judged)) is None


def _even(value: int) -> int:
    if value % 2:
        raise ValueError
    return value


def _small(value: int) -> int:
    if value > 7:
        raise ValueError
    return value


def below(most: int) -> AfterValidator:
    def check(value: int) -> int:
        assert value < most
        return value

    return AfterValidator(check)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Annotated[int, Field(ge=0)], Annotated[int, Field(ge=100)]),
        (Annotated[str, Field(pattern="^a$")], Annotated[str, Field(pattern="^b$")]),
        (Annotated[str, Field(max_length=3)], Annotated[str, Field(max_length=4)]),
        (Annotated[list[int], Field(min_length=1)], Annotated[list[int], Field(min_length=2)]),
        (Annotated[int, AfterValidator(_even)], Annotated[int, AfterValidator(_small)]),
        (Annotated[int, below(3)], Annotated[int, below(4)]),
    ],
)
def test_an_audit_by_other_rules_is_not_gone_on_with(one: Any, other: Any, tmp_path: Path) -> None:
    def of(annotation: Any) -> str:
        model = type("A", (Model,), {"__annotations__": {"id": int, "v": annotation}}, collection="a")
        return identity(Registry([model]), "shop", Options())

    assert of(one) == of(one)
    with State(tmp_path / "state") as state:
        state.begin(of(one))
        with pytest.raises(AuditError, match="other models"):
            state.begin(of(other))


PROGRAM = """
    import enum
    from decimal import Decimal
    from functools import partial
    from typing import Annotated, Any, Literal, Optional
    from pydantic import AfterValidator, Field, field_validator
    from integrity import Model, Policy, Unique
    from integrity.audit import Options
    from integrity.audit.identity import identity
    from integrity.declare.registry import Registry

    WORDS = {"a", "b", "c", "d"}

    def known(value, more=frozenset({"x", "y", "z"})):
        if value in {"p", "q", "r", "s"} or value in WORDS | more:
            raise ValueError
        return value

    class Kind(enum.Enum):
        ONE = "one"

    class Tree(Model):
        up: Optional["Tree"] = None

    class Node(Model, collection="nodes", policy=Policy(placeholders=frozenset({"n/a", "none", "tbd"}))):
        id: Any
        kind: Kind = Kind.ONE
        word: Annotated[str, AfterValidator(known), AfterValidator(partial(known, more=WORDS))]
        code: Annotated[str, Unique()]
        price: Annotated[Decimal, Field(gt=0)] = Decimal(1)
        tree: Optional["Tree"] = None
        choice: Literal["a", "b", "c"] = "a"
        metadata: list[int] = [1]

        @field_validator("id")
        @classmethod
        def own(cls, value):
            return value

    print(identity(Registry([Node]), "shop", Options()))
"""


def test_the_same_declarations_are_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(textwrap.dedent(PROGRAM))
    told = {
        subprocess.run(
            [sys.executable, tmp_path / "told.py"], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(told) == 1
    assert re.fullmatch("[0-9a-f]{64}\n", told.pop())


def test_an_audit_of_less_moves_the_mark_of_no_more(database: Raw, tmp_path: Path) -> None:
    """`--since last` begins where the last audit began that looked at all that is asked for now."""
    for name in ("ports", "ships", "boats"):
        database.create_collection(name)
    store, registry = BlockingStore(database), Registry(MODELS)
    ports, some = Options(collections=("ports",)), Options(select=("EMP",), collections=("ports", "ships"))
    with State(tmp_path / "state") as state:

        def last(options: Options) -> Mark | None:
            return state.last(database.name, judged(options.entries(registry)), options.codes)

        run(audit(store, registry, ports, state=state)).close()
        assert last(Options()) is None
        assert last(some) is None
        run(audit(store, registry, state=state)).close()
        whole = last(Options())
        assert whole is not None
        assert last(ports) == whole
        narrow = run(standing(store, registry, ports))
        state.move(narrow)
        assert (last(Options()), last(some)) == (whole, whole)
        emptied = Options(collections=("ports",), ignore=("SCH",))
        assert [each and each.time for each in map(last, (ports, emptied))] == [narrow.time] * 2
        # Another database's is a mark of its own.
        kept = last(ports)
        state.move(replace(narrow, database="another"))
        assert last(ports) == kept


def test_a_mark_of_an_earlier_version_vouches_for_nothing(tmp_path: Path) -> None:
    """It does not say by which declarations a collection was judged."""
    with State(tmp_path / "state") as state:
        pass
    with closing(sqlite3.connect(tmp_path / "state")) as file, file:
        old = '[{"database": "shop", "time": 1.0, "token": null, "collections": [], "codes": ["SCH001"]}]'
        file.execute("insert into meta values ('marks', ?)", (old,))
    with State(tmp_path / "state") as state:
        assert state.last("shop", {"ports": "x"}, ["SCH001"]) is None


@pytest.mark.parametrize(
    "damage",
    [
        "update part set bounds = x'00'",
        "delete from part where number = 1",
        "delete from part where number = (select max(number) from part)",
        "update task set found = 5",
        "update meta set value = '{' where name = 'begun'",
        "update meta set value = '{\"a\": 1}' where name = 'begun'",
    ],
)
def test_a_damaged_state_is_not_gone_on_with(database: Raw, tmp_path: Path, damage: str) -> None:
    """What it says of the file is not said of the collection, and what it has lost is not taken for judged."""
    database.ports.insert_many({"_id": n} for n in range(2000))
    path, store = tmp_path / "state", BlockingStore(database)
    with State(path) as state:
        assert not audited(store, [Port], Options(partition=100), state=state, pace=Pace(seconds=0)).complete
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(damage)
    with (
        State(path) as state,
        pytest.raises(
            AuditError, match=r"^The state file .* cannot be used: it is damaged; delete it, or name another"
        ),
    ):
        audited(store, [Port], Options(partition=100), state=state)


def test_damaged_marks_and_runs_are_told(tmp_path: Path) -> None:
    with State(tmp_path / "state") as state:
        pass
    with closing(sqlite3.connect(tmp_path / "state")) as file, file:
        file.execute("insert into meta values ('marks', 'nope')")
        file.execute("insert into run values (1, 1, 1, 'x')")
    with State(tmp_path / "state") as state:
        for asked in (state.runs, lambda: state.last("shop", {}, ())):
            with pytest.raises(AuditError, match="damaged"):
                asked()


class Between(Pace):
    """Does something after the first piece."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(rate=1e9)
        self.act: Callable[[], Any] | None = act

    async def keep(self, store: Store, read: int) -> None:
        del store, read
        if self.act is not None:
            act, self.act = self.act, None
            act()


@pytest.mark.parametrize("pushdown", [True, False])
@pytest.mark.parametrize("what", ["drop", "rename", "replace", "drop what it refers to"])
def test_a_collection_that_goes_away_meanwhile_is_not_clean(
    database: Raw, tmp_path: Path, pushdown: bool, what: str
) -> None:
    """What is not there reads as an empty collection, without an error."""
    database.ports.insert_one({"_id": 1})
    database.boats.insert_many({"_id": n, "port": 1} for n in range(2000))
    database.other.insert_many({"_id": n, "port": 1} for n in range(2000))
    acts: dict[str, Callable[[], Any]] = {
        "drop": database.boats.drop,
        "rename": lambda: database.boats.rename("elsewhere"),
        "replace": lambda: database.other.rename("boats", dropTarget=True),
        "drop what it refers to": database.ports.drop,
    }
    options = Options(collections=("boats",), partition=100, pushdown=pushdown)
    store, name = BlockingStore(database), "ports" if "refers" in what else "boats"
    with State(tmp_path / "state") as state:
        found = audited(store, MODELS, options, pace=Between(acts[what]), state=state)
        assert not found.complete
        assert f"The collection {name!r} was dropped, renamed or replaced while 'boats' was read" in (
            found.failure or ""
        )
        # And what was read of nothing is not gone on with.
        database.ports.drop()
        database.ports.insert_one({"_id": 1})
        database.boats.delete_many({})
        database.boats.insert_many({"_id": n, "port": 1 if n % 2 else 7} for n in range(2000))
        assert audited(store, MODELS, options, state=state).codes == {"REF001": 1000}


def test_a_collection_that_was_replaced_between_two_runs_is_read_anew(database: Raw, tmp_path: Path) -> None:
    database.ports.insert_many({"_id": n} for n in range(2000))
    store, options = BlockingStore(database), Options(partition=100)
    with State(tmp_path / "state") as state:
        assert not audited(store, [Port], options, state=state, pace=Pace(seconds=0)).complete
        database.ports.drop()
        database.ports.insert_many({"_id": n, "odd": n} for n in range(2000))
        found = audited(store, [Port], options, state=state)
    assert found.complete
    assert found.codes == {"SCH004": 2000}


def test_what_refers_to_a_collection_that_was_replaced_between_two_runs_is_read_anew(
    database: Raw, tmp_path: Path
) -> None:
    database.ports.insert_one({"_id": 1})
    database.boats.insert_many({"_id": n, "port": 1} for n in range(300))
    store, options = BlockingStore(database), Options(collections=("boats",), partition=100, pushdown=False)
    with State(tmp_path / "state") as state:
        assert not audited(store, MODELS, options, state=state, pace=Pace(seconds=0)).complete
        database.ports.drop()
        database.ports.insert_one({"_id": 2})
        assert audited(store, MODELS, options, state=state).codes == {"REF001": 300}
