"""A quick look at what the fast validators do not see through, in a document that they have passed."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bson import ObjectId

from integrity.declare.constraint import Forbid
from integrity.declare.policy import Policy
from integrity.declare.shape import Node, Object
from integrity.rules.walk import Walk

Check = Callable[[Any], bool]

#: What no policy has a word for: where anything may stand, as in a generated ``_id``, these need no look.
_UNJUDGED = frozenset({ObjectId, int, bool, dt.datetime, uuid.UUID})
#: The characters of ASCII that draw something.
_BEGINNINGS = frozenset(map(chr, range(ord("!"), ord("~") + 1)))


def checker(root: Object, policy: Policy, *, stored: bool, whole: bool = False) -> Check | None:
    """Return a look at a validated document that is true only when nothing is wrong with it.

    Args:
        root: The document's shape.
        policy: The policy in force.
        stored: Whether it is a stored document or what a write has made.
        whole: Whether the validator sees through nothing of it: the model wants an instance.

    Returns:
        The look, or None when the validator sees everything.
    """
    if whole:
        walk = Walk(stored=True)
        return lambda value: next(walk.object(value, root, (), (), policy), None) is None
    return _Checker(stored=stored).of_object(root, policy)


def unlooked(root: Object, policy: Policy, *, whole: bool = False) -> frozenset[type]:
    """Return the types of an ``_id`` with which a document that is to be written needs no look at all.

    Args:
        root: The document's shape.
        policy: The policy in force.
        whole: Whether the validator sees through nothing of it.
    """
    declared = root.fields.get("_id")
    if whole or declared is None or _passed(declared.node) is None:
        return frozenset()
    rest = replace(root, fields={name: each for name, each in root.fields.items() if name != "_id"})
    return _UNJUDGED if checker(rest, policy, stored=False) is None else frozenset()


class _Checker:
    def __init__(self, *, stored: bool) -> None:
        self.stored = stored
        self.walk = Walk(stored=True)
        self.known: dict[tuple[int, Policy], list[Check | None]] = {}

    def of_object(self, declared: Object, above: Policy) -> Check | None:
        if not self._any_inside(declared, set()):
            return None
        at = (id(declared), above)
        if at in self.known:
            # A model inside itself, whose look is still being made: it is looked up when it is needed.
            made = self.known[at]
            return lambda value: made[0] is None or made[0](value)
        made = self.known[at] = [None]
        within = declared.policy or above
        looks = [
            (name, _passed(each.node), check)
            for name, each in declared.fields.items()
            if (check := self.of_node(each.node, within))
        ]
        judged = declared.judged_values
        values = self.of_node(judged, within) if judged is not None else None
        names = declared.fields.keys()

        def look(value: dict[str, Any]) -> bool:
            for name, passed, check in looks:
                if name in value and type(each := value[name]) is not passed and not check(each):
                    return False
            return values is None or all(values(each) for name, each in value.items() if name not in names)

        made[0] = look
        return look

    def of_node(self, node: Node, within: Policy) -> Check | None:
        if not self._needed(node, set()):
            return None
        if self._by_itself(node) or len(node.arrays) + len(node.objects) + bool(node.scalars) > 1:
            return self._walked(node, within)
        if node.arrays and not node.arrays[0].prefix:
            item = self.of_node(node.arrays[0].item, within)
            return lambda value: value is None or item is None or all(map(item, value))
        if node.objects:
            inner = self.of_object(node.objects[0], within)
            return lambda value: value is None or inner is None or inner(value)
        return self._walked(node, within)

    def _walked(self, node: Node, within: Policy) -> Check:
        """Return a walk over a value, but for what needs none: most texts, and most of what stands where all may."""
        if any(isinstance(each, Forbid) for each in node.markers):
            return lambda value: next(self.walk.value(value, node, (), (), within), None) is None
        unjudged = _UNJUDGED if node.anything else frozenset[type]()
        begins = _BEGINNINGS - {each[:1] for each in within.placeholders}
        if not (node.anything or "string" in node.scalars) or not within.allow_control_characters:
            begins = frozenset()

        def look(value: Any) -> bool:
            if type(value) is str:
                # ASCII, which is encodable and as it stands in the database; its first character draws something,
                # and no placeholder begins with it.
                if value[:1] in begins and value.isascii():
                    return True
            elif type(value) in unjudged:
                return True
            return next(self.walk.value(value, node, (), (), within), None) is None

        return look

    def _by_itself(self, node: Node) -> bool:
        loose = node.loose_stored if self.stored else node.loose
        return loose or node.anything or any(isinstance(each, Forbid) for each in node.markers)

    def _needed(self, node: Node, seen: set[int]) -> bool:
        if self._by_itself(node):
            return True
        if id(node) in seen:
            return False
        seen.add(id(node))
        # What comes after the last element of a tuple of fixed length is refused by that length.
        items = [
            each
            for array in node.arrays
            for each in (
                array.prefix if array.prefix and array.most == len(array.prefix) else (*array.prefix, array.item)
            )
        ]
        return any(self._needed(each, seen) for each in items) or any(
            self._any_inside(each, seen) for each in node.objects
        )

    def _any_inside(self, declared: Object, seen: set[int]) -> bool:
        values = declared.judged_values
        nodes = [each.node for each in declared.fields.values()] + ([values] if values is not None else [])
        return any(self._needed(each, seen) for each in nodes)


def _passed(node: Node) -> type | None:
    """Return the type of what needs no look: most ``_id``s of any type are generated ObjectIds."""
    return ObjectId if node.anything and not any(isinstance(each, Forbid) for each in node.markers) else None
