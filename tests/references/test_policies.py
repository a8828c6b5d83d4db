"""What references say of a delete, and of a change of a key: every policy, everywhere a reference may stand."""

from __future__ import annotations

import pickle
from typing import Annotated, Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import InvalidOperation

import integrity
from integrity import Allow, DanglingReference, Database, Model, Ref, RestrictedDelete, RestrictedUpdate, Unique
from integrity.errors import Referrers, UnguardedWrite
from integrity.store.blocking import BlockingStore
from integrity.writes.references import plan


class City(Model, collection="cities"):
    id: int
    code: Annotated[str | None, Unique()] = None
    twin: Annotated[int | None, Ref("City", on_delete="set_null")] = None


class Stop(Model):
    city: Annotated[int | None, Ref(City, on_delete="set_null")] = None
    nights: int = 1


class Trip(Model, collection="trips"):
    id: int
    start: Annotated[int | None, Ref(City)] = None
    stops: list[Stop] | None = None
    tags: Annotated[list[Annotated[int, Ref(City, on_delete="set_null")]] | None, Allow([])] = None
    prices: dict[str, Annotated[int | None, Ref(City, on_delete="set_null")]] | None = None


class Visit(Model, collection="visits"):
    id: int
    cities: list[Annotated[int, Ref(City, on_delete="cascade")]]
    loose: Annotated[int | None, Ref(City, on_delete="no_action")] = None


class Photo(Model, collection="photos"):
    id: ObjectId
    visit: Annotated[int, Ref(Visit, on_delete="cascade")]


class Plate(Model, collection="plates"):
    id: int
    code: Annotated[str, Ref(City, field="code", on_update="cascade", on_delete="cascade")]


class Key(Model):
    country: str
    number: int


class Office(Model, collection="offices"):
    id: Key


class Desk(Model, collection="desks"):
    id: int
    office: Annotated[Key, Ref(Office)]


class Node(Model, collection="nodes"):
    id: int
    above: Annotated[int | None, Ref("Node", on_delete="cascade")] = None


MODELS: list[type[Model]] = [City, Trip, Visit, Photo, Plate, Office, Desk, Node]


@pytest.fixture(params=["pinned", "optimistic", "standalone"])
def db(request: pytest.FixtureRequest, client: MongoClient[dict[str, Any]], database_name: str) -> Any:
    if request.param == "standalone":
        alone: MongoClient[dict[str, Any]] = request.getfixturevalue("alone")
        yield _filled(integrity.Database(alone[database_name], models=MODELS))
        alone.drop_database(database_name)
    else:
        yield _filled(integrity.Database(client[database_name], models=MODELS, references=request.param))


def _filled(db: Database) -> Database:
    db.unsafe_raw.cities.insert_many([{"_id": each, "code": f"c{each}", "twin": None} for each in range(1, 6)])
    return db


def test_null_and_absent_refer_to_nothing(db: Database) -> None:
    db[Trip].insert_one({"_id": 1, "start": None})
    assert db[City].delete_many({}).deleted_count == 5


def test_a_dangling_reference_says_which_and_what_exists_instead(db: Database) -> None:
    with pytest.raises(DanglingReference) as caught:
        db[Visit].insert_one({"_id": 1, "cities": [1, 99]})
    (violation,) = caught.value.violations
    assert (violation.code, violation.path) == ("REF001", "cities.1")
    assert db[Visit].count_documents({}) == 0


def test_restrict_names_the_children_and_changes_nothing(db: Database) -> None:
    for number in range(7):
        db[Trip].insert_one({"_id": number, "start": 1})
    with pytest.raises(RestrictedDelete) as caught:
        db[City].delete_one({"_id": 1})
    (referrers,) = pickle.loads(pickle.dumps(caught.value)).referrers  # noqa: S301 - our own
    assert (referrers.collection, referrers.path, referrers.count, len(referrers.ids)) == ("trips", "start", 7, 5)
    assert db.unsafe_raw.cities.find_one({"_id": 1}) == {"_id": 1, "code": "c1", "twin": None}


def test_a_cascade_that_meets_a_restrict_changes_nothing(db: Database) -> None:
    db[Visit].insert_one({"_id": 1, "cities": [1]})
    db[Trip].insert_one({"_id": 1, "start": 2})
    with pytest.raises(RestrictedDelete):
        db[City].delete_many({})
    assert db[City].count_documents({}) == 5
    assert db[Visit].count_documents({}) == 1
    assert not list(db.unsafe_raw.cities.find({"_condemned": {"$exists": True}}))


def test_cascade_deletes_the_documents_below_and_theirs(db: Database) -> None:
    db[Visit].insert_many([{"_id": 1, "cities": [1, 2]}, {"_id": 2, "cities": [2]}])
    photo = ObjectId()
    db[Photo].insert_one({"_id": photo, "visit": 1})
    assert db[City].delete_one({"_id": 1}).deleted_count == 1
    assert [each["_id"] for each in db[Visit].find()] == [2]
    assert db[Photo].count_documents({}) == 0


def test_set_null_reaches_embedded_documents_and_takes_elements_out(db: Database) -> None:
    db.unsafe_raw.trips.insert_one(
        {"_id": 1, "start": 2, "stops": [{"city": 1, "nights": 1}, {"city": 2, "nights": 2}], "tags": [1, 3, 1],
         "prices": {"low": 1, "high": 4}}
    )  # fmt: skip
    db[City].delete_one({"_id": 1})
    assert db.unsafe_raw.trips.find_one() == {
        "_id": 1,
        "start": 2,
        "stops": [{"city": None, "nights": 1}, {"city": 2, "nights": 2}],
        "tags": [3],
        "prices": {"low": None, "high": 4},
    }


def test_no_action_leaves_the_reference(db: Database) -> None:
    db[Visit].insert_one({"_id": 1, "cities": [2], "loose": 1})
    db[City].delete_one({"_id": 1})
    assert db[Visit].find_one({"_id": 1}) == {"_id": 1, "cities": [2], "loose": 1}


def test_what_refers_to_itself_can_be_deleted(db: Database) -> None:
    db[Node].insert_one({"_id": 1, "above": 1})
    assert db[Node].delete_one({"_id": 1}).deleted_count == 1


def test_a_circle_of_documents_is_deleted_once(db: Database) -> None:
    db.unsafe_raw.nodes.insert_many([{"_id": 1, "above": 3}, {"_id": 2, "above": 1}, {"_id": 3, "above": 2}])
    assert db[Node].delete_one({"_id": 2}).deleted_count == 1
    assert db[Node].count_documents({}) == 0


def test_a_compound_id_is_referred_to_as_a_whole(db: Database) -> None:
    db[Office].insert_one({"_id": {"country": "IS", "number": 1}})
    db[Desk].insert_one({"_id": 1, "office": {"country": "IS", "number": 1}})
    with pytest.raises(DanglingReference):
        db[Desk].insert_one({"_id": 2, "office": {"country": "IS", "number": 2}})
    with pytest.raises(RestrictedDelete):
        db[Office].delete_one({"_id.country": "IS"})


def test_a_unique_field_is_referred_to_by_its_value(db: Database) -> None:
    db[Plate].insert_one({"_id": 1, "code": "c1"})
    db[City].delete_one({"_id": 1})
    assert db[Plate].count_documents({}) == 0


def test_find_one_and_delete_obeys_and_returns_the_document(db: Database) -> None:
    db[Visit].insert_one({"_id": 1, "cities": [3]})
    found = db[City].find_one_and_delete({}, sort=[("_id", -1)], projection={"code": 1})
    assert found == {"_id": 5, "code": "c5"}
    assert db[City].find_one_and_delete({"_id": 3}) == {"_id": 3, "code": "c3", "twin": None}
    assert db[Visit].count_documents({}) == 0


def test_the_plan_says_what_would_happen_and_does_nothing(db: Database) -> None:
    db[Visit].insert_one({"_id": 1, "cities": [1]})
    db[Photo].insert_one({"_id": ObjectId(), "visit": 1})
    db[Trip].insert_one({"_id": 1, "start": 1, "tags": [1, 2]})
    plan = db[City].plan_delete({"_id": 1})
    assert plan.deletes == {"cities": 1, "visits": 1, "photos": 1}
    assert plan.nulls == {"Trip.tags[]": 1}
    assert plan.refusals == {"Trip.start": 1}
    assert not plan.allowed
    assert str(plan).splitlines()[0] == "cities: 1 document to delete, refused"
    assert db[City].count_documents({}) == 5
    assert db.unsafe_raw["integrity.condemned"].count_documents({"state": {"$ne": "gone"}}) == 0


def test_the_plan_of_a_chain_shows_each_document_under_its_own_parent(db: Database) -> None:
    db.unsafe_raw.nodes.insert_many([{"_id": 0}, *({"_id": each, "above": each - 1} for each in range(1, 20))])
    lines = str(db[Node].plan_delete({"_id": {"$in": [0, 1]}})).splitlines()
    assert lines[:3] == [
        "nodes: 2 documents to delete",
        "└── nodes.above: 1 document deleted (2)",
        "    └── nodes.above: 1 document deleted (3)",
    ]
    assert lines[-1].strip() == "└── …"


def test_the_plan_counts_in_words(db: Database) -> None:
    db.unsafe_raw.cities.insert_one({"_id": 7, "code": "SEV"})
    db.unsafe_raw.trips.insert_many({"_id": each, "start": 7} for each in (71, 72))
    assert str(db[City].plan_delete({"_id": 7})).endswith("trips.start: 2 documents refuse (71, 72)")


def test_a_delete_of_nothing_deletes_nothing(db: Database) -> None:
    assert db[City].delete_one({"_id": 99}).deleted_count == 0
    assert db[City].find_one_and_delete({"_id": 99}) is None


def test_a_key_changes_with_its_references_or_not_at_all(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    class Land(Model, collection="lands"):
        id: int
        code: Annotated[str, Unique()]

    class Town(Model, collection="towns"):
        id: int
        land: Annotated[str, Ref(Land, field="code", on_update="cascade")]

    class Law(Model, collection="laws"):
        id: int
        land: Annotated[str, Ref(Land, field="code")]

    db = integrity.Database(client[database_name], models=[Land, Town, Law])
    db[Land].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
    db[Town].insert_one({"_id": 1, "land": "a"})
    db[Law].insert_one({"_id": 1, "land": "b"})
    db[Land].update_one({"_id": 1}, {"$set": {"code": "x"}})
    assert db[Town].find_one({"_id": 1}) == {"_id": 1, "land": "x"}
    with pytest.raises(RestrictedUpdate) as updated:
        db[Land].update_one({"_id": 2}, {"$set": {"code": "y"}})
    with pytest.raises(RestrictedUpdate) as replaced:
        db[Land].replace_one({"_id": 2}, {"_id": 2, "code": "y"})
    for caught in (updated, replaced):
        assert caught.value.referrers == (Referrers("laws", "land", 1, (1,)),)
        assert pickle.loads(pickle.dumps(caught.value)).referrers == caught.value.referrers  # noqa: S301 - our own
    assert db[Land].find_one({"_id": 2}) == {"_id": 2, "code": "b"}


def test_a_change_of_a_key_goes_down_the_whole_chain_or_nowhere(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    class Land(Model, collection="lands"):
        id: int
        code: Annotated[str, Unique()]

    class Zone(Model, collection="zones"):
        id: int
        code: Annotated[str, Unique(), Ref(Land, field="code", on_update="cascade")]

    class Town(Model, collection="towns"):
        id: int
        zone: Annotated[str, Ref(Zone, field="code", on_update="cascade")]

    class Law(Model, collection="laws"):
        id: int
        zone: Annotated[str, Ref(Zone, field="code")]

    db = integrity.Database(client[database_name], models=[Land, Zone, Town, Law])
    for each in (Land, Zone):
        db[each].insert_many([{"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}])
    db[Town].insert_one({"_id": 1, "zone": "a"})
    db[Law].insert_one({"_id": 1, "zone": "b"})
    db[Land].update_one({"_id": 1}, {"$set": {"code": "x"}})
    assert db[Zone].find_one({"_id": 1}) == {"_id": 1, "code": "x"}
    assert db[Town].find_one({"_id": 1}) == {"_id": 1, "zone": "x"}
    with pytest.raises(RestrictedUpdate) as caught:
        db[Land].update_one({"_id": 2}, {"$set": {"code": "y"}})
    assert caught.value.referrers == (Referrers("laws", "zone", 1, (1,)),)
    assert [each["code"] for each in db.unsafe_raw.zones.find(sort=[("_id", 1)])] == ["x", "b"]


class Word(Model, collection="words"):
    id: str


class Use(Model, collection="uses"):
    id: int
    word: Annotated[str | None, Ref(Word, on_delete="set_null"), Unique(nulls="equal")]


class Pair(Model, collection="pairs"):
    id: int
    left: Annotated[str, Ref(Word, on_delete="cascade")]
    right: Annotated[str, Ref(Word, on_delete="cascade")]


@pytest.fixture
def words(db: Database) -> Database:
    made = integrity.Database(db.unsafe_raw, models=[Word, Use, Pair], references=db._guards.references.mode)
    made[Word].insert_many([{"_id": each} for each in ("a", "A", "b")])
    return made


def test_a_collation_deletes_no_more_than_was_asked_for(words: Database) -> None:
    assert words[Word].delete_one({"_id": "a"}, collation={"locale": "en", "strength": 2}).deleted_count == 1
    assert words[Word].count_documents({}) == 2


def test_what_the_server_does_not_let_go_is_refused_and_condemned_no_more(words: Database) -> None:
    words[Use].insert_many([{"_id": 1, "word": None}, {"_id": 2, "word": "b"}])
    with pytest.raises(RestrictedDelete, match=r"uses\.word from the document 2.*E11000") as caught:
        words[Word].delete_many({})
    assert caught.value.referrers == (Referrers("uses", "word", 1, (2,)),)
    assert sorted(each["_id"] for each in words.unsafe_raw.words.find({"_condemned": {"$exists": False}})) == [
        "A", "a", "b",
    ]  # fmt: skip
    assert not words.unsafe_raw["integrity.condemned"].count_documents({"state": {"$ne": "gone"}})


def test_a_child_that_was_given_another_parent_survives_the_batches(words: Database) -> None:
    words._guards.references.limit = 0  # as if it were too large for a transaction
    words[Pair].insert_many([{"_id": 1, "left": "a", "right": "b"}, {"_id": 2, "left": "b", "right": "a"}])

    def progress(done: int, _: int) -> None:
        if not done:
            words.unsafe_raw.pairs.update_one({"_id": 1}, {"$set": {"left": "b"}})

    assert words[Word].delete_many({"_id": "a"}, progress=progress).deleted_count == 1
    assert [each["_id"] for each in words[Pair].find()] == [1]


def test_no_command_names_everything_that_is_deleted(words: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "TOGETHER", 2)  # a million of them do not fit into a command's 16 MB
    words._guards.references.limit = 0
    named: list[int] = []
    real = BlockingStore.find

    def find(self: BlockingStore, collection: str, filter: Any = None, /, **options: Any) -> Any:
        if "$and" in (filter or {}) and collection == "words":
            named.append(len(filter["$and"][1]["_id"]["$in"]))
        return real(self, collection, filter, **options)

    monkeypatch.setattr(BlockingStore, "find", find)
    assert words[Word].delete_many({}).deleted_count == 3
    assert set(named) == {1, 2}


def test_a_large_cascade_goes_on_in_batches_or_is_refused(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db.unsafe_raw.cities.insert_one({"_id": 1})
    db.unsafe_raw.visits.insert_many([{"_id": each, "cities": [1]} for each in range(1500)])
    with pytest.raises(UnguardedWrite, match="1501 documents"):
        db[City].delete_one({"_id": 1}, atomic=True)
    told: list[tuple[int, int]] = []
    assert db[City].delete_many({}, progress=lambda done, total: told.append((done, total))).deleted_count == 1
    assert told[-1] == (1501, 1501)
    assert db[Visit].count_documents({}) == 0


def test_references_are_looked_at_when_the_transaction_commits(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    with db.transaction(deferred=True):
        db[City].insert_one({"_id": 1, "twin": 2})
        db[City].insert_one({"_id": 2, "twin": 1})
    with pytest.raises(DanglingReference), db.transaction(deferred=True):
        db[City].insert_one({"_id": 3, "twin": 99})
    assert sorted(each["_id"] for each in db[City].find()) == [1, 2]
    with db.transaction():
        with pytest.raises(DanglingReference):
            db[City].insert_one({"_id": 4, "twin": 5})
        db[City].insert_one({"_id": 5, "twin": 1})
    assert sorted(each["_id"] for each in db[City].find()) == [1, 2, 5]


def test_a_deferred_transaction_is_not_committed_before_it_is_checked(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    with db.transaction(deferred=True) as opened:
        db[City].insert_one({"_id": 1, "twin": 2})
        with pytest.raises(InvalidOperation, match="leave the block"):
            opened.session.commit_transaction()
        opened.rollback()
    with pytest.raises(InvalidOperation, match="leave the block"):
        db.with_transaction(lambda now: now.session.commit_transaction(), deferred=True)
    assert db[City].count_documents({}) == 0
    db.with_transaction(lambda _: db[City].insert_one({"_id": 1, "twin": 1}), deferred=True)
    with pytest.raises(DanglingReference):
        db.with_transaction(lambda _: db[City].insert_one({"_id": 2, "twin": 99}), deferred=True)
    assert db[City].count_documents({}) == 1


def test_a_deferred_delete_may_come_before_its_children(
    client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db = integrity.Database(client[database_name], models=MODELS)
    db[City].insert_one({"_id": 1})
    db[Trip].insert_one({"_id": 1, "start": 1})
    with pytest.raises(DanglingReference), db.transaction(deferred=True):
        db[City].delete_one({"_id": 1})
    with db.transaction(deferred=True):
        db[City].delete_one({"_id": 1})
        db[Trip].delete_one({"_id": 1})
    assert db[City].count_documents({}) == 0


def test_ids_may_be_long(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    """A record and a command are documents, of 16 MB at most; as many of these as elsewhere would be twice that."""

    class Page(Model, collection="pages"):
        id: str
        below: Annotated[str | None, Ref("Page", on_delete="cascade")] = None

    raw = client[database_name]["pages"]
    raw.create_index("below")
    raw.insert_many([{"_id": "root", "below": None}, {"_id": "other", "below": None}])
    long = "x" * 36_000
    for start in range(0, 560, 140):
        raw.insert_many([{"_id": f"{each}{long}", "below": "root"} for each in range(start, start + 140)])
    pages = integrity.Database(client[database_name], models=[Page])[Page]
    with pytest.raises(UnguardedWrite, match="more than one transaction"):
        pages.delete_one({"_id": "root"}, atomic=True)
    assert pages.delete_one({"_id": "root"}).deleted_count == 1
    assert [each["_id"] for each in raw.find()] == ["other"]
