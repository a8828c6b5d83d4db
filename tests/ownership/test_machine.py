"""Random actors, writes, deletes and crashes between batches: afterwards every copy equals its owner.

The server's own change stream is read after every step: no field was changed by an actor that does not own it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pymongo import MongoClient

import integrity
from integrity import CopyOf, ForeignWrite, IntegrityError, Model, Ref, derived
from integrity.audit import audit
from integrity.declare.constraint import Owner
from integrity.declare.registry import Entry
from integrity.store.blocking import BlockingStore
from integrity.store.run import run
from integrity.writes.copies import finishing
from tests.ownership.library import MODELS, Author, Award, Book, Loan

ACTORS = st.sampled_from(["archive", "critics", "catalogue", "desk", "jury"])
IDS = st.integers(1, 3)
NAMES = st.sampled_from(["Ada", "Bob", "Cid"])


class Card(Model, collection="cards", owner="desk"):
    """What is derived follows a copy of a copy."""

    id: int
    book_id: Annotated[int, Ref(Book, on_delete="cascade")]
    title: Annotated[str, CopyOf(Book, "title", via="book_id")]
    author: Annotated[str | None, CopyOf(Book, "author", via="book_id")] = None
    copies: int = 1

    @derived
    def label(self) -> str:
        return f"{self.author}: {self.title} x {self.copies}"


class _CrashedError(Exception):
    """The process died."""


class Library(RuleBasedStateMachine):
    """A library that several services write."""

    #: Not the client itself: Hypothesis asks every attribute whether it is a rule, and a client answers everything.
    servers: tuple[MongoClient[dict[str, Any]], ...]

    @initialize(limit=st.sampled_from([0, 1, 1000]))
    def begin(self, limit: int) -> None:
        self.name = f"test_{uuid.uuid4().hex[:12]}"
        self.raw = self.servers[0][self.name]
        self.db = integrity.Database(self.raw, models=[*MODELS, Card], actor="*")
        self.db._guards.copies.limit = limit
        self.db.apply()
        for number in (1, 2):
            self.db[Author].insert_one({"_id": number, "name": "Ada", "handle": f"h{number}", "born": number})
        self.db[Book].insert_one({"_id": 1, "title": "One", "author_id": 1})
        loans = [{"_id": each, "book_id": 1, "items": [{"book_id": 1}]} for each in range(20, 24)]
        self.db[Loan].insert_many(loans)
        self.db[Card].insert_many([{"_id": each, "book_id": 1} for each in range(20, 22)])
        self.stream = self.raw.watch()
        self.marks = 0

    def teardown(self) -> None:
        if not hasattr(self, "stream"):
            return
        try:
            self.db.sync()
            found = run(audit(BlockingStore(self.raw), self.db.registry))
            wrong = [str(each) for each in found.violations]
            found.close()
            assert not wrong, wrong
            for each in self.raw["cards"].find():
                assert each["label"] == f"{each['author']}: {each['title']} x {each['copies']}"
            assert not self.raw["integrity.refreshes"].count_documents({})
        finally:
            self.stream.close()
            self.servers[0].drop_database(self.name)

    def acted(self, actor: str, write: Callable[[integrity.Database], Any], *, owned: bool) -> None:
        """Do something as an actor, and see that it changed what it owns."""
        before = self.documents()
        try:
            write(self.db.acting_as(actor))
        except ForeignWrite:
            assert not owned
        except (IntegrityError, _CrashedError):
            pass
        # What another actor may write and has not: it changed nothing. The events are what tells.
        for event in self.events():
            entry = self.db.registry.by_collection(event["ns"]["coll"])
            if entry is None:
                continue  # the library's own
            kind, name = event["operationType"], (entry.collection, event["documentKey"]["_id"])
            if kind == "insert":
                assert actor in entry.owner, f"{actor} inserted into {entry.collection}"
            elif kind == "delete":
                follows = any(each.ref.on_delete == "cascade" for each in entry.references)
                assert follows or actor in entry.owner, f"{actor} deleted from {entry.collection}"
            else:
                self.changed(actor, entry, before.get(name, {}), event)

    def changed(self, actor: str, entry: Entry, before: dict[str, Any], event: dict[str, Any]) -> None:
        """See that what an event has changed belongs to an actor, or is kept by the library."""
        if event["operationType"] == "replace":
            after = event["fullDocument"]
            paths = {each for each in {*before, *after} if before.get(each) != after.get(each)}
        else:
            described = event["updateDescription"]
            paths = {*described["updatedFields"], *described["removedFields"]}
        kept = {each.steps[0] for each in (*(each.place for each in entry.copies), *entry.derived)}
        kept |= {"revision", "_condemned"}
        kept |= {each.place.steps[0] for each in entry.references if each.ref.on_delete == "set_null"}
        kept |= {each.place.steps[0] for each in entry.references if each.ref.on_update == "cascade"}
        for path in paths:
            top = path.split(".")[0]
            place = entry.place(top)
            marker = place.node.marker(Owner) if place is not None else None
            owners = marker.actors if marker is not None else entry.owner
            assert top in kept or actor in owners, f"{actor} changed {entry.collection}.{path}"

    def documents(self) -> dict[tuple[str, Any], dict[str, Any]]:
        """Return what is stored."""
        names = [each.collection for each in self.db.registry]
        return {(name, each["_id"]): each for name in names for each in self.raw[name].find()}

    def events(self) -> list[dict[str, Any]]:
        self.marks += 1
        self.raw["marks"].insert_one({"_id": self.marks})
        found = []
        while (event := self.stream.next())["ns"]["coll"] != "marks":
            found.append(event)
        return found

    @rule(actor=ACTORS, number=IDS, name=NAMES)
    def insert_an_author(self, actor: str, number: int, name: str) -> None:
        document = {"_id": number, "name": name, "handle": f"h{number}", "born": number}
        self.acted(actor, lambda db: db[Author].insert_one(document), owned=actor == "archive")

    @rule(actor=ACTORS, number=IDS, author=IDS)
    def insert_a_book(self, actor: str, number: int, author: int) -> None:
        document = {"_id": number, "title": f"T{number}", "author_id": author}
        self.acted(actor, lambda db: db[Book].insert_one(document), owned=actor == "catalogue")

    @rule(number=st.integers(1, 30), books=st.lists(IDS, min_size=1, max_size=3))
    def insert_a_loan(self, number: int, books: list[int]) -> None:
        document = {"_id": number, "book_id": books[0], "items": [{"book_id": each} for each in books]}
        self.acted("desk", lambda db: db[Loan].insert_one(document), owned=True)

    @rule(number=st.integers(20, 22), book=IDS, copies=st.integers(1, 9))
    def change_a_card(self, number: int, book: int, copies: int) -> None:
        change = {"$set": {"book_id": book, "copies": copies}}
        self.acted("desk", lambda db: db[Card].update_one({"_id": number}, change), owned=True)

    @rule(number=IDS, author=IDS)
    def insert_an_award(self, number: int, author: int) -> None:
        self.acted("jury", lambda db: db[Award].insert_one({"_id": number, "handle": f"h{author}"}), owned=True)

    @rule(actor=ACTORS, number=IDS, name=NAMES)
    def rename_an_author(self, actor: str, number: int, name: str) -> None:
        change = {"$set": {"name": name}}
        self.acted(actor, lambda db: db[Author].update_one({"_id": number}, change), owned=actor == "archive")

    @rule(actor=ACTORS, number=IDS, name=NAMES, handle=st.sampled_from(["h1", "h2", "x"]))
    def replace_an_author(self, actor: str, number: int, name: str, handle: str) -> None:
        document = {"name": name, "handle": handle, "born": 7}
        replaced = actor == "archive"
        self.acted(actor, lambda db: db[Author].replace_one({"_id": number}, document), owned=replaced)

    @rule(actor=ACTORS, rating=st.integers(0, 5))
    def rate_all(self, actor: str, rating: int) -> None:
        change = {"$set": {"rating": rating}}
        self.acted(actor, lambda db: db[Author].update_many({}, change), owned=actor == "critics")

    @rule(number=IDS, name=NAMES, batches=st.integers(0, 2))
    def rename_an_author_and_crash(self, number: int, name: str, batches: int) -> None:
        left = [batches]
        batch = finishing._batch

        async def dying(*arguments: Any) -> Any:
            if not left[0]:
                raise _CrashedError
            left[0] -= 1
            return await batch(*arguments)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(finishing, "_batch", dying)
            change = {"$set": {"name": name}}
            self.acted("archive", lambda db: db[Author].update_one({"_id": number}, change), owned=True)

    @rule(number=IDS, author=st.none() | IDS, title=NAMES)
    def give_a_book_to_another(self, number: int, author: int | None, title: str) -> None:
        change = {"$set": {"author_id": author, "title": title}}
        self.acted("catalogue", lambda db: db[Book].update_one({"_id": number}, change), owned=True)

    @rule(number=st.integers(1, 30), book=IDS)
    def add_to_a_loan(self, number: int, book: int) -> None:
        change = {"$push": {"items": {"book_id": book}}}
        self.acted("desk", lambda db: db[Loan].update_one({"_id": number}, change), owned=True)

    @rule(actor=ACTORS, number=IDS)
    def delete_an_author(self, actor: str, number: int) -> None:
        self.acted(actor, lambda db: db[Author].delete_one({"_id": number}), owned=actor == "archive")

    @rule(number=IDS)
    def delete_a_book(self, number: int) -> None:
        self.acted("catalogue", lambda db: db[Book].delete_one({"_id": number}), owned=True)

    @rule()
    def sync(self) -> None:
        self.acted("desk", lambda db: db.sync(), owned=True)


def tried(client: MongoClient[dict[str, Any]], *, examples: int, steps: int) -> None:
    """Run the machine."""
    found = type("Found", (Library,), {"servers": (client,)})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    run_state_machine_as_test(found, settings=chosen)


@pytest.mark.slow
def test_whatever_is_done_every_copy_equals_its_owner(client: MongoClient[dict[str, Any]]) -> None:
    tried(client, examples=8, steps=15)
