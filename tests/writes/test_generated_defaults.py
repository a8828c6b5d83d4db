"""What a ``default_factory`` generates in an instance is what is stored: the caller knows it by that."""

import uuid
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from pymongo import MongoClient, ReplaceOne

import integrity
from integrity import Allow, CopyOf, ForeignWrite, Immutable, Model, Owner, Ref, Revision, derived


class Plain(Model, collection="plain"):
    id: int
    token: uuid.UUID = Field(default_factory=uuid.uuid4)


class Counted(Model, collection="counted"):
    id: int
    revision: Annotated[int, Revision()] = 0
    token: uuid.UUID = Field(default_factory=uuid.uuid4)


class Owned(Model, collection="owned", owner="shop"):
    id: int
    token: uuid.UUID = Field(default_factory=uuid.uuid4)
    price: Annotated[int, Owner("pricing")] = 3
    seal: Annotated[uuid.UUID, Owner("pricing")] = Field(default_factory=uuid.uuid4)


class Fixed(Model, collection="fixed"):
    id: int
    token: Annotated[uuid.UUID, Immutable()] = Field(default_factory=uuid.uuid4)


class Computed(Model, collection="computed"):
    id: int
    token: uuid.UUID = Field(default_factory=uuid.uuid4)
    side: int = 2

    @derived
    def area(self) -> int:
        return self.side * self.side


class Copying(Model, collection="copying"):
    id: int
    plain: Annotated[int, Ref(Plain)] = 0
    seen: Annotated[uuid.UUID, CopyOf(Plain, "token", via="plain")] = uuid.UUID(int=0)
    token: uuid.UUID = Field(default_factory=uuid.uuid4)


MODELS: list[type[Any]] = [Plain, Counted, Owned, Fixed, Computed, Copying]


@pytest.fixture
def db(client: MongoClient[dict[str, Any]], database_name: str) -> integrity.Database:
    db = integrity.Database(client[database_name], models=MODELS, actor="shop")
    db[Plain].insert_one({"_id": 0})
    return db


def token(db: integrity.Database, cls: Any, id: int) -> Any:
    found = db[cls].find_one({"_id": id})
    assert found is not None
    return found["token"]


@pytest.mark.parametrize("cls", MODELS)
def test_an_insert_stores_the_instances_own(db: integrity.Database, cls: Any) -> None:
    one, other = cls(id=1), cls(id=2)
    db[cls].insert_one(one)
    db[cls].insert_many([other, {"_id": 3}])
    for each in (one, other):
        assert token(db, cls, each.id) == each.token


@pytest.mark.parametrize("cls", MODELS)
def test_so_does_a_replacement_and_what_it_takes_over_stays(db: integrity.Database, cls: Any) -> None:
    before = cls(id=1)
    db[cls].insert_one(before)
    named = {"_id": 1, "revision": 0} if cls is Counted else {"_id": 1}
    after = cls(id=1)
    assert db[cls].replace_one(named, after).modified_count == (0 if cls is Fixed else 1)
    assert token(db, cls, 1) == (before if cls is Fixed else after).token
    inserted = cls(id=2)
    if cls is not Counted:
        db[cls].replace_one({"_id": 2}, inserted, upsert=True)
        assert token(db, cls, 2) == inserted.token
    if cls not in {Counted, Fixed}:
        last = cls(id=1)
        db[cls].bulk_write([ReplaceOne({"_id": 1}, last)])
        assert token(db, cls, 1) == last.token


class Tagged(Model, collection="tagged"):
    id: int
    revision: Annotated[int, Revision()] = 0
    tags: Annotated[list[str], Allow([])] = Field(default_factory=list)


def test_what_was_put_into_a_default_is_stored(client: MongoClient[dict[str, Any]], database_name: str) -> None:
    tagged = integrity.Database(client[database_name], models=[Tagged])[Tagged]
    one = Tagged(id=1)
    one.tags.append("a")
    tagged.insert_one(one)
    assert tagged.find_one() == {"_id": 1, "revision": 0, "tags": ["a"]}
    two = Tagged(id=1)
    two.tags.append("b")
    tagged.replace_one({"_id": 1, "revision": 0}, two)
    assert tagged.find_one() == {"_id": 1, "revision": 1, "tags": ["b"]}


class Terms(BaseModel):
    days: int = 1
    rate: Annotated[int, Owner("pricing")] = 2
    notes: Annotated[list[str], Owner("pricing"), Allow([])] = Field(default_factory=list)


class Contract(Model, collection="contracts", owner="shop"):
    id: int
    terms: Terms = Terms()
    more: Annotated[list[Terms], Allow([])] = Field(default_factory=list)


def test_a_default_of_anothers_field_is_no_write_of_it(
    db: integrity.Database, client: MongoClient[dict[str, Any]], database_name: str
) -> None:
    db[Owned].insert_one(Owned(id=1))
    stored = db[Owned].find_one({"_id": 1})
    assert stored is not None
    assert stored["price"] == 3
    db[Owned].replace_one({"_id": 1}, Owned(id=1))
    assert db[Owned].find_one({"_id": 1}, {"seal": 1}) == {"_id": 1, "seal": stored["seal"]}

    contracts = integrity.Database(client[database_name], models=[Contract], actor="shop")[Contract]
    made = {"days": 5, "rate": 2, "notes": []}
    contracts.insert_one(Contract(id=1, terms=Terms(days=5), more=[Terms(days=5)]))
    contracts.insert_many([Contract(id=2, terms=Terms(days=5), more=[Terms(days=5)])])
    contracts.insert_one({"_id": 3, "terms": Terms(days=5), "more": [{"days": 5}]})
    assert list(contracts.find({}, {"_id": 0})) == [{"terms": made, "more": [made]}] * 3
    default = Contract(id=4)
    default.terms = Terms()
    default.terms.rate = 9
    for each in (Contract(id=4, terms=Terms(rate=9)), Contract(id=4, more=[Terms(notes=["x"])]), default):
        with pytest.raises(ForeignWrite):
            contracts.insert_one(each)
    put = Contract(id=4, terms=Terms(days=5))
    put.terms.notes.append("mine")  # pydantic does not see it: it is not stored
    contracts.insert_one(put)
    assert contracts.find_one({"_id": 4}, {"_id": 0}) == {"terms": made, "more": []}


def test_a_copy_that_was_read_and_handed_back_is_no_write_by_hand(db: integrity.Database) -> None:
    db[Copying].insert_one(Copying(id=1))
    read = db[Copying].find_one({"_id": 1}, as_model=True)
    assert read is not None
    db[Plain].update_one({"_id": 0}, {"$set": {"token": uuid.uuid4()}})
    read = db[Copying].find_one({"_id": 1}, as_model=True)
    assert read is not None
    db[Plain].insert_one({"_id": 9})
    read.plain = 9
    db[Copying].replace_one({"_id": 1}, read)
    found = db[Plain].find_one({"_id": 9})
    assert found is not None
    assert db[Copying].find_one({"_id": 1}, {"seen": 1}) == {"_id": 1, "seen": found["token"]}
