"""What the server reports: collections, their validators and their indexes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import OperationFailure

from integrity.declare.registry import Registry
from integrity.store.indexes import built
from integrity.store.port import Store

_NO_SUCH_NAMESPACE = 26
#: How the names of the library's own collections begin.
OWN = "integrity."
#: How those of MongoDB's begin.
_SYSTEM = "system."
#: How the name of a collection of set-aside documents ends.
_SET_ASIDE = ".quarantine"


@dataclass(frozen=True)
class Collection:
    """One collection as it is.

    Args:
        name: Its name.
        kind: ``"collection"``, ``"view"`` or ``"timeseries"``.
        options: What it was created with, or changed to: ``validator``, ``validationLevel``, ``validationAction``.
        indexes: The indexes that do their work, by name, as ``index_information`` describes them.
        documents: About how many documents it holds.
    """

    name: str
    kind: str = "collection"
    options: Mapping[str, Any] = field(default_factory=dict)
    indexes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    documents: int = 0

    @property
    def validator(self) -> Mapping[str, Any]:
        """Its validator; empty where there is none."""
        found: Mapping[str, Any] = self.options.get("validator") or {}
        return found


@dataclass(frozen=True)
class Actual:
    """A database as it is.

    Args:
        declared: The collections that a registry declares and that exist, by name.
        undeclared: The names of the others.
        own: The library's own collections that exist, by name.
    """

    declared: Mapping[str, Collection]
    undeclared: tuple[str, ...] = ()
    own: Mapping[str, Collection] = field(default_factory=dict)


async def read(store: Store, registry: Registry) -> Actual:
    """Return the database as the server reports it."""
    declared: dict[str, Collection] = {}
    own: dict[str, Collection] = {}
    others = []
    for each in await store.collections():
        name = each["name"]
        if registry.by_collection(name) is not None:
            declared[name] = await _collection(store, each)
        elif name.startswith(OWN):
            own[name] = await _collection(store, each)
        elif not name.startswith(_SYSTEM) and registry.by_collection(name.removesuffix(_SET_ASIDE)) is None:
            others.append(name)
    return Actual(declared, tuple(sorted(others)), own)


async def _collection(store: Store, listed: Mapping[str, Any]) -> Collection:
    name, kind = listed["name"], listed.get("type", "collection")
    if kind != "collection":
        return Collection(name, kind, listed.get("options") or {})
    try:
        indexes = await built(store, name)
        documents = await store.estimated_document_count(name)
    except OperationFailure as error:
        if error.code != _NO_SUCH_NAMESPACE:
            raise
        indexes, documents = {}, 0  # dropped since it was listed
    return Collection(name, kind, listed.get("options") or {}, indexes, documents)
