"""The public names: one that comes or goes is seen here first."""

import importlib
import typing

import pytest

import integrity

NAMES = {
    "integrity": """
        Allow AsyncCollection AuditError BeingDeleted Collection CopyOf DanglingReference Database
        DeclarationError DuplicateValue EnforcementError Forbid ForeignWrite Immutable ImmutableField IndexRequired
        IntegrityError InvalidBulkWrite InvalidDocument Model Owner Policy Pool PoolTimeout Ref Registry
        RepairError RestrictedDelete RestrictedUpdate Revision StaleDocument TransactionRequired UndeclaredFilter
        UnguardedWrite Unique Violation aio connect derived
    """,
    "integrity.aio": "Database connect",
    "integrity.audit": """
        AuditResult Baseline CollectionResult Compared Options Pace Plan Progress State Workers Workplace audit describe
        plans
    """,
    "integrity.adopt": "Advance Row enforce status",
    "integrity.embedded": "Member Mongod MongodFailed MongodNotFound",
    "integrity.infer": "SAMPLE infer",
    "integrity.testing": "documents memory",
    "integrity.errors": """
        AuditError BeingDeleted DanglingReference DeclarationError DuplicateValue EnforcementError ForeignWrite
        ImmutableField IndexRequired IntegrityError InvalidBulkWrite InvalidDocument PoolSettingError PoolTimeout
        Referrers RepairError RestrictedDelete RestrictedUpdate StaleDocument TransactionRequired UndeclaredFilter
        UnguardedWrite explain
    """,
}


def public(name: str) -> set[str]:
    """What a module offers: what it lists, or what it defines without a leading underscore."""
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return set(listed)
    return {
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and getattr(value, "__module__", None) == name
        and not isinstance(value, typing.TypeVar)
    }


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_modules_public_names_are_these(name: str) -> None:
    assert public(name) == set(NAMES[name].split())


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_there_and_explained(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert [each for each in public(name) if not getattr(module, each).__doc__] == []


def test_the_names_that_are_imported_late_are_the_listed_ones() -> None:
    late = [name for names in integrity._HOMES.values() for name in names]
    assert sorted([*late, "aio"]) == sorted(integrity.__all__)
    assert set(integrity.__all__) <= set(dir(integrity))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Modell'"):
        _ = integrity.Modell  # type: ignore[attr-defined]  # this is the point
