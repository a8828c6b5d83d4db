"""From what was found to a module of models: readable, formatted, importable."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from integrity.infer.found import CollectionFound, Found, Link, Repeat, Steps
from integrity.infer.kinds import Kind, frequencies, meant, quoted, scalar_kind
from integrity.infer.naming import USED, attribute, class_name
from integrity.infer.profile import Profile

_WIDTH = 120

_FROM = {
    "Any": "typing", "Annotated": "typing", "Literal": "typing", "Decimal": "decimal", "datetime": "datetime",
    "UUID": "uuid", "ObjectId": "bson", "Regex": "bson", "Timestamp": "bson", "Code": "bson", "Field": "pydantic",
    "Model": "integrity", "Ref": "integrity", "Unique": "integrity", "CopyOf": "integrity",
}  # fmt: skip
_STANDARD = ("datetime", "decimal", "typing", "uuid")


def code(found: Found) -> str:
    """Return the module's source.

    Args:
        found: What was found out.
    """
    writer = _Writer(found)
    classes = [writer.model(each) for each in found.collections.values() if each.profile.present]
    return writer.module(classes)


class _Writer:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.imports = {"Model"}
        self.links = {(each.collection, each.steps): each for each in found.links}
        self.repeats = {(each.link.collection, each.steps): each for each in found.repeats}
        self.models = _distinct({each: class_name(each) for each in found.collections})
        self.taken = set(self.models.values()) | USED
        self.attributes: dict[tuple[str, Steps], str] = {}
        self.collection = ""
        self.embedded: list[str] = []
        self.inside: dict[Steps, list[str]] = {}
        for each in found.collections.values():
            self._name(each.name, each.profile, ())
        self.uniques = {name: set(steps) for name, steps in found.uniques.items()}
        for link in found.links:
            if link.field != "_id":
                self.uniques.setdefault(link.target, set()).add((link.field,))

    def module(self, classes: list[str]) -> str:
        found = self.found
        many = sum(each.documents for each in found.collections.values())
        head = (
            f'"""Models inferred from the database {found.database!r}: '
            f"{len(found.collections)} collections, {many:,} documents.\n\n"
            "A starting point, to be read and corrected. The comments say what was found: types and how often, null,\n"
            "absent, dirty (left out of the types); references and copies are what the values look like.\n"
            '"""'
        )
        groups: dict[str, list[str]] = {}
        for name in self.imports:
            groups.setdefault(_FROM[name], []).append(name)
        standard = [_import(module, groups[module]) for module in _STANDARD if module in groups]
        others = [_import(module, groups[module]) for module in ("bson", "pydantic") if module in groups]
        blocks = [block for block in (standard, others, [_import("integrity", groups["integrity"])]) if block]
        text = "\n\n".join(["\n".join(block) for block in blocks])
        return f"{head}\n\n{text}\n\n\n" + "\n\n\n".join(classes) + "\n"

    def model(self, collection: CollectionFound) -> str:
        """Return a collection's class, after the classes of what is embedded in it."""
        self.collection = collection.name
        self.embedded = []
        self.inside = {}
        read = "all read" if collection.whole else f"{collection.profile.present:,} of them read"
        many = f"{collection.documents:,} document{'s' if collection.documents != 1 else ''}"
        head = f"class {self.models[collection.name]}(Model, collection={quoted(collection.name)}):"
        body = [f'    """{many}, {read}."""', "", *self._fields(collection.profile, ())]
        for name, each in collection.nameless.items():
            seen = ", ".join(frequencies(each, collection.profile.objects))
            body += _comment(f"{name!a} is not declared, since no update names such a field: {seen}")
        return "\n\n\n".join([*self.embedded, "\n".join([head, *body])])

    def _name(self, collection: str, profile: Profile, steps: Steps) -> None:
        """Give every field its attribute."""
        taken: set[str] = set()
        for name, each in profile.fields.items():
            at = (*steps, name)
            made = "id" if name == "_id" and not steps else attribute(name, taken)
            taken.add(made)
            self.attributes[collection, at] = made
            self._name_below(collection, each, at)

    def _name_below(self, collection: str, profile: Profile, steps: Steps) -> None:
        """Give every field of the objects at a place its attribute, as far as arrays and mappings lead to them."""
        if profile.mapping:
            self._name_below(collection, profile.merged(), (*steps, "*"))
        elif profile.objects:
            self._name(collection, profile, steps)
        if profile.items is not None:
            self._name_below(collection, profile.items, (*steps, "[]"))

    def _fields(self, profile: Profile, steps: Steps) -> list[str]:
        lines: list[str] = []
        order = sorted(profile.fields, key=lambda name: name != "_id" or bool(steps))
        for name in order:
            lines += self._field(profile, name, (*steps, name))
        return lines

    def _field(self, parent: Profile, name: str, steps: Steps) -> list[str]:
        profile = parent.fields[name]
        kind = self._kind(profile, steps)
        attr = self.attributes[self.collection, steps]
        optional = profile.present < parent.objects or bool(profile.dirty) or not profile.valid
        nullable = optional or bool(profile.nulls)
        key = steps == ("_id",)
        markers = self._markers(steps, kind)
        annotation = _union(kind.types) or "Any"
        if annotation == "Any":
            self.imports.add("Any")
        if nullable and not key and annotation != "Any":
            annotation += " | None"
        settings = []
        if attr != name and not key:
            settings.append(f"alias={quoted(name)}")
        if kind.pattern is not None:
            settings.append(f"pattern=r{quoted_raw(kind.pattern)}")
        if settings:
            self.imports.add("Field")
            markers.insert(0, f"Field({', '.join(settings)})")
        if markers:
            self.imports.add("Annotated")
            annotation = f"Annotated[{annotation}, {', '.join(markers)}]"
        default = " = None" if optional and not key else ""
        comments = [*frequencies(profile, parent.objects), *kind.comments]
        comments += self.found.notes.get((self.collection, steps), [])
        line = f"    {attr}: {annotation}{default}"
        if profile.items is not None and profile.items.present:
            inside = [*frequencies(profile.items, profile.items.present), *self.inside.get(steps, [])]
            comments.append(f"elements: {', '.join(inside)}")
        return [*_comment("; ".join(comments)), *_wrapped(line)]

    def _kind(self, profile: Profile, steps: Steps) -> Kind:
        kind = scalar_kind(profile)
        self.imports |= kind.imports & _FROM.keys()
        if meant(profile, "array", kind):
            kind.types.append(f"list[{self._element(profile, steps)}]")
        if meant(profile, "object", kind):
            kind.types.append(self._object(profile, steps))
        return kind

    def _element(self, profile: Profile, steps: Steps) -> str:
        items, at = profile.items, (*steps, "[]")
        if items is None or not items.valid:
            self.imports.add("Any")
            return "Any"
        kind = self._kind(items, at)
        annotation = _union(kind.types) or "Any"
        if items.nulls and annotation != "Any":
            annotation += " | None"
        markers = self._markers(at, kind)
        if kind.pattern is not None:
            self.imports.add("Field")
            markers.insert(0, f"Field(pattern=r{quoted_raw(kind.pattern)})")
        self.inside[steps] = kind.comments
        if markers:
            self.imports.add("Annotated")
            return f"Annotated[{annotation}, {', '.join(markers)}]"
        return annotation

    def _object(self, profile: Profile, steps: Steps) -> str:
        if profile.mapping or not profile.fields:
            kind = self._kind(profile.merged(), (*steps, "*"))
            values = _union(kind.types) or "Any"
            if values == "Any":
                self.imports.add("Any")
            return f"dict[str, {values}]"
        name = self._class_name(steps)
        fields = "\n".join([f"class {name}(Model):", *self._fields(profile, steps)])
        self.embedded.append(fields)
        return name

    def _class_name(self, steps: Steps) -> str:
        """Return a name for an embedded model: its field's, with what holds it before it where that is taken."""
        words = [class_name(each) for each in steps if each not in {"[]", "*"}]
        made = ""
        for word in [*reversed(words), self.models[self.collection]]:
            made = word + made
            if made not in self.taken:
                break
        while made in self.taken:
            made += "_"
        self.taken.add(made)
        return made

    def _markers(self, steps: Steps, kind: Kind) -> list[str]:
        found = []
        link = self.links.get((self.collection, steps))
        here = self.found.collections[self.collection].at(steps)
        if link is not None and here is not None and any(meant(here, name, Kind()) for name in ("array", "object")):
            kind.comments.append(f"single values are found in {link.target}.{link.field}")  # and what is no key besides
        elif link is not None:
            found.append(self._ref(link, kind))
        repeat = self.repeats.get((self.collection, steps))
        if repeat is not None:
            found.append(self._copy(repeat, kind))
        if steps in self.uniques.get(self.collection, ()) and repeat is None:
            self.imports.add("Unique")
            found.append("Unique()")
        return found

    def _ref(self, link: Link, kind: Kind) -> str:
        self.imports.add("Ref")
        where = "" if link.field == "_id" else f", field={quoted(self.attributes[link.target, (link.field,)])}"
        kind.comments.append(f"{link.inclusion:.1%} found in {link.target}.{link.field}".replace("%", " %"))
        return f"Ref({quoted(self.models[link.target])}{where})"

    def _copy(self, repeat: Repeat, kind: Kind) -> str:
        self.imports.add("CopyOf")
        link = repeat.link
        kind.comments.append(f"{repeat.equal:.1%} equal to {link.target}.{repeat.field}".replace("%", " %"))
        original = self.attributes[link.target, (repeat.field,)]
        via = self.attributes[link.collection, link.steps]
        return f"CopyOf({quoted(self.models[link.target])}, {quoted(original)}, via={quoted(via)})"


def _distinct(names: dict[str, str]) -> dict[str, str]:
    """Return names without two alike: a number is put behind the later one."""
    found: dict[str, str] = {}
    for key, name in names.items():
        made, number = name, 2
        while made in found.values():
            made, number = f"{name}{number}", number + 1
        found[key] = made
    return found


def _union(types: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(types))
    return "Any" if "Any" in distinct else " | ".join(distinct)


def _import(module: str, names: list[str]) -> str:
    return f"from {module} import {', '.join(sorted(names, key=lambda name: (not name.isupper(), name)))}"


def _comment(text: str) -> list[str]:
    if not text:
        return []
    return [f"    # {line}" for line in textwrap.wrap(text, _WIDTH - 6, break_long_words=False)]


def _wrapped(line: str) -> list[str]:
    """Break what is too long as a formatter does: the parts between the outermost brackets on lines of their own."""
    if len(line) <= _WIDTH or "[" not in line:
        return [line]
    start, end = line.index("[") + 1, line.rindex("]")
    parts = _parts(line[start:end])
    indent = " " * (len(line) - len(line.lstrip()))
    inner = [f"{indent}    {', '.join(parts)}"]
    if len(inner[0]) > _WIDTH:
        inner = [f"{indent}    {part}," for part in parts]
    return [line[:start], *inner, f"{indent}{line[end:]}"]


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no bracket and no string."""
    parts, depth, quote, begin = [], 0, "", 0
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[at - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
        elif character == "," and not depth:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [*parts, text[begin:].strip()]


def quoted_raw(pattern: str) -> str:
    """Return a pattern between double quotes, for a raw string."""
    return f'"{pattern}"'
