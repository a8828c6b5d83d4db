"""What was found out of a database: a value that the code is written from."""

from __future__ import annotations

from dataclasses import dataclass, field

from integrity.infer.profile import Profile

Steps = tuple[str, ...]


@dataclass
class CollectionFound:
    """One collection.

    Args:
        name: Its name.
        documents: How many it holds.
        profile: What stands in those that were read.
        nameless: What stands at fields whose names no model can declare.
    """

    name: str
    documents: int
    profile: Profile = field(default_factory=Profile)
    nameless: dict[str, Profile] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every document was read."""
        return self.profile.present >= self.documents

    def at(self, steps: Steps) -> Profile | None:
        """Return what stands at a declared path."""
        found: Profile | None = self.profile
        for step in steps:
            if found is None:
                return None
            found = found.items if step == "[]" else found.fields.get(step)
        return found


@dataclass(frozen=True)
class Link:
    """A reference: values that are found among the keys of another collection.

    Args:
        collection: Where the values stand.
        steps: At which path.
        target: The collection of the keys.
        field: The field that holds them: ``"_id"``, or one that is unique.
        inclusion: The share of the values that are found there.
    """

    collection: str
    steps: Steps
    target: str
    field: str
    inclusion: float


@dataclass(frozen=True)
class Repeat:
    """A suspected copy: a value that is the same as a field of the document that a reference names.

    Args:
        link: The reference.
        steps: Where the copy stands, beside the reference.
        field: The field of the target that it repeats.
        equal: The share of documents in which the two are equal.
    """

    link: Link
    steps: Steps
    field: str
    equal: float


@dataclass
class Found:
    """A database.

    Args:
        database: Its name.
        collections: Its collections by name.
        uniques: The paths whose values are unique, by collection.
        links: The references.
        repeats: The suspected copies.
        notes: What is worth a look, by collection and path.
    """

    database: str
    collections: dict[str, CollectionFound]
    uniques: dict[str, set[Steps]] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    notes: dict[tuple[str, Steps], list[str]] = field(default_factory=dict)
