"""The registry: all models of a database together, and what they may not say to each other.

Every stored fact has one owner. What contradicts that is refused here, before a connection is opened, with both
sides and the way out: `resolve` for the markers, `misfit` for what does not fit its own field, `circle` for what
goes round without an end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from integrity.declare import circle, misfit, resolve, shape
from integrity.declare.entry import Copy, Entry, Reference, UniqueKey
from integrity.declare.model import Model
from integrity.declare.policy import DEFAULT, Policy
from integrity.errors import DeclarationError

__all__ = ["Copy", "Entry", "Models", "Reference", "Registry", "UniqueKey"]

Models = Iterable["type[Model] | ModuleType | Registry"]


class Registry:
    """The models of a database.

    Args:
        models: Classes with a collection, modules (all such classes in their namespace) and other registries.
        policy: The policy of the models that name none.

    Raises:
        DeclarationError: The declarations contradict each other.
    """

    def __init__(self, models: Models | type[Model] | ModuleType | Registry, *, policy: Policy | None = None) -> None:
        if isinstance(models, type | ModuleType | Registry):
            models = [models]
        if isinstance(models, str) or not isinstance(models, Iterable):
            raise DeclarationError(f"models={models!r}; a list of Model classes, modules or a registry.")
        self.policy = policy or DEFAULT
        self.entries: dict[str, Entry] = {}
        for model in _flat(models):
            self._add(model)
        if not self.entries:
            raise DeclarationError(
                "There is no model with a collection among the models; write class X(Model, collection=...)."
            )
        self._resolve()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def models(self) -> tuple[type[Model], ...]:
        """The classes, in the order given."""
        return tuple(each.model for each in self)

    def entry(self, model: type | str) -> Entry:
        """Return the entry of a model, by class or by the name of its class.

        Raises:
            DeclarationError: It is not registered.
        """
        name = model if isinstance(model, str) else model.__name__
        found = self.entries.get(name)
        if found is None or (isinstance(model, type) and found.model is not model):
            known = ", ".join(sorted(self.entries))
            raise DeclarationError(f"{name} is not among the models ({known}); add it to models=[...].")
        return found

    def by_collection(self, name: str) -> Entry | None:
        """Return the entry that declares a collection, or None."""
        return next((each for each in self if each.collection == name), None)

    def _add(self, model: type[Model]) -> None:
        name = model.__name__
        known = self.entries.get(name)
        if known is not None:
            if known.model is model:
                return
            raise DeclarationError(
                f"Two models are called {name} ({known.model.__module__} and {model.__module__}); rename one, "
                "references go by name."
            )
        collection = model.__integrity__.collection
        if collection is None:
            raise DeclarationError(f'{name} has no collection; write class {name}(Model, collection="...").')
        other = self.by_collection(collection)
        if other is not None:
            raise DeclarationError(
                f"{other.name} and {name} both declare the collection {collection!r}; one collection has one model: "
                "use a union of embedded models for documents of several kinds."
            )
        try:
            model.model_rebuild()
        except (PydanticUndefinedAnnotation, PydanticUserError) as error:
            raise DeclarationError(
                f"{name}: {str(error).splitlines()[0]}; declare or import what its annotations name."
            ) from error
        root = shape.read(model.__pydantic_core_schema__, name)
        document = root.objects[0]
        self.entries[name] = Entry(
            model=model,
            collection=collection,
            owner=model.__integrity__.owner,
            policy=model.__integrity__.policy or self.policy,
            document=document,
            places=tuple(shape.places(document)),
            computed=root.computed,
            loose=root.loose,
            loose_stored=root.loose_stored,
        )

    def _resolve(self) -> None:
        entries = self.entries.values()
        for entry in entries:
            misfit.refuse(entry)
            resolve.uniques(entry)
        for entry in entries:
            resolve.references(entry, self.entries)
        for entry in entries:
            resolve.keys(entry)
        for entry in entries:
            resolve.copies(entry)
        for entry in entries:
            resolve.owners(entry)
        circle.rootless(entries)
        circle.endless(entries)


def _flat(models: Iterable[Any]) -> Iterator[type[Model]]:
    for each in models:
        if isinstance(each, Registry):
            yield from each.models
        elif isinstance(each, ModuleType):
            found = [
                value
                for value in vars(each).values()
                if isinstance(value, type) and issubclass(value, Model) and value.__integrity__.collection is not None
            ]
            if not found:
                raise DeclarationError(f"The module {each.__name__} has no Model with a collection.")
            yield from dict.fromkeys(found)
        elif isinstance(each, type) and issubclass(each, Model):
            yield each
        else:
            raise DeclarationError(f"{each!r} is no Model class, no module and no registry.")
