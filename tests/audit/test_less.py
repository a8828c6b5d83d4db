"""Less than everything: what a sample and what is new tell, and that neither is ever called clean."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from integrity.audit import Options, State, audit, changes
from integrity.audit.estimate import Estimate, estimate
from integrity.audit.identity import judged
from integrity.audit.marks import since_last, standing
from integrity.audit.since import SinceLast, parsed, since_time
from integrity.declare.constraint import Allow, CopyOf, Ref, Unique
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.embedded import Mongod
from integrity.errors import AuditError
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from tests.audit.conftest import Audit, audited
from tests.lagging import alone, deaf

Raw = Database[dict[str, Any]]


class Reader(Model, collection="readers"):
    id: Any
    card: Annotated[int | None, Unique()] = None
    name: str | None = None
    changed: dt.datetime | None = None


class Loan(Model, collection="loans"):
    id: int
    reader: Annotated[int, Ref(Reader)]
    name: Annotated[str | None, CopyOf(Reader, "name", via="reader")] = None


MODELS: list[type[Model]] = [Reader, Loan]


@pytest.mark.parametrize(
    ("faulty", "read", "documents", "expected"),
    [
        (0, 0, 100, Estimate(0, 0, 100)),
        (0, 100, 10_000, Estimate(0, 0, 370)),
        (10, 100, 10_000, Estimate(1000, 552, 1744)),
        (100, 100, 100, Estimate(100, 100, 100)),
        (3, 50, 50, Estimate(3, 3, 3)),  # all of it was seen
    ],
)
def test_an_estimate_is_wilsons_and_never_against_what_was_seen(
    faulty: int, read: int, documents: int, expected: Estimate
) -> None:
    assert estimate(faulty, read, documents) == expected


@pytest.mark.parametrize("share", [0.02, 0.5], ids=["walked", "scanned"])
def test_a_sample_judges_by_every_rule_and_says_what_it_tells_of_the_whole(database: Raw, share: float) -> None:
    """Each document counts once, whatever it breaks; a duplicate is one among all documents, sampled or not."""
    database.readers.insert_many(
        [{"_id": n, "card": n // 2 + 1, "name": "" if n % 4 == 0 else "x"} for n in range(3000)]
    )
    database.loans.insert_many([{"_id": n, "reader": -1, "name": "y"} for n in range(3000)])
    store = BlockingStore(database)
    with run(audit(store, Registry(MODELS), Options(sample=share))) as result:
        assert (result.complete, result.done, result.clean, result.failure) == (False, True, False, None)
        readers, loans = result.collections
        assert set(readers.counts) == {"EMP001", "UNQ001"}
        assert readers.faulty["UNQ001"] == readers.scanned  # though its fellow is hardly ever in the sample
        assert set(loans.counts) == {"REF001"}
        assert 0 < readers.scanned < 3000
        found = readers.estimates()["EMP001"]
        assert found.low <= found.documents <= found.high <= 3000
        assert found.high - found.low < 2400


def test_a_sample_has_no_document_twice(database: Raw) -> None:
    """A random walk over few documents meets some of them again."""
    database.readers.insert_many([{"_id": n, "name": ""} for n in range(300)])
    for _ in range(5):
        with run(audit(BlockingStore(database), Registry([Reader]), Options(sample=0.04))) as result:
            ids = [each.id for each in result.violations]
            assert len(ids) == len(set(ids)) == result.collections[0].scanned


def test_a_clean_sample_is_not_clean(database: Raw) -> None:
    database.readers.insert_many([{"_id": n, "name": "x"} for n in range(100)])
    with run(audit(BlockingStore(database), Registry([Reader]), Options(sample=0.5))) as result:
        assert (result.total, result.done, result.clean, result.complete) == (0, True, False, False)
        assert not result.collections[0].complete


OLD, NEW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


def test_since_a_time_reads_what_is_newer_and_what_has_no_time(check: Audit, database: Raw) -> None:
    old, new = (ObjectId.from_datetime(each) for each in (OLD, NEW))
    database.readers.insert_many(
        [
            {"_id": old, "name": "", "changed": dt.datetime(2026, 1, 1)},  # noqa: DTZ001 - as PyMongo reads it
            {"_id": new, "name": "", "changed": dt.datetime(2026, 1, 1)},  # noqa: DTZ001 - as PyMongo reads it
            {"_id": ObjectId(str(old)[:-1] + "f"), "name": "", "changed": dt.datetime(2026, 8, 1)},  # noqa: DTZ001 - the same
            {"_id": 7, "name": "", "changed": dt.datetime(2026, 1, 1)},  # noqa: DTZ001 - as PyMongo reads it
            {"_id": 8, "name": ""},
        ]
    )
    store = BlockingStore(database)
    at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    plain = audited(store, [Reader], Options(since=since_time(at)))
    assert {each.id for each in plain.violations} == {new, 7, 8}
    dated = audited(store, [Reader], Options(since=since_time(at, "changed")))
    assert {each.id for each in dated.violations} == {new, ObjectId(str(old)[:-1] + "f"), 8}


def test_since_an_id_reads_what_is_higher_and_what_cannot_be_compared(check: Audit, database: Raw) -> None:
    database.readers.insert_many([{"_id": each, "name": ""} for each in (1, 2, 3.5, "a", None)])
    found = audited(BlockingStore(database), [Reader], Options(since=parsed("2")))
    assert {each.id for each in found.violations} == {3.5, "a", None}


def test_what_is_no_array_has_no_null_in_it(database: Raw) -> None:
    """Read beside what is asked for, an object where an array is declared would count as one more without a value."""

    class Tagged(Model, collection="tagged"):
        id: int
        tags: Annotated[list[Annotated[Any, Unique(nulls="equal")]] | None, Allow([])] = None

    database.tagged.insert_many(
        [{"_id": 1}, {"_id": 2, "tags": {"k": 1}}, {"_id": 3, "tags": [{"k": 1}]}, {"_id": 4, "tags": []}]
    )
    store = BlockingStore(database)
    for options in (Options(), Options(pushdown=False), Options(since=parsed("0"))):
        assert audited(store, [Tagged], options).places == [("SCH001", 2, "tags")]
    database.tagged.insert_many([{"_id": 5, "tags": None}, {"_id": 6, "tags": [None]}])
    whole = audited(store, [Tagged])
    assert whole.codes == {"SCH001": 1, "UNQ001": 3}
    assert sorted(map(repr, audited(store, [Tagged], Options(since=parsed("0"))).violations)) == sorted(
        map(repr, whole.violations)
    )


def test_duplicates_of_the_chosen_are_found_in_few_passes(database: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look-up and one grouping for a constraint without an index, whatever is chosen; and they find the same."""

    class Twin(Model, collection="twins"):
        id: int
        a: Annotated[str, Unique()]
        b: Annotated[str, Unique(case_insensitive=True)]

    def pair(n: int) -> dict[str, Any]:
        return {"_id": n, "a": f"a{n % 2900}", "b": f"{'bB'[n // 2950]}{n % 2950}"}

    database.twins.insert_many(pair(n) for n in range(3000))
    store, asked = BlockingStore(database), Counter[str]()
    whole = audited(store, [Twin])
    assert whole.codes == {"UNQ001": 300}
    call = BlockingStore.find

    def find(self: BlockingStore, collection: str, *args: Any, **options: Any) -> Any:
        asked["find"] += 1
        return call(self, collection, *args, **options)

    monkeypatch.setattr(BlockingStore, "find", find)
    since = audited(store, [Twin], Options(since=parsed("-1")))
    assert since.places == whole.places
    few = asked.total()
    database.twins.create_index("a")
    database.twins.create_index("b")
    asked.clear()
    assert audited(store, [Twin], Options(since=parsed("-1"))).places == whole.places
    assert asked.total() > few  # a look-up for each batch, where it costs little
    with run(audit(store, Registry([Twin]), Options(sample=0.999))) as result:
        chosen = {each.id for each in result.violations}
        assert result.collections[0].faulty == {"UNQ001": len(chosen)}


def test_since_the_last_audit_reads_what_changed_and_what_refers_to_it(database: Raw, tmp_path: Path) -> None:
    """Also a child that nobody touched: its parent went away, or the owner of its copy changed."""
    database.readers.insert_many([{"_id": n, "card": n, "name": "x"} for n in range(10)])
    database.loans.insert_many([{"_id": n, "reader": n, "name": "x"} for n in range(10)])
    store, registry = BlockingStore(database), Registry(MODELS)
    with State(tmp_path / "state") as state:
        assert state.last(database.name, judged(registry), Options().codes) is None
        run(audit(store, registry, state=state)).close()
        last = state.last(database.name, judged(registry), Options().codes)
        assert last is not None
    database.readers.update_one({"_id": 1}, {"$set": {"name": ""}})
    database.readers.update_one({"_id": 2}, {"$set": {"name": "y"}})
    database.readers.delete_one({"_id": 3})
    database.readers.insert_one({"_id": 20, "card": 5})
    database.readers.insert_one({"_id": 21, "card": 5})
    database.readers.delete_one({"_id": 21})
    since = run(since_last(store, registry, Options(), last))
    found = audited(store, MODELS, Options(since=since))
    assert [(code, id_, path) for code, id_, path in found.places if code != "OWN001"] == [
        ("EMP001", 1, "name"),
        ("REF001", 3, "reader"),
        ("UNQ001", 20, "card"),
    ]
    assert [each.id for each in found.violations if each.code == "OWN001"] == [1, 2]
    assert not found.complete
    later = run(since_last(store, registry, Options(), run(standing(store, Registry(MODELS), Options()))))
    assert audited(store, MODELS, Options(since=later)).scanned == {"readers": 0, "loans": 0}


def test_an_idle_server_is_not_waited_for(database: Raw) -> None:
    """What was written is read, and then the end is known: the next no-op may be ten seconds away."""
    asked = Counter[str]()

    class Counting(BlockingStore):
        async def command(self, command: Any, *args: Any, **options: Any) -> Any:
            asked[next(iter(command))] += 1
            return await super().command(command, *args, **options)

    database.readers.insert_one({"_id": 1})
    store = Counting(database)
    mark = run(standing(store, Registry(MODELS), Options()))
    database.readers.insert_many([{"_id": 2}, {"_id": 3}])
    found = run(since_last(store, Registry(MODELS), Options(), mark))
    assert isinstance(found, SinceLast)
    assert found.written == {"readers": (2, 3)}
    assert asked["getMore"] < 5


def test_a_stream_has_an_end_where_writers_go_on_and_on(database: Raw) -> None:
    """What is written after reading has begun is the next audit's: waiting for silence would take for ever."""
    asked = Counter[str]()

    class Busy(BlockingStore):
        async def command(self, command: Any, *args: Any, **options: Any) -> Any:
            name = next(iter(command))
            asked[name] += 1
            assert asked["getMore"] < 50
            if asked["aggregate"]:
                database.readers.insert_one({"_id": 100 + asked.total()})
            return await super().command(command, *args, **options)

    database.readers.insert_one({"_id": 1})
    mark = run(standing(BlockingStore(database), Registry(MODELS), Options()))
    database.readers.insert_many([{"_id": 2}, {"_id": 3}])
    found = run(since_last(Busy(database), Registry(MODELS), Options(), mark))
    assert isinstance(found, SinceLast)
    assert found.written["readers"][:2] == (2, 3)


def test_all_of_a_transaction_is_told_whose_events_are_of_one_time(
    database: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_BATCH", 2)
    database.readers.insert_one({"_id": 1})
    store = BlockingStore(database)
    mark = run(standing(store, Registry(MODELS), Options()))
    with database.client.start_session() as session, session.start_transaction():
        database.readers.insert_many([{"_id": each} for each in range(2, 9)], session=session)
    found = run(since_last(store, Registry(MODELS), Options(), mark))
    assert isinstance(found, SinceLast)
    assert found.written == {"readers": tuple(range(2, 9))}


def test_without_a_change_stream_the_last_audit_is_a_time(standalone: Any, database_name: str) -> None:
    """A standalone server has none: what is newer than the mark is read, and what has no time."""
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        database = client[database_name]
        try:
            old = ObjectId.from_datetime(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
            database.readers.insert_many([{"_id": old, "name": ""}, {"_id": 1, "name": ""}])
            database.create_collection("loans")
            store = BlockingStore(database)
            mark = run(standing(store, Registry(MODELS), Options()))
            assert mark.token is None
            new = database.readers.insert_one({"name": ""}).inserted_id
            since = run(since_last(store, Registry(MODELS), Options(), mark))
            found = audited(store, MODELS, Options(since=since))
            assert [each[1] for each in found.places] == [1, new]
        finally:
            client.drop_database(database_name)


@pytest.mark.parametrize("code", [50, 134, 11601])
def test_a_server_that_does_not_answer_is_none_without_a_change_stream(
    uri: str, client: Any, database: Raw, tmp_path: Path, code: int
) -> None:
    """The next audit would look at times alone, and see no change and no delete."""
    database.create_collection("readers")
    point = {"failCommands": ["aggregate"], "errorCode": code, "appName": "integrity-token"}
    with MongoClient[dict[str, Any]](uri, appname="integrity-token") as ours, State(tmp_path / "state") as state:
        store = BlockingStore(ours[database.name])
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": point})
        try:
            with pytest.raises(AuditError, match="cannot be read"):
                run(audit(store, Registry([Reader]), state=state))
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        with run(audit(store, Registry([Reader]), state=state)) as result:
            assert result.complete
        last = state.last(database.name, judged(Registry([Reader])), Options().codes)
        assert last is not None
        assert last.token is not None


def test_a_collection_that_was_dropped_needs_a_whole_audit(database: Raw) -> None:
    database.readers.insert_one({"_id": 1})
    mark = run(standing(BlockingStore(database), Registry([Reader]), Options()))
    database.readers.drop()
    with pytest.raises(AuditError, match=r"a drop of readers.*run a whole audit"):
        run(since_last(BlockingStore(database), Registry([Reader]), Options(), mark))


def test_what_a_majority_has_not_yet_is_waited_for(
    replica: Mongod, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write after the mark, while no other member hears of it: the stream does not show it, and is behind."""
    with MongoClient[dict[str, Any]](replica.uri, w=3) as client:
        database = client[database_name]
        try:
            database.readers.insert_one({"_id": 1})
            mark = run(standing(BlockingStore(database), Registry([Reader]), Options()))
            with alone(client):
                database.readers.with_options(write_concern=WriteConcern(1)).insert_one({"_id": 2})
                monkeypatch.setattr(changes, "LAG_MS", 300)
                with pytest.raises(AuditError, match="Run a whole audit"):
                    run(since_last(BlockingStore(database), Registry([Reader]), Options(), mark))
            monkeypatch.undo()
            found = run(since_last(BlockingStore(database), Registry([Reader]), Options(), mark))
            assert isinstance(found, SinceLast)
            assert found.written == {"readers": (2,)}
        finally:
            client.drop_database(database_name)


@pytest.fixture
def late(replica: Mongod, database_name: str) -> Iterator[tuple[Raw, BlockingStore]]:
    """A database with a clean document, and how an audit reads it whose secondary has not heard of anything since."""
    with MongoClient[dict[str, Any]](replica.uri, w=3) as client:
        client[database_name].readers.insert_one({"_id": 1})
        try:
            with deaf(client) as address:

                def only(servers: Any) -> Any:
                    return [each for each in servers if each.address in {client.primary, address}]

                options: dict[str, Any] = {"server_selector": only, "readPreference": "secondaryPreferred"}
                with MongoClient[dict[str, Any]](replica.uri, **options) as reader:
                    yield (
                        client.get_database(database_name, write_concern=WriteConcern(2)),
                        BlockingStore(reader[database_name]),
                    )
        finally:
            client.drop_database(database_name)


def test_what_has_changed_is_read_where_it_has(late: tuple[Raw, BlockingStore]) -> None:
    database, store = late
    mark = run(standing(store, Registry(MODELS), Options()))
    database.readers.insert_one({"_id": 2, "name": ""})
    since = run(since_last(store, Registry([Reader]), Options(), mark))
    with run(audit(store, Registry([Reader]), Options(since=since))) as result:
        assert [each.id for each in result.violations] == [2]


def test_what_a_secondary_has_not_heard_of_is_not_seen(
    late: tuple[Raw, BlockingStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next audit would begin after it."""
    database, store = late
    database.readers.insert_one({"_id": 2, "name": ""})
    monkeypatch.setattr(changes, "LAG_MS", 300)
    with State(tmp_path / "state") as state:
        with run(audit(store, Registry([Reader]), state=state)) as result:
            assert (result.total, result.done) == (0, False)
        assert state.last(database.name, judged(Registry([Reader])), Options().codes) is None
        everywhere = BlockingStore(database)
        with run(audit(everywhere, Registry([Reader]), state=state)) as result:
            assert (result.total, result.done) == (1, True)
        assert state.last(database.name, judged(Registry([Reader])), Options().codes) is not None


def test_a_collection_in_the_place_of_the_one_that_was_audited_needs_a_whole_audit(
    database: Raw, standalone: Any
) -> None:
    """A server with a database of the same name, of which nothing was audited: its stream goes on from any time."""
    with MongoClient[dict[str, Any]](standalone.uri) as client:
        try:
            client[database.name].readers.insert_one({"_id": ObjectId.from_datetime(OLD), "name": ""})
            database.readers.insert_one({"_id": 1})
            mark = run(standing(BlockingStore(database), Registry([Reader]), Options()))
            with pytest.raises(AuditError, match=r"'readers' is not the one that the last audit .* run a whole audit"):
                run(since_last(BlockingStore(client[database.name]), Registry([Reader]), Options(), mark))
        finally:
            client.drop_database(database.name)


def test_what_no_stream_tells_of_is_read_whole(database: Raw) -> None:
    """A view changes with what it is made of, and what refers to it dangles."""

    class Active(Model, collection="active"):
        id: int
        name: str

    class Badge(Model, collection="badges"):
        id: int
        reader: Annotated[int, Ref(Active)]

    database.readers.insert_many([{"_id": n, "name": "x"} for n in range(3)])
    database.create_collection("active", viewOn="readers", pipeline=[{"$match": {"gone": {"$exists": False}}}])
    database.badges.insert_many([{"_id": n, "reader": n} for n in range(3)])
    store, registry = BlockingStore(database), Registry([Active, Badge])
    mark = run(standing(store, registry, Options()))
    database.readers.update_one({"_id": 1}, {"$set": {"name": ""}})
    database.readers.update_one({"_id": 2}, {"$set": {"gone": True}})
    since = run(since_last(store, registry, Options(), mark))
    found = audited(store, [Active, Badge], Options(since=since))
    assert found.places == [("EMP001", 1, "name"), ("REF001", 2, "reader")]


def test_a_mark_of_another_database_is_refused(database: Raw) -> None:
    mark = run(standing(BlockingStore(database.client["another"]), Registry([Reader]), Options()))
    with pytest.raises(AuditError, match="is of the database 'another'"):
        run(since_last(BlockingStore(database), Registry([Reader]), Options(), mark))


def test_a_part_leaves_a_state_file_free_for_the_next_audit(database: Raw, tmp_path: Path) -> None:
    """What was asked for is done: it is nothing to go on with, and no measure for what comes after."""
    database.readers.insert_one({"_id": 1})
    store, registry = BlockingStore(database), Registry([Reader])
    with State(tmp_path / "state") as state:
        run(audit(store, registry, Options(sample=0.5), state=state)).close()
        assert (state.runs(), state.last(database.name, judged(registry), Options().codes)) == ([], None)
        run(audit(store, registry, state=state)).close()
        assert len(state.runs()) == 1


@pytest.mark.parametrize("text", ["yesterday", "[1]", "null", "2026-13-01", '{"a": 1}', ""])
def test_what_is_neither_a_time_nor_an_id_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match="is no time"):
        parsed(text)


@pytest.mark.parametrize("share", [0, 1, -0.5, 2, float("nan")])
def test_a_sample_is_a_share(share: float) -> None:
    with pytest.raises(AuditError, match="a share between 0 and 1"):
        Options(sample=share)


def test_what_leaves_no_rule_is_refused() -> None:
    """An audit that looks for nothing finds nothing."""
    with pytest.raises(AuditError, match="nothing is left to look for"):
        Options(select=("EMP001",), ignore=("EMP",))


def test_more_is_selected_than_the_rules_about_documents() -> None:
    assert not Options().drift
    options = Options(select=("EMP",), extend=("DRF", "REF001"))
    assert options.drift
    assert [options.wants(each) for each in ("EMP002", "REF001", "REF002")] == [True, True, False]


def test_a_rule_that_warns_is_reported_and_is_no_error(database: Raw) -> None:
    database.readers.insert_many([{"_id": 1, "name": ""}, {"_id": 2, "name": "N/A"}])
    with run(audit(BlockingStore(database), Registry([Reader]), Options(warn=("EMP",)))) as result:
        assert (result.total, result.warnings, result.errors, result.clean) == (2, 1, 1, False)
