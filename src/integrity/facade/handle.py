"""What a guarded collection is, whatever its colour: a model, its guard, and the driver's own collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar

from pymongo.errors import InvalidOperation

from integrity.declare.model import Model
from integrity.errors import UnguardedWrite
from integrity.facade.binding import Binding
from integrity.facade.filters import by, check, check_elements, usual
from integrity.facade.guards import refuse_unconfirmed
from integrity.facade.instance import instance
from integrity.store.port import Document, Store
from integrity.writes.guard import Guard

M = TypeVar("M", bound=Model)

_WRITING_STAGES = ("$out", "$merge")


class Handle(Generic[M]):
    """The documents of one model.

    Args:
        model: The class.
        guard: Its guard.
        store: The database, as the application reads it.
        raw: The driver's own collection.
        binding: Knows the transaction that is open.
    """

    def __init__(self, model: type[M], guard: Guard, store: Store, raw: Any, binding: Binding) -> None:
        self.model = model
        self._guard = guard
        self._given = store
        self._raw = raw
        self._binding = binding
        self._bound = store.bound
        self._reader: Store = store.for_reader()
        self._of_models: Store = store.for_models()
        self._usual = usual(guard.entry)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self._guard.collection

    @property
    def full_name(self) -> str:
        """The database's name and the collection's."""
        return f"{self._guard.store.name}.{self.name}"

    @property
    def actor(self) -> str | None:
        """Who writes through this handle."""
        return self._guard.actor

    def _with(self, options: dict[str, Any]) -> Self:
        refuse_unconfirmed(options.get("write_concern"))
        store = self._given.with_options(**options)
        return type(self)(
            self.model, self._guard.over(store.current()), store, self._raw.with_options(**options), self._binding
        )

    def _in(self, session: Any) -> Any:
        """Return the session of an operation: the one given, or that of the transaction that is open, or PyMongo's."""
        if session is not None:
            return session
        bound = self._binding.session()
        if bound is None:
            bound = self._bound.get(None)
            return None if bound is None else self._given.joined(bound)
        if not bound.in_transaction:
            # Else the operation would be on its own, and stay when the block is rolled back.
            raise InvalidOperation(
                "The transaction of this block has ended; leave the block, or pass session=... A task that is started "
                "in a block and outlives it needs a context of its own: context=contextvars.Context()."
            )
        return bound

    def _asked(self, filter: Any) -> Any:
        """Return the filter of an operation, looked at: one on a field that is not declared is a mistake."""
        if type(filter) is dict and self._usual.issuperset(filter):
            return filter
        if isinstance(filter, Mapping):
            check(self._guard.entry, filter)
        return filter

    def _elements(self, update: Any, array_filters: Any) -> Any:
        """Return the array filters of an update, looked at as `_asked` looks at its filter."""
        if isinstance(array_filters, list | tuple):
            check_elements(self._guard.entry, update, array_filters)
        return array_filters

    def by(self, where: Mapping[str, Any] | None = None, /, **values: Any) -> dict[str, Any]:
        """Return a filter for values from outside, such as a request's: equality, and nothing but equality.

        Each value is checked against the declared type of its field, and coerced as a write would, so that
        ``{"$ne": None}`` out of a request body is an error and not a match of everything.

        Args:
            where: Values by dotted path, for what is no Python name.
            values: Values by the field's name.

        Raises:
            InvalidDocument: A value is not of its field's type, or there is no such field.
        """
        return by(self._guard.entry, {**(where or {}), **values})

    def _store(self, *, as_model: bool) -> Store:
        return self._of_models if as_model else self._reader

    def _make(self, *, as_model: bool) -> Callable[[Document], Any] | None:
        return self._instance if as_model else None

    def _instance(self, document: Document) -> M:
        return instance(self.model, self._guard, document)

    def _returned(self, found: Document | None, *, as_model: bool) -> M | Document | None:
        return self._instance(found) if as_model and found is not None else found

    def __repr__(self) -> str:
        actor = f", actor={self.actor!r}" if self.actor is not None else ""
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self.model.__name__}: {self.full_name}{actor}>"

    def __bool__(self) -> NoReturn:
        raise NotImplementedError(
            "A collection is neither true nor false; compare with None instead: collection is not None."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("_") and hasattr(type(self._raw), name):
            raise AttributeError(
                f"{type(self).__name__}.{name} is not guarded; unsafe_raw.{name} is PyMongo's own.",
                name=name,
                obj=self,
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.", name=name, obj=self)


def whole(projection: Any, *, as_model: bool) -> None:
    """Refuse a projection of what is to be a model.

    Raises:
        TypeError: Both are asked for.
    """
    if as_model and projection is not None:
        raise TypeError("as_model=True makes instances of whole documents; leave the projection out.")


def refuse_writing(pipeline: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an aggregation that writes.

    Raises:
        UnguardedWrite: It has a ``$out`` or ``$merge``.
    """
    for stage in pipeline:
        for name in _WRITING_STAGES:
            if isinstance(stage, Mapping) and name in stage:
                raise UnguardedWrite(
                    f"{name} writes what no guard has seen; write the documents through a collection of this "
                    "library, or use `unsafe_raw`, which says so."
                )
