"""PyMongo's bound session: what its operations join inside of ``with session.bind():``, from PyMongo 4.17 on.

A guarded operation joins it as if it had been passed. What a guard sends beside that does not: a condemned entry has to
be seen by others at once, a look at a parent has to see what was committed after the transaction's snapshot, and a
server refuses half of the rest in a transaction. Those commands have no session, and are sent outside of the block.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token, copy_context
from typing import Any

import pymongo

from integrity.errors import IntegrityError
from integrity.store.run import run

_NOTHING: AbstractContextManager[None] = nullcontext()

#: The variable that the sessions of each class of clients are bound in.
_KNOWN: dict[type, ContextVar[Any]] = {}

#: Where nothing can be bound.
UNBOUND: ContextVar[Any] = ContextVar("integrity_unbound", default=None)


def variable(client: Any) -> ContextVar[Any]:
    """Return the variable that PyMongo keeps the bound session of a client in.

    There is no public word for it: a session is bound, and the variable is the one that has come to hold it.

    Args:
        client: PyMongo's client, of either colour. No command is sent.

    Raises:
        IntegrityError: It keeps them where no context variable shows them.
    """
    found = _KNOWN.get(type(client))
    if found is None:
        found = _KNOWN[type(client)] = copy_context().run(_found, client)
    return found


def _found(client: Any) -> ContextVar[Any]:
    """Bind a session, in a context that is thrown away, and look where it is."""
    try:
        session = client.start_session()
    except NotImplementedError:  # mongomock has none
        return UNBOUND
    if not hasattr(session, "bind"):
        return UNBOUND
    block = session.bind(end_session=False)
    if hasattr(block, "__aenter__"):
        run(block.__aenter__())
    else:
        block.__enter__()
    found = next((each for each, value in copy_context().items() if value is session), None)
    if found is None:
        raise IntegrityError(
            f"PyMongo {pymongo.version} keeps what session.bind() binds where this mongo-integrity does not find it, "
            "so that a guard's own commands would join it; install an earlier PyMongo, or a later mongo-integrity."
        )
    return found


class _Outside:
    """A ``with`` block in which nothing is bound."""

    __slots__ = ("_token", "_variable")

    def __init__(self, variable: ContextVar[Any]) -> None:
        self._variable = variable
        self._token: Token[Any] | None = None

    def __enter__(self) -> None:
        self._token = self._variable.set(None)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            self._variable.reset(self._token)


def outside(variable: ContextVar[Any]) -> AbstractContextManager[None]:
    """Return a ``with`` block of which nothing joins a session that was not passed to it."""
    return _NOTHING if variable.get(None) is None else _Outside(variable)
