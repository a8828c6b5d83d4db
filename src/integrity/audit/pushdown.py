"""What the server decides of a collection's field rules: one filter that every document with a fault matches.

The filter may match documents without a fault, which Python then finds clean, and must never miss one with a
fault. What it cannot decide is named, so that it is fetched instead. The traps are MongoDB's: a predicate on a
field also looks into the field's array, ``{f: null}`` also matches where there is no `f`, and comparisons are
true for the compared type only. So each predicate here is either a fault that is there, or the absence (``$not``)
of everything valid, and arrays are asked for by themselves.

Sources: https://www.mongodb.com/docs/manual/tutorial/query-arrays/,
https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#type-bracketing
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from integrity.audit import text
from integrity.audit.expected import Undecided, certain, shortest
from integrity.audit.scalar import ARRAY, Clause, Operator, Tests, anything, forbidden, others, scalar
from integrity.declare.registry import Entry
from integrity.declare.shape import Object
from integrity.declare.slot import Slot, root

_OBJECT: Operator = {"$not": {"$type": "object"}}
_NULL: Operator = {"$type": ["null", "undefined"]}
_ABSENT: Operator = {"$exists": False}

_LONGEST_MINIMUM = 20


@dataclass(frozen=True)
class Pushdown:
    """What the server decides, and what is left.

    Args:
        filter: Matches every document with a fault in what is decided; None where nothing is.
        undecided: The places that Python has to look at in every document, and where a value may be missing.
        whole: Whether Python has to look at every document as a whole.
    """

    filter: Clause | None
    undecided: tuple[Slot, ...] = ()
    whole: bool = False

    @property
    def projection(self) -> dict[str, int]:
        """The fields to fetch for what is undecided."""
        names = sorted({".".join(each for each in slot.steps if each not in {"[]", "*"}) for slot in self.undecided})
        kept = [each for each in names if not any(each.startswith(f"{other}.") for other in names)]
        return dict.fromkeys(["_id", *kept], 1)


def compiled(entry: Entry, *, names: bool = True) -> Pushdown:
    """Return what the server decides of the field rules of a model.

    Args:
        entry: The model's entry.
        names: Whether names that cannot be read are looked for where any name is let in: of all that is decided there,
            this is the dearest.
    """
    compiler = _Compiler(names=names)
    try:
        found = compiler.object(root(entry), entry.document)
    except Undecided:
        return Pushdown(None, whole=True)
    clauses = list(found.fields)
    fetched = {slot.steps[0] for slot in compiler.undecided if len(slot.steps) == 1}
    judged = {name for each in clauses for name in each}
    if compiler.undecided and not found.unknown and judged <= fetched | {"_id"}:
        # The server would read every document to say something of what is fetched of every document anyway.
        own = [root(entry).child("_id", entry.document)] if "_id" in judged - fetched else []
        return Pushdown(None, (*own, *compiler.undecided))
    if found.unknown:
        clauses.append({"$nor": [{"$jsonSchema": found.unknown}]})
    return Pushdown({"$or": clauses} if clauses else None, tuple(compiler.undecided))


class _Compiler:
    def __init__(self, *, names: bool) -> None:
        self.undecided: list[Slot] = []
        self._names = names
        self._above: list[Object] = []

    def object(self, slot: Slot, declared: Object) -> Tests:
        certain(slot, declared, self._above)
        self._above.append(declared)
        try:
            return self._fields(slot, declared)
        finally:
            self._above.pop()

    def _fields(self, slot: Slot, declared: Object) -> Tests:
        found = Tests()
        properties: dict[str, Clause] = {}
        for name, each in declared.fields.items():
            child = slot.child(name, declared)
            properties[name] = schema = Clause()
            begun = len(self.undecided)
            try:
                tests = self.value(child)
            except Undecided:
                del self.undecided[begun:]
                self.undecided.append(child)
                if each.required:
                    found.fields.append({name: _ABSENT})
                continue
            found.fields += _named(name, tests, required=each.required, nullable=child.node.nullable)
            schema.update(tests.unknown)
        inner = {name: each for name, each in properties.items() if each}
        if not declared.closed:
            # Any name is let in that can be read. Where nothing is undeclared, that is told without a pattern, which
            # takes three times as long.
            alone: Clause = {"properties": {each: {} for each in properties}, "additionalProperties": False}
            readable: Clause = {"patternProperties": {text.UTF8_NAME: {}}, "additionalProperties": False}
            found.unknown = ({"anyOf": [alone, readable]} if self._names else {}) | (
                {"properties": inner} if inner else {}
            )
        elif all(each.required for each in declared.fields.values()):
            # Where nothing may be missing, whatever is too much is counted: that is cheaper than its name.
            found.unknown = {"maxProperties": len(declared.fields)} | ({"properties": inner} if inner else {})
        else:
            # Counted too, at no cost: a name that is there twice has two values, and queries see the first alone.
            found.unknown = {
                "maxProperties": len(declared.fields), "properties": properties, "additionalProperties": False,
            }  # fmt: skip
        return found

    def value(self, slot: Slot) -> Tests:
        """Return the tests of what is not null at a place."""
        node = slot.node
        if node.loose or slot.schema is None:
            raise Undecided
        refused = forbidden(slot)
        if node.anything:
            found = anything(slot)
        elif len(node.arrays) + len(node.objects) + bool(node.scalars) != 1:
            raise Undecided
        elif node.arrays:
            found = self.array(slot)
        elif node.objects:
            found = self.object(slot, node.objects[0])
            found.required += [_OBJECT, ARRAY]
            found.optional.append(others({"object"}))
            if not any(each.required for each in node.objects[0].fields.values()) and not slot.may_be_empty:
                found.values.append({"$eq": {}})
        else:
            found = scalar(slot)
        found.values += refused
        return found

    def array(self, slot: Slot) -> Tests:
        least = shortest(slot)
        if least > _LONGEST_MINIMUM:
            raise Undecided
        # One predicate for "no array, or an empty one".
        some = {"$elemMatch": {"$exists": True}} if least else ARRAY
        found = Tests(
            required=[{"$not": some}], optional=[{"$not": some, "$ne": None}], longest=slot.limit("max_length")
        )
        found.values += [{"$size": each} for each in range(1, least)]
        element = slot.element(slot.node.arrays[0])
        begun = len(self.undecided)
        try:
            inner = self._element(element)
        except Undecided:
            del self.undecided[begun:]
            self.undecided.append(element)
            return found
        # Elements are looked at one by one: there is no array to be looked into, and nothing can be absent.
        found.values += [{"$elemMatch": each} for each in _operators(inner, nullable=element.node.nullable)]
        return found

    def _element(self, slot: Slot) -> Tests:
        found = self.value(slot)
        if found.longest is not None:
            raise Undecided  # only a field's length can be asked for
        return found


def _operators(tests: Tests, *, nullable: bool) -> Iterator[Operator]:
    """Yield the operators about an array's element."""
    for each in tests.operators(optional=nullable):
        if each is not ARRAY:
            yield each
    # Asked of each element, a schema costs next to nothing; asked of the array, more than all the rest.
    unknown: list[Clause] = [{"$nor": [{"$jsonSchema": tests.unknown}]}] if tests.unknown else []
    if tests.fields or unknown:
        yield {"$or": [*tests.fields, *unknown]}


def _named(name: str, tests: Tests, *, required: bool, nullable: bool) -> Iterator[Clause]:
    """Yield the clauses about a field."""
    optional = nullable or not required
    for each in tests.operators(optional=optional):
        yield {name: each}
    if required and nullable:
        yield {name: _ABSENT}
    if not required and not nullable:
        yield {name: _NULL}
    if tests.longest is not None:
        yield {f"{name}.{tests.longest}": {"$exists": True}}
    inner = [_prefixed(each, name) for each in tests.fields]
    if inner and optional:
        # Where the object itself may be absent, its required fields are missed only inside one that is there.
        yield {"$and": [{name: {"$type": "object"}}, {"$or": inner}]}
    else:
        yield from inner


def _prefixed(clause: Clause, name: str) -> Clause:
    made: Clause = {}
    for each, value in clause.items():
        if each.startswith("$"):
            made[each] = [_prefixed(one, name) for one in value]
        else:
            made[f"{name}.{each}"] = value
    return made
