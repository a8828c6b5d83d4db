"""Data integrity for MongoDB: schemas, references, uniqueness and ownership that hold.

A name is imported when it is first used: the command `integrity` answers at once, and a program that only declares
models loads no client.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integrity import aio
    from integrity.client import Pool
    from integrity.database import Database, connect
    from integrity.declare.constraint import Allow, CopyOf, Forbid, Immutable, Owner, Ref, Revision, Unique
    from integrity.declare.derived import derived
    from integrity.declare.model import Model
    from integrity.declare.policy import Policy
    from integrity.declare.registry import Registry
    from integrity.errors import (
        AuditError,
        BeingDeleted,
        DanglingReference,
        DeclarationError,
        DuplicateValue,
        EnforcementError,
        ForeignWrite,
        ImmutableField,
        IndexRequired,
        IntegrityError,
        InvalidBulkWrite,
        InvalidDocument,
        PoolTimeout,
        RepairError,
        RestrictedDelete,
        RestrictedUpdate,
        StaleDocument,
        TransactionRequired,
        UndeclaredFilter,
        UnguardedWrite,
    )
    from integrity.facade.async_collection import AsyncCollection
    from integrity.facade.collection import Collection
    from integrity.violation import Violation

__all__ = [
    "Allow",
    "AsyncCollection",
    "AuditError",
    "BeingDeleted",
    "Collection",
    "CopyOf",
    "DanglingReference",
    "Database",
    "DeclarationError",
    "DuplicateValue",
    "EnforcementError",
    "Forbid",
    "ForeignWrite",
    "Immutable",
    "ImmutableField",
    "IndexRequired",
    "IntegrityError",
    "InvalidBulkWrite",
    "InvalidDocument",
    "Model",
    "Owner",
    "Policy",
    "Pool",
    "PoolTimeout",
    "Ref",
    "Registry",
    "RepairError",
    "RestrictedDelete",
    "RestrictedUpdate",
    "Revision",
    "StaleDocument",
    "TransactionRequired",
    "UndeclaredFilter",
    "UnguardedWrite",
    "Unique",
    "Violation",
    "aio",
    "connect",
    "derived",
]

#: Where the public names live.
_HOMES = {
    "integrity.client": ("Pool",),
    "integrity.database": ("Database", "connect"),
    "integrity.declare.constraint": ("Allow", "CopyOf", "Forbid", "Immutable", "Owner", "Ref", "Revision", "Unique"),
    "integrity.declare.derived": ("derived",),
    "integrity.declare.model": ("Model",),
    "integrity.declare.policy": ("Policy",),
    "integrity.declare.registry": ("Registry",),
    "integrity.errors": (
        "AuditError",
        "BeingDeleted",
        "DanglingReference",
        "DeclarationError",
        "DuplicateValue",
        "EnforcementError",
        "ForeignWrite",
        "ImmutableField",
        "IndexRequired",
        "IntegrityError",
        "InvalidBulkWrite",
        "InvalidDocument",
        "PoolTimeout",
        "RepairError",
        "RestrictedDelete",
        "RestrictedUpdate",
        "StaleDocument",
        "TransactionRequired",
        "UndeclaredFilter",
        "UnguardedWrite",
    ),
    "integrity.facade.async_collection": ("AsyncCollection",),
    "integrity.facade.collection": ("Collection",),
    "integrity.violation": ("Violation",),
}

if not TYPE_CHECKING:  # a type checker would take `__getattr__` for leave to use any name

    def __getattr__(name: str) -> object:
        """Import a public name."""
        from importlib import import_module  # noqa: PLC0415 - this is what makes the import late

        if name == "aio":
            return import_module("integrity.aio")
        for home, names in _HOMES.items():
            if name in names:
                found = globals()[name] = getattr(import_module(home), name)
                return found
        raise AttributeError(f"module 'integrity' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
