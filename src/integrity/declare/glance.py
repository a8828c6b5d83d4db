"""The policy as constraints that pydantic checks in Rust, so that a clean document costs no look in Python.

What these constraints let through, the policy lets through; they may refuse more than the policy does, and then
the walk has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from bson import ObjectId
from pydantic_core import core_schema

from integrity.declare.constraint import Allow, Marker
from integrity.declare.policy import BLANK, Policy

# Beyond this, a pattern would be slow to compile and to run: every string is looked at in Python instead.
_MOST_PLACEHOLDERS = 200
_CONSTRAINTS = frozenset({
    "pattern", "min_length", "max_length", "strip_whitespace", "to_lower", "to_upper", "coerce_numbers_to_str",
})  # fmt: skip
_CONFIGURED = frozenset({"str_strip_whitespace", "str_to_lower", "str_to_upper", "coerce_numbers_to_str"})

# What is letter or digit draws something, blanks aside; most strings begin with one of these or with ASCII.
_VISIBLE = r"\p{L}\p{N}!-~"
_PRINTABLE = r"\A[\t\n\r -~\u{a1}-\u{ac}\u{ae}-\u{24f}]*\z"
_NOTHING = r"\A[^\s\S]"


def of_string(schema: Any, policy: Policy, markers: Iterable[Marker], config: Any, *, stored: bool) -> Any:
    """Return a string's schema with the policy in it.

    Args:
        schema: The core schema.
        policy: The policy in force.
        markers: The markers that hold for the string.
        config: The configuration of the model around it.
        stored: Whether the string is stored; then the policy judges it as it is, else what becomes of it.
    """
    strict = {"strict": True} if stored else {}
    own: list[Any] = [
        core_schema.str_schema(
            pattern=each,
            regex_engine="rust-regex",
            strip_whitespace=False,
            to_lower=False,
            to_upper=False,
            strict=True if stored else None,
        )
        for each in _patterns(policy, frozenset(_allowed(markers, str)))
    ]
    alone = not (_CONSTRAINTS & schema.keys()) and not any((config or {}).get(name) for name in _CONFIGURED)
    if alone and len(own) == 1:
        return {**schema, "pattern": own[0]["pattern"], "regex_engine": "rust-regex", **strict}
    steps = [*own, schema] if stored else [schema, *own]
    return core_schema.chain_schema(steps)


def least(schema: Any, policy: Policy, markers: Iterable[Marker]) -> int:
    """Return how many elements an array, or fields a mapping, has at least by its declaration and the policy."""
    empty = policy.allow_empty_containers or any(each in ([], {}) for each in _allowed(markers, list, dict))
    return max(schema.get("min_length") or 0, 0 if empty else 1)


def in_rust(schema: Any, full: Any) -> Any:
    """Return what a write's value may be without a call of Python, before the schema that calls it.

    Most dates have no zone, and most ``_id``s are ObjectIds: what the functions of `full` return as it is.

    Args:
        schema: The core schema.
        full: What `leaf.Leaf` has made of it, for a write.
    """
    if schema["type"] == "datetime":
        if schema.get("tz_constraint") is not None:
            return full
        inner = full
        while inner["type"] != "datetime":
            inner = inner["schema"]
        first: Any = {**inner, "tz_constraint": "naive"}
    elif schema["type"] == "any" or schema.get("cls") is ObjectId:
        first = dict(core_schema.is_instance_schema(ObjectId))
    else:
        return full
    return core_schema.union_schema([first, full], mode="left_to_right")


def nan(schema: Any, policy: Policy) -> bool:
    """Whether NaN and infinity are let through."""
    return bool(policy.allow_nan or schema.get("allow_inf_nan") is True)


def _allowed(markers: Iterable[Marker], *kinds: type) -> list[Any]:
    return [value for each in markers if isinstance(each, Allow) for value in each.values if type(value) in kinds]


@cache
def _patterns(policy: Policy, allowed: frozenset[str]) -> tuple[str, ...]:
    words = frozenset(each for each in policy.placeholders if each) - allowed
    if len(words) > _MOST_PLACEHOLDERS:
        return (_NOTHING,)
    first = r"\s\S" if policy.allow_white_space else f"{_VISIBLE}--[{_escaped(BLANK)}]"
    known = sorted({each[0] for each in words})
    options = [f"[[{first}]--[{_escaped(known)}]]" if known else f"[{first}]"]
    options += [_escaped(each) + _none_of({word[1:] for word in words if word[0] == each}) for each in known]
    if policy.allow_empty_strings or "" in allowed:
        options.append(r"\z")
    found = f"\\A(?:{'|'.join(options)})"
    return (found,) if policy.allow_control_characters else (found, _PRINTABLE)


def _none_of(words: set[str]) -> str:
    """Return a pattern of the beginnings of every string but these."""
    known = sorted({each[0] for each in words if each})
    options = [f"[^{_escaped(known)}]" if known else r"[\s\S]"]
    options += [_escaped(each) + _none_of({word[1:] for word in words if word[:1] == each}) for each in known]
    if "" not in words:
        options.append(r"\z")
    return f"(?:{'|'.join(options)})"


def _escaped(characters: Iterable[str]) -> str:
    return "".join(f"\\u{{{ord(each):x}}}" for each in sorted(characters))
