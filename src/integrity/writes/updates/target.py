"""Where an update's path leads: the declared place, and what the declarations say about the way to it.

MongoDB follows a path through what is stored: it creates the objects that are not there, pads an array up to an
index with nulls, and refuses a step into a scalar or null.
Source: https://www.mongodb.com/docs/manual/core/document/#dot-notation
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from integrity.declare.constraint import Marker
from integrity.declare.registry import Entry
from integrity.declare.reserved import CONDEMNED
from integrity.declare.shape import Object
from integrity.declare.slot import Slot, root
from integrity.errors import UnguardedWrite
from integrity.rules.judge import Judge
from integrity.rules.rule import Fault, Rule
from integrity.rules.schema import unknown_field

#: How many paths are remembered for each model; a path may hold a key or an index, so there is no end of them.
REMEMBERED = 2000


@dataclass(eq=False)
class Target:
    """The place that a path of an update names.

    Args:
        path: The path as it is written.
        slot: The place.
        holder: What holds it: an object or an array.
        container: The declared object that holds it, when an object does.
        undeclared: Why there is no such place, as a rule and a fault.
        reasons: Why a value that is valid here may still make the document invalid.
        creates: The objects that are created where they are not there yet: the path of each, and the required
            fields that it would lack.
        certain: Whether every valid document has the place.
        there: Whether the place is there already wherever the server does not refuse the update.
        stops: Why the server may refuse the update for one document and not for another.
        positional: The path of the array that ``$`` stands for an element of.
        markers: The kinds of markers at, above and below the place.
        steps: The declared path's steps.
        known: Whether a value for the place can be judged on its own.
        plain: Whether the way leaves nothing open.
        direct: Whether a valid value for the place is all that a document that exists needs, to stay valid.
    """

    path: str
    slot: Slot
    holder: Slot
    container: Object | None = None
    undeclared: tuple[Rule, Fault] | None = None
    reasons: tuple[str, ...] = ()
    creates: tuple[tuple[str, frozenset[str]], ...] = ()
    certain: bool = True
    there: bool = True
    stops: tuple[str, ...] = ()
    positional: str | None = None
    markers: frozenset[type[Marker]] = frozenset()
    steps: tuple[str, ...] = field(init=False)
    known: bool = field(init=False)
    plain: bool = field(init=False)
    direct: bool = field(init=False)

    def __post_init__(self) -> None:
        self.steps = self.slot.steps
        self.known = self.slot.known
        self.plain = not (self.reasons or self.creates or self.positional or self.stops)
        open_ = self.reasons or self.creates or self.positional or self.markers
        identifies = self.path.split(".")[0] == "_id"
        self.direct = self.undeclared is None and self.known and not identifies and not open_

    @cached_property
    def judge(self) -> Judge:
        """Judges a value for the place alone."""
        return Judge(self.slot.judged)

    @cached_property
    def element(self) -> Slot | None:
        """The slot of the elements of the one array that may stand here, or None."""
        arrays = self.slot.node.arrays
        return self.slot.element(arrays[0]) if len(arrays) == 1 else None

    @cached_property
    def element_judge(self) -> Judge | None:
        """Judges an element for the array, or None where that cannot be done for one alone."""
        return Judge(self.element.judged) if self.element is not None and self.element.known else None


@dataclass
class _Way:
    """What is known of the way so far.

    Args:
        slot: The place that it has come to.
        certain: Whether every valid document has that place.
        there: Whether the place is there whenever the server gets so far without an error.
    """

    slot: Slot
    certain: bool = True
    there: bool = True
    reasons: list[str] = field(default_factory=list)
    creates: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    positional: str | None = None

    def step(self, slot: Slot, *, certain: bool, there: bool) -> None:
        """Go on to a place below."""
        self.certain = self.certain and certain
        self.there = there
        self.slot = slot


class Targets(dict[str, Target]):
    """The targets of one model's paths, remembered.

    Args:
        entry: The model's entry.
    """

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry
        self.root = root(entry)

    def __missing__(self, path: str) -> Target:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[path] = self._resolve(path)
        return found

    def _resolve(self, path: str) -> Target:
        if not isinstance(path, str):
            raise UnguardedWrite(f"{self.entry.collection}: {path!r} is no path of an update; a path is a string.")
        way = _Way(self.root)
        holder, container = self.root, None
        parts = path.split(".")
        for index, part in enumerate(parts):
            holder = way.slot
            container = None
            at = ".".join(parts[:index])
            if holder.node.nullable:
                way.stops.append(f"{at} may be null")
            if holder.node.anything:
                # Below Any nothing is declared. An object that is created there is never empty, so it is valid.
                way.stops.append(f"{at} may be a value without fields")
                way.step(holder.child(part, Object(values=holder.node, closed=False)), certain=False, there=False)
                continue
            fault = None
            if _is_element(part, holder):
                fault = _into_array(way, part, at, last=index == len(parts) - 1)
            else:
                container, fault = _into_object(way, part, at)
            if fault is not None:
                undeclared = Slot(self.entry, (*holder.steps, part), holder.node, None, holder.policy, None, {})
                for each in parts[index + 1 :]:
                    undeclared = undeclared.opaque(each)
                return Target(path, undeclared, holder, undeclared=(unknown_field.RULE, fault), certain=False)
        return Target(
            path=path,
            slot=way.slot,
            holder=holder,
            container=container,
            reasons=tuple(dict.fromkeys(way.reasons)),
            creates=tuple(way.creates),
            stops=tuple(dict.fromkeys(way.stops)),
            certain=way.certain,
            there=way.there,
            positional=way.positional,
            markers=self.markers(way.slot.steps),
        )

    @cached_property
    def judge(self) -> Judge:
        """Judges a whole document."""
        return Judge(self.entry)

    def arrays(self, path: str) -> int | None:
        """Return how many arrays a filter's path leads through, or None where that is not declared."""
        nodes = [self.root.node]
        passed = 0
        for part in path.split("."):
            if any(each.anything for each in nodes):
                return None
            if any(each.arrays for each in nodes):
                passed += 1
                nodes = [array.item for each in nodes for array in each.arrays]
                if part.isdecimal():
                    continue
            objects = [each for node in nodes for each in node.objects]
            nodes = [each.fields[part].node for each in objects if part in each.fields]
            nodes += [each.values for each in objects if each.mapping and each.values is not None]
            if not nodes:
                return None
        if any(each.anything for each in nodes):
            return None
        return passed + any(each.arrays for each in nodes)

    def markers(self, steps: tuple[str, ...]) -> frozenset[type[Marker]]:
        """Return the kinds of markers at, above and below a declared place."""
        found: set[type[Marker]] = set()
        for each in self.entry.places:
            shorter = min(len(steps), len(each.steps))
            if each.steps[:shorter] == steps[:shorter]:
                found.update(map(type, each.node.markers))
        for key in self.entry.uniques:
            if any(each.steps[: len(steps)] == steps for each in key.places):
                found.add(type(key.unique))
        return frozenset(found)


def targets(entry: Entry) -> Targets:
    """Return the targets of a model; they are kept with its entry, as long as that lives."""
    found: Targets | None = entry.__dict__.get("_update_targets")
    if found is None:
        found = entry.__dict__["_update_targets"] = Targets(entry)
    return found


def _is_element(part: str, holder: Slot) -> bool:
    if part == "$" or part.startswith("$["):
        return True
    # "01" is no index, MongoDB takes it for a name.
    return bool(holder.node.arrays) and part.isdecimal() and (part == "0" or part[0] != "0")


def _into_array(way: _Way, part: str, at: str, *, last: bool) -> Fault | None:
    holder = way.slot
    if not holder.node.arrays:
        return Fault(f"is no element: {at or 'the document'} is declared without an array.", "Name a declared field.")
    if holder.kind != "list":
        way.reasons.append(f"{at} is declared with a structure that is judged as a whole")
        way.step(holder.opaque("[]"), certain=False, there=False)
        return None
    if holder.whole:
        way.reasons.append(_whole(holder, at))
    if part.isdecimal():
        _index(way, int(part), at, last=last)
        return None
    if part == "$":
        way.positional = at
    elif not way.there:
        way.stops.append(f"{at} may not be there")
    # The server refuses "$", "$[]" and "$[x]" where there is no array, and pads nothing for them.
    way.step(holder.element(holder.node.arrays[0]), certain=False, there=True)
    return None


def _index(way: _Way, index: int, at: str, *, last: bool) -> None:
    """An array is padded with nulls up to an index, and where there is no array an object is created."""
    holder = way.slot
    longest = holder.limit("max_length")
    appends = last and index == holder.shortest and (longest is None or index < longest)
    if not way.there:
        way.reasons.append(f"where {at} is not there, an object with the field {str(index)!r} would be created")
    elif index >= holder.shortest and not appends:
        way.reasons.append(f"{at} may be too short for the index {index} and would be padded with nulls")
    there = way.there and index < holder.shortest
    way.step(holder.element(holder.node.arrays[0], index), certain=there, there=there)


def _into_object(way: _Way, part: str, at: str) -> tuple[Object | None, Fault | None]:
    holder = way.slot
    objects = holder.node.objects
    declaring = [each for each in objects if part in each.fields or not each.closed]
    if part == CONDEMNED and not way.slot.steps:
        return None, unknown_field.RESERVED
    if not declaring:
        return None, _not_declared(part, at, holder)
    if holder.bare.schema is None:
        way.reasons.append(f"{at} is declared with a structure that is judged as a whole")
        way.step(holder.among(part), certain=False, there=False)
        return None, None
    declared = objects[0]
    if holder.whole:
        way.reasons.append(_whole(holder, at))
    if not way.there:
        lacking = frozenset(name for name, each in declared.fields.items() if each.required)
        if (holder.limit("min_length") or 0) > 1:
            lacking = frozenset({"more keys"})
        way.creates.append((at, lacking))
    if declared.mapping:
        _key(way, holder, at)
    slot = holder.child(part, declared)
    way.step(slot, certain=slot.required, there=way.there and slot.required)
    return declared, None


def _not_declared(part: str, at: str, holder: Slot) -> Fault:
    elements = [each for array in holder.node.arrays for each in (*array.prefix, array.item)]
    if not holder.node.objects and any(part in each.fields for element in elements for each in element.objects):
        # A filter looks into arrays without a step of its own; an update does not.
        return Fault("is not declared.", f"{at} is an array: name an element, {at}.0.{part}, or all, {at}.$[].{part}.")
    return unknown_field.fault(part, holder.node.objects[0] if holder.node.objects else Object())


def _key(way: _Way, holder: Slot, at: str) -> None:
    keys: Any = holder.limit("keys_schema") or {"type": "str"}
    if not (keys["type"] in {"any", "str"} and set(keys) <= {"type", "metadata", "ref"}):
        way.reasons.append(f"the keys of {at} are constrained")
    if holder.limit("max_length") is not None:
        way.reasons.append(f"{at} may already have as many keys as it may")


def _whole(holder: Slot, at: str) -> str:
    if not holder.steps:
        return f"{holder.entry.name} has validators that see the document as a whole"
    return f"{at} has validators that see it as a whole"
