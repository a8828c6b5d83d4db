"""The guards of one database: what its handles share, whatever they act as."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from bson.binary import UuidRepresentation
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.write_concern import WriteConcern

from integrity.client.options import wrong_option
from integrity.client.pool import UNCONFIRMED
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.registry import Models, Registry
from integrity.errors import DeclarationError, IntegrityError, PoolSettingError
from integrity.facade.binding import Binding
from integrity.rules.judge import Judge
from integrity.store.port import Store
from integrity.writes.guard import Guard
from integrity.writes.references import protocol
from integrity.writes.unique import Indexes, UniqueMode

#: What may be given as ``models``.
Given = Models | Registry | ModuleType | type[Model]


class Guards:
    """Makes the guard of each model, over the declarations of one database and what has been learned of it.

    Args:
        store: The database.
        models: Model classes, modules, or a registry.
        references: ``"auto"``, ``"pinned"`` or ``"optimistic"``.
        policy: The policy of the models that name none.
        unique: What is done about a unique index that is not there: ``"apply"``, ``"require"`` or ``"trust"``.
    """

    def __init__(
        self, store: Store, models: Given, *, references: str, policy: Policy | None, unique: UniqueMode
    ) -> None:
        if unique not in {"apply", "require", "trust"}:
            raise ValueError(f'unique={unique!r}; choose "apply", "require" or "trust".')
        refuse_unconfirmed(store.write_concern)
        self.given = store
        self.store = store.current()
        self.registry = registry(models, policy)
        _refuse_legacy(store, self.registry)
        self.references = protocol(references, self.registry)
        self.copies = self.references.copies
        self.indexes = Indexes(unique)
        self.binding = Binding()
        self._judges: dict[type[Model], Judge] = {}

    def guard(self, model: type[Model], actor: str | None) -> Guard:
        """Return the guard of a model for an actor.

        Raises:
            DeclarationError: It is not among the models.
        """
        if not (isinstance(model, type) and issubclass(model, Model)):
            raise DeclarationError(
                f"db[{model!r}]: name a model class; unsafe_raw[...] is the driver's own, which nothing guards."
            )
        entry = self.registry.entry(model)
        judge = self._judges.get(model)
        if judge is None:
            judge = self._judges[model] = Judge(entry)
        return Guard(self.store, self.registry, entry, judge, actor, self.references, self.indexes)


_LEGACY = frozenset({
    UuidRepresentation.PYTHON_LEGACY, UuidRepresentation.JAVA_LEGACY, UuidRepresentation.CSHARP_LEGACY,
})  # fmt: skip


def _refuse_legacy(store: Store, models: Registry) -> None:
    """Refuse a client that asks for UUIDs by what guards do not store.

    Raises:
        IntegrityError: It has a legacy representation, and a model has a UUID.
    """
    if store.uuids not in _LEGACY:
        return
    for entry in models:
        for place in entry.places:
            if "uuid" in place.node.scalars:
                raise IntegrityError(
                    f"{entry.name}.{place.path} is a UUID, stored as binary subtype 4; this client reads and looks for "
                    "UUIDs by a legacy representation, and would not find it: set uuidRepresentation=standard."
                )


def refuse_unconfirmed(concern: object) -> None:
    """Refuse a write concern by which the server confirms nothing.

    Raises:
        PoolSettingError: It is one.
    """
    if isinstance(concern, WriteConcern) and not concern.acknowledged:
        raise PoolSettingError(f"write_concern={concern!r}: {UNCONFIRMED}")


def registry(models: Given, policy: Policy | None) -> Registry:
    """Return the registry of what was given.

    Raises:
        DeclarationError: The declarations contradict each other.
    """
    if isinstance(models, Registry) and policy is None:
        return models
    return Registry([models] if isinstance(models, Registry | ModuleType | type) else models, policy=policy)


def named(client: Any, database: str | None) -> Any:
    """Return a client's database by name, or the one that its URI names.

    Raises:
        IntegrityError: None is named.
    """
    if database is not None:
        return client[database]
    try:
        return client.get_default_database()
    except ConfigurationError:
        raise IntegrityError(
            'No database is named; add one to the URI (mongodb://HOST/DATABASE), or pass database="...".'
        ) from None


@contextmanager
def clear_of_credentials(options: Mapping[str, Any]) -> Iterator[None]:
    """Turn what the driver says of a URI, parts of which it may quote, into one sentence that quotes nothing.

    Args:
        options: The driver's options that are given besides, one of which may be what is wrong.

    Raises:
        IntegrityError: The URI, or an option, is not valid.
    """
    with warnings.catch_warnings():
        # The driver warns of options that it does not know, with their values.
        warnings.simplefilter("ignore", UserWarning)
        try:
            yield
        except IntegrityError:  # ours quote nothing that is secret, and say more
            raise
        except (PyMongoError, ValueError, TypeError) as error:
            if isinstance(error, ConfigurationError) and "DNS" in str(error):  # looked up while it is parsed
                raise IntegrityError("DNS knows no MongoDB server of the URI's name.") from None
            if (wrong := wrong_option(options)) is not None:
                raise IntegrityError(wrong) from None
            raise IntegrityError(
                "The URI is not a valid MongoDB connection string (mongodb://HOST:PORT/DATABASE); in a user name or "
                "password the characters : / ? # [ ] @ % must be percent-encoded."
            ) from None


def no_attribute(database: object, name: str, registry: Registry) -> AttributeError:
    """Return what ``database.name`` raises: PyMongo's databases have their collections there."""
    model = next((each.name for each in registry if each.collection == name), "Model")
    return AttributeError(
        f"{type(database).__name__} has no attribute {name!r}; a guarded collection is named by its model, "
        f"db[{model}], and unsafe_raw.{name} is the driver's own.",
        name=name,
        obj=database,
    )
