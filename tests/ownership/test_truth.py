"""What a stored copy should hold, and what declarations may say of owners and copies."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from pymongo import MongoClient

import integrity
from integrity import CopyOf, DeclarationError, Immutable, InvalidDocument, Model, Owner, Ref
from integrity.declare.registry import Registry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.copies import truths

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "openflights"
DATA = ROOT.parent / "shared" / "data" / "openflights"


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"openflights_{name}_of_truth", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(
    not DATA.is_dir(),
    reason="OpenFlights' files are not there (../shared/data/openflights): they are not in the project",
)
def test_of_openflights_stale_copies_those_with_a_valid_owner_can_be_mended(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    raw = client[database_name]
    loading, models = imported("load"), imported("models")
    for name in ("airports", "routes"):
        raw[name].insert_many(loading.documents(DATA / f"{name}.dat", loading.COLUMNS[name]))
    entry = Registry(models).entry(models.Route)
    counts: dict[tuple[str, str], int] = {}
    store = BlockingStore(raw)
    for each in run(truths(store, entry, list(raw["routes"].find()))):
        if each.stale:
            verdict = "mended" if each.mendable else "the owner is to be mended first"
            counts[each.dotted, verdict] = counts.get((each.dotted, verdict), 0) + 1
            assert each.mendable or {one.code for one in each.faulty} == {"FRB001"}
    assert counts == {
        ("source", "mended"): 362,
        ("source", "the owner is to be mended first"): 176,
        ("destination", "mended"): 365,
        ("destination", "the owner is to be mended first"): 178,
    }


class Target(Model, collection="targets"):
    id: int
    name: str
    next: Annotated[int | None, Ref("Target", on_delete="set_null")] = None


def test_a_copy_that_could_not_follow_is_refused_when_it_is_declared() -> None:
    class Frozen(Model, collection="frozen"):
        id: int
        target: Annotated[int, Ref(Target)]
        name: Annotated[str, CopyOf(Target, "name", via="target"), Immutable()]

    class Nulled(Model, collection="nulled"):
        id: int
        target: Annotated[int, Ref(Target)]
        next: Annotated[int | None, CopyOf(Target, "next", via="target")]

    with pytest.raises(DeclarationError, match="a copy changes with its owner"):
        Registry([Target, Frozen])
    with pytest.raises(DeclarationError, match="would change without its owner being written"):
        Registry([Target, Nulled])


class Fare(Model, collection="fares", owner="schedules"):
    id: int
    price: Annotated[float, Owner("pricing")]


def test_a_required_field_of_another_owner_is_warned_of_and_refused_with_the_way_out(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=[Fare], actor="schedules")
    (caution,) = db.check()
    assert (caution.name, caution.subject) == ("required-and-owned-by-another", "Fare.price")
    with pytest.raises(InvalidDocument, match="It belongs to 'pricing': declare a default") as caught:
        db[Fare].insert_one({"_id": 1})
    assert [each.code for each in caught.value.violations] == ["SCH002"]
    db.acting_as("*")[Fare].insert_one({"_id": 1, "price": 1.5})
