"""What a field is declared as, from what stands there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from integrity.infer.profile import Profile

#: Texts with no more distinct values than these, and each there so often on average, are a choice.
CHOICES, EACH = 12, 5
_LONGEST_CHOICE = 40
#: Values of another type that are so rare are dirty.
RARE = 0.01
#: Fewer values than these have no certain form.
FORMED = 20

_PYTHON = {
    "bool": "bool", "string": "str", "date": "datetime", "objectId": "ObjectId", "decimal": "Decimal", "uuid": "UUID",
    "binData": "bytes", "regex": "Regex[str]", "timestamp": "Timestamp", "javascript": "Code",
}  # fmt: skip

#: What a certain form of text is declared as.
PATTERNS = {
    "ObjectId": r"^[0-9a-f]{24}$",
    "UUID": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "e-mail": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "date and time": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}",
    "URL": r"^https?://\S+$",
}


@dataclass
class Kind:
    """What a place is declared as, in source text.

    Args:
        types: The alternatives, such as ``["int", "str"]``; without null.
        imports: The names that they need.
        comments: What is worth saying beside them.
        pattern: The pattern that every value has, or None.
    """

    types: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    comments: list[str] = field(default_factory=list)
    pattern: str | None = None


def scalar_kind(profile: Profile) -> Kind:
    """Return the kind of the scalars of a profile; nothing where there are none."""
    kind = Kind()
    types = Counter({name: n for name, n in profile.types.items() if name not in {"object", "array"}})
    total = types.total()
    if not total:
        return kind
    kept = _without_rare(types, total, kind)
    numbers = {name for name in kept if name in {"int", "long", "double"}}
    if numbers:
        doubles = kept["double"]
        fractions = doubles - profile.integral
        kind.types.append("float" if fractions or doubles == sum(kept[each] for each in numbers) else "int")
        if doubles and not fractions and kind.types == ["int"]:
            are = "whole number is stored as a double" if doubles == 1 else "whole numbers are stored as doubles"
            kind.comments.append(f"{doubles:,} {are}")
    for name in sorted(kept.keys() - numbers):
        python = _PYTHON.get(name)
        if python is None:
            kind.types.append("Any")
            kind.imports.add("Any")
            continue
        kind.types.append(python)
        kind.imports |= {python.split("[")[0]} - {"bool", "str", "bytes"}
    if set(kept) == {"string"}:
        _text(profile, kind)
    return kind


def _without_rare(types: Counter[str], total: int, kind: Kind) -> Counter[str]:
    """Leave out types that are too rare to be meant, and say so."""
    groups: Counter[str] = Counter()
    for name, count in types.items():
        groups["number" if name in {"int", "long", "double"} else name] += count
    kept = Counter(types)
    for name, count in types.items():
        group = "number" if name in {"int", "long", "double"} else name
        if groups[group] < total * RARE:
            kind.comments.append(dirty(count, name))
            del kept[name]
    return kept


def meant(profile: Profile, name: str, kind: Kind) -> bool:
    """Whether objects, or arrays, are what a place is meant to hold; where they are too rare for that, say so.

    Args:
        profile: What stands there.
        name: "object" or "array".
        kind: What the place is declared as so far.
    """
    count = profile.types[name]
    if 0 < count < profile.valid * RARE:
        kind.comments.append(dirty(count, name))
        return False
    return count > 0


def dirty(count: int, name: str) -> str:
    """Return what a comment says of values of a type that is too rare to be meant."""
    return f"{count:,} dirty value{'s' if count != 1 else ''} of type {name}"


def _text(profile: Profile, kind: Kind) -> None:
    values = sorted(value for value in profile.shown.values() if isinstance(value, str))
    strings = profile.types["string"]
    choice = (
        not profile.overflow
        and len(values) <= CHOICES
        and strings >= len(values) * EACH
        and max(map(len, values)) <= _LONGEST_CHOICE
        and all(each.isprintable() for each in values)
    )
    if choice:
        kind.types = [f"Literal[{', '.join(map(quoted, values))}]"]
        kind.imports.add("Literal")
        return
    for name, pattern in PATTERNS.items():
        if strings >= FORMED and profile.forms[name] == strings:
            kind.pattern = pattern
            kind.imports.add("Field")
            kind.comments.append(f"every text is of the form of {_article(name)}")
            return


def frequencies(profile: Profile, documents: int) -> list[str]:
    """Return what a comment says of a place: types with their frequencies, null, absent, dirty.

    Args:
        profile: What stands there.
        documents: How many objects might have it.
    """
    found = []
    whole = max(documents, 1)
    for name, count in profile.types.most_common():
        found.append(f"{name} {_percent(count / whole)}")
    if profile.nulls:
        found.append(f"null {_percent(profile.nulls / whole)}")
    absent = documents - profile.present
    if absent > 0:
        found.append(f"absent {_percent(absent / whole)}")
    if profile.dirty:
        shown = ", ".join(f"{value} {count:,}" for value, count in profile.dirty.most_common(3))
        more = f", {len(profile.dirty) - 3} more kinds" if len(profile.dirty) > 3 else ""  # noqa: PLR2004 - as many as above
        found.append(f"dirty {_percent(profile.dirty.total() / whole)} ({shown}{more})")
    return found


def quoted(value: Any) -> str:
    """Return a text as Python source, in double quotes."""
    text = repr(value)
    if text.startswith("'") and '"' not in text:
        text = '"' + text[1:-1].replace("\\'", "'") + '"'
    return text


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "Oe" else f"a {name}"


def _percent(share: float) -> str:
    if share >= 1:
        return "100 %"
    shown = f"{share * 100:.1f}"
    return f"{'<0.1' if shown == '0.0' else '>99.9' if shown == '100.0' else shown} %"
