"""What tells one audit from another: its declarations, its database and its scope, alike in every process.

All that decides a verdict is in it: bounds, patterns and policies, and the code of validators with the constants that
it names. A class is its name, and no set's order, address or number of an object is in it.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import re
import types
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from integrity.audit.options import Options
from integrity.declare.registry import Entry, Registry

#: Keys of a core schema that decide nothing of what is valid.
_SILENT = frozenset({"metadata", "serialization"})
#: What is written where nothing was given: nothing of what is stored, and another value in every process where it is
#: computed, such as the time.
_DEFAULTS = frozenset({"default", "default_factory"})
#: Keys of a core schema whose values hold a class's address.
_NAMED = frozenset({"ref", "schema_ref"})
#: A function's address is another one in every process.
_ADDRESS = re.compile(r"(?: at )?0x[0-9a-fA-F]+")
_PLAIN = (bool, int, float, str, bytes, type(None))
#: What a function reads of its module, where it is no class and no module.
_CONSTANTS = (*_PLAIN, tuple, list, dict, set, frozenset, types.FunctionType, re.Pattern)


def identity(registry: Registry, database: str, options: Options) -> str:
    """Return what tells one audit from another.

    Args:
        registry: The declarations.
        database: The database's name.
        options: The scope.
    """
    how = {"partition", "warn", "suspects"}
    scope = {name: value for name, value in asdict(options).items() if name not in how}
    return _hashed([database, scope, _declared(registry, _Teller())])


def declarations(registry: Registry) -> str:
    """Return what tells declarations from others, by whatever name the modules of the models were imported.

    Args:
        registry: The declarations.
    """
    return _hashed(_declared(registry, _Teller(modules=False)))


def judged(entries: Iterable[Entry]) -> dict[str, str]:
    """Return, by collection, what tells the declarations that it is judged by from others.

    Args:
        entries: The models' entries.
    """
    found = {}
    for entry in entries:
        named = [[each.path, each.target.collection, each.field] for each in entry.references]
        copied = [[each.path, each.field, each.via.path] for each in entry.copies]
        found[entry.collection] = _hashed([_entry(entry, _Teller(modules=False)), named, copied])
    return found


def _declared(registry: Registry, teller: _Teller) -> list[Any]:
    return [_entry(each, teller) for each in registry]


def _entry(entry: Entry, teller: _Teller) -> list[Any]:
    parts = (entry.policy, entry.places, entry.uniques, entry.schema)
    return [entry.name, entry.collection, *map(teller.told, parts)]


def _hashed(told: list[Any]) -> str:
    text = json.dumps(told, default=str, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


class _Teller:
    """Tells values in what JSON has; what was told before, by its number.

    Args:
        modules: Whether the names of modules are told.
    """

    def __init__(self, *, modules: bool = True) -> None:
        self._modules = modules
        self._met: dict[int, tuple[int, Any]] = {}
        self._refs: dict[str, int] = {}

    def told(self, value: Any) -> Any:
        if isinstance(value, enum.Enum):
            return [self._name(type(value)), value.name, self.told(value.value)]
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, type):
            return self._name(value)
        if isinstance(value, tuple):
            return list(map(self.told, value))
        if isinstance(value, AbstractSet):
            return sorted(map(self.told, value), key=json.dumps)
        if isinstance(value, types.MethodType):
            return self.told(value.__func__)
        if id(value) in self._met:
            return {"met": self._met[id(value)][0]}
        self._met[id(value)] = len(self._met), value  # held: its number is another's once it is gone
        return self._met_first(value)

    def _met_first(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list):
            return list(map(self.told, value))
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            return [value.co_code.hex(), list(value.co_names), self.told(value.co_consts)]
        if isinstance(value, functools.partial):
            return ["partial", *map(self.told, (value.func, value.args, value.keywords))]
        if is_dataclass(value):
            return [self._name(type(value)), *(self.told(getattr(value, each.name)) for each in fields(value))]
        return _ADDRESS.sub("", repr(value))

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        schema = isinstance(value.get("type"), str)
        return [
            [self.told(name), self._refs.setdefault(each, len(self._refs)) if named else self.told(each)]
            for name, each in value.items()
            if not (schema and name in (_SILENT | _DEFAULTS if value["type"] == "default" else _SILENT))
            for named in [schema and name in _NAMED and isinstance(each, str)]
        ]

    def _function(self, function: types.FunctionType) -> Any:
        named = {name: function.__globals__.get(name) for name in function.__code__.co_names}
        constants = {name: value for name, value in named.items() if isinstance(value, _CONSTANTS)}
        cells = [each.cell_contents for each in function.__closure__ or () if each != types.CellType()]
        parts = (function.__code__, function.__defaults__, function.__kwdefaults__, cells, constants)
        return [self._name(function), *map(self.told, parts)]

    def _name(self, named: type | types.FunctionType) -> str:
        return f"{named.__module__}.{named.__qualname__}" if self._modules else named.__qualname__
