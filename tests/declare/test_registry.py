"""What contradicts itself is refused when it is declared, with both sides and the way out."""

# ruff: noqa: DTZ001 - bounds without a zone are UTC
import datetime as dt
from typing import Annotated, Any, Literal

import pytest
from bson import Regex
from pydantic import ByteSize, ConfigDict, Field

from integrity.declare.constraint import Allow, CopyOf, Forbid, Immutable, Owner, Ref, Revision, Unique
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.registry import Registry
from integrity.errors import DeclarationError
from tests.declare.models import model


def a() -> Any:
    return model("A", {"id": int, "code": Annotated[str, Unique()], "name": str})


def b(name: str, annotation: Any, **others: Any) -> Any:
    return model("B", {"a": Annotated[int, Ref("A")], name: annotation, **others})


def embedded(**fields: Any) -> Any:
    return model("E", fields, embedded=True)


def several(element: Any) -> Any:
    return list[element]


def of(name: str, field: str, copy_of: str, on: str) -> Any:
    """A model whose `field` is a copy of another's."""
    copied = Annotated[str, CopyOf(copy_of, field, via="r")]
    return model(name, {"id": int, "r": Annotated[int | None, Ref(on)], field: copied})


class Leaf(Model):
    a: Annotated[int, Ref("A")]
    kids: list["Leaf"] | None = None


class UniqueLeaf(Model):
    a: Annotated[str, Unique()]
    kids: list["UniqueLeaf"] | None = None


class CopyLeaf(Model):
    n: Annotated[str, CopyOf("A", "name", via="a")]
    kids: list["CopyLeaf"] | None = None


class DefaultLeaf(Model):
    a: int = "b"  # type: ignore[assignment]  # what is refused
    kids: list["DefaultLeaf"] | None = None


class NumberLeaf(Model):
    a: int
    kids: list["NumberLeaf"] | None = None


def cascade(**keywords: Any) -> Any:
    return Ref(on_delete="cascade", **keywords)


CONTRADICTIONS: dict[str, tuple[list[Any], list[str]]] = {
    "a copy with an owner": (
        [a(), b("n", Annotated[str, CopyOf("A", "name", via="a"), Owner("x")])],
        ["B.n", "A.name", "Owner", "take the Owner away"],
    ),
    "two owners": ([b("n", Annotated[str, Owner("x"), Owner("y")]), a()], ["B.n", "'x'", "'y'", "keep one"]),
    "two owners, one of them above": (
        [a(), b("e", Annotated[embedded(s=Annotated[str, Owner("y")]), Owner("x")])],
        ["B.e.s", "y", "x by B.e", "keep one"],
    ),
    "two copies": (
        [a(), b("n", Annotated[str, CopyOf("A", "name", via="a"), CopyOf("A", "code", via="a")])],
        ["B.n has two owners", "'name'", "'code'", "keep one"],
    ),
    "copies of each other": ([of("X", "v", "Y", "Y"), of("Y", "v", "X", "X")], ["X.v of Y.v of X.v", "the original"]),
    "a copy of itself": ([of("X", "v", "X", "X")], ["X.v of X.v", "the original"]),
    "a copy via no reference": (
        [a(), model("B", {"a": int, "n": Annotated[str, CopyOf("A", "name", via="a")]})],
        ["B.n", "'a'", "no reference", "Ref('A')"],
    ),
    "a copy via a reference to another model": (
        [a(), model("C", {"id": int}), b("n", Annotated[str, CopyOf("A", "name", via="c")],
                                         c=Annotated[int, Ref("C")])],
        ["B.n", "A.name", "refers to C", "a reference to A"],
    ),
    "a copy of nothing": (
        [a(), b("n", Annotated[str, CopyOf("A", "nom", via="a")])], ["B.n", "A.nom", "not declared", "declare it"],
    ),
    "a reference to what is not unique": (
        [a(), b("n", Annotated[str, Ref("A", field="name")])], ["B.n", "A.name", "not unique", "Unique()"],
    ),
    "a reference to a part of what is unique": (
        [model("A", {"id": int, "x": str, "y": str}, constraints=[Unique("x", "y")]),
         b("n", Annotated[str, Ref("A", field="x")])],
        ["B.n", "A.x", "not unique", "refer to its id"],
    ),
    "a reference to nothing": (
        [a(), b("n", Annotated[str, Ref("A", field="nom")])], ["B.n", "A.nom", "not declared", "refer to the id"],
    ),
    "set_null without null": (
        [a(), b("n", Annotated[int, Ref("A", on_delete="set_null")])], ["B.n", "`... | None`", '"restrict"'],
    ),
    "set_null in a mapping without null": (
        [a(), b("n", dict[str, Annotated[int, Ref("A", on_delete="set_null")]])], ["B.n.*", "set_null", "... | None"],
    ),
    "set_null in a tuple": (
        [a(), b("n", tuple[Annotated[int, Ref("A", on_delete="set_null")], int])], ["B.n[]", "tuple", "declare a list"],
    ),
    "set_null in an array that may not be empty": (
        [a(), b("n", list[Annotated[int, Ref("A", on_delete="set_null")]])],
        ["B.n[]", "set_null", "may not be empty", "Allow([])"],
    ),
    "set_null in an array that has a least length": (
        [a(), b("n", Annotated[list[Annotated[int, Ref("A", on_delete="set_null")]], Allow([]), Field(min_length=1)])],
        ["B.n[]", "may not be empty", "min_length"],
    ),
    "set_null of a key": (
        [a(), b("k", Annotated[str | None, Unique(), Ref("A", field="code", on_delete="set_null")]),
         model("C", {"k": Annotated[str, Ref("B", field="k")]})],
        ["B.k", "C.k refers to it", "left dangling", '"restrict"'],
    ),
    "two references of one path": (
        [a(), model("C", {"id": int}),
         b("e", embedded(kind=Literal["a"], to=Annotated[int, Ref("A")])
           | embedded(kind=Literal["c"], to=Annotated[int, Ref("C")]))],
        ["B.e.to", "A.id", "C.id", "names of their own"],
    ),
    "set_null of what never changes": (
        [a(), b("n", Annotated[int | None, Ref("A", on_delete="set_null"), Immutable()])],
        ["B.n", "set_null", "Immutable()", "take one of the two away"],
    ),
    "an update of what never changes": (
        [a(), b("n", Annotated[str, Ref("A", field="code", on_update="cascade"), Immutable()])],
        ["B.n", 'on_update="cascade"', "Immutable()", "take one"],
    ),
    "set_null of an _id": (
        [a(), model("B", {"id": Annotated[int | None, Ref("A", on_delete="set_null")]})],
        ["B._id", "never changes", '"restrict"'],
    ),
    "a cascade to itself": (
        [model("N", {"id": int, "n": Annotated[int, Ref("N", on_delete="cascade")]})], ["N.n has", "cascade", "None"],
    ),
    "a cascade in a circle": (
        [model("P", {"id": int, "q": Annotated[int, Ref("Q", on_delete="cascade")]}),
         model("Q", {"id": int, "p": Annotated[int, Ref("P", on_delete="cascade")]})],
        ["P.q and Q.p have", 'on_delete="cascade"', "`... | None`", "`restrict`"],
    ),
    "keys that follow each other": (
        [model("P", {"id": int, "k": Annotated[str, Unique(), Ref("Q", field="k", on_update="cascade")]}),
         model("Q", {"id": int, "k": Annotated[str, Unique(), Ref("P", field="k", on_update="cascade")]})],
        ["P.k and Q.k have", 'on_update="cascade"', "`restrict`"],
    ),
    "a reference to no model": ([b("n", int)], ["B.a", "refers to A", "add it"]),
    "a reference to an embedded model": (
        [model("B", {"a": Annotated[int, Ref(embedded(s=str))]})], ["B.a", "refers to E", "among the models"],
    ),
    "a reference to another class of that name": (
        [a(), model("B", {"a": Annotated[int, Ref(a())]})], ["B.a", "refers to A", "among the models"],
    ),
    "two models in one collection": (
        [model("P", {"id": int}, collection="c"), model("Q", {"id": int}, collection="c")], ["P and Q", "'c'", "union"],
    ),
    "two models of one name": (
        [model("P", {"id": int}, collection="c"), model("P", {"id": int}, collection="d")], ["called P", "rename one"],
    ),
    "a unique field that is not there": (
        [model("P", {"id": int}, constraints=[Unique("x")])], ["P: Unique('x')", "not declared", "declare it"],
    ),
    "a unique field twice": (
        [model("P", {"x": int}, constraints=[Unique("x", "x")])], ["P: Unique('x', 'x')", "twice", "once"],
    ),
    "a unique array": (
        [model("P", {"x": Annotated[list[int], Unique()]})], ["P.x", "whole array", "list[Annotated[..., Unique()]]"],
    ),
    "a unique array, or a string": (
        [model("P", {"x": Annotated[str | list[str], Unique()]})], ["P.x", "whole array", "field of its own"],
    ),
    "an array in a compound": (
        [model("P", {"x": list[int], "y": int}, constraints=[Unique("x", "y")])], ["P.x", "whole array"],
    ),
    "unique in arrays of arrays": (
        [model("P", {"x": list[list[Annotated[int, Unique()]]]})], ["P.x[][]", "inner arrays", "list of objects"],
    ),
    "a unique element that may be null": (
        [model("P", {"x": list[Annotated[int | None, Unique()]]})], ["P.x[]", "holds null", 'Unique(nulls="equal")'],
    ),
    "a unique field of elements that may be null": (
        [model("P", {"x": several(embedded(a=Annotated[int | None, Unique()]))})], ["P.x[].a may be", "holds null"],
    ),
    "a unique field of elements that may be something else": (
        [model("P", {"x": several(embedded(a=Annotated[int, Unique()]) | str)})], ["P.x[] may be", "holds null"],
    ),
    "a unique field of arrays that may be empty": (
        [model("P", {"x": several(embedded(y=Annotated[list[Annotated[int, Unique()]], Allow([])]))})],
        ["P.x[].y may be", "holds null"],
    ),
    "fields named at a field": (
        [model("P", {"x": Annotated[int, Unique("y")]})], ["P.x", "Unique('y')", "constraints=[Unique(...)]"],
    ),
    "unique values of a mapping": (
        [model("P", {"x": dict[str, Annotated[str, Unique()]]})], ["P.x.*", "mapping", "list"],
    ),
    "unique without case, and no string": (
        [model("P", {"x": Annotated[int, Unique(case_insensitive=True)]})], ["P.x", "an integer", "write Unique()"],
    ),
    "a reference, or an array of them": (
        [a(), model("B", {"r": Annotated[int, Ref("A")] | list[Annotated[int, Ref("A")]]})],
        ["B.r", "A._id", "an array", "list[Annotated[..., Ref(...)]]"],
    ),
    "an array that is a reference": (
        [a(), model("B", {"r": Annotated[list[int], Ref("A")]})], ["B.r", "an array", "mark the elements"],
    ),
    "a reference, or an object": (
        [a(), model("B", {"r": Annotated[int, Ref("A")] | embedded(x=int)})], ["B.r", "an object", "field of its own"],
    ),
    "a reference in a tree": ([a(), model("B", {"t": Leaf})], ["B.t.kids[].a", "contains itself", "of their own"]),
    "a unique value in a tree": ([model("B", {"t": UniqueLeaf})], ["B.t.kids[].a", "contains itself", "of their own"]),
    "a copy in a tree": ([a(), b("t", CopyLeaf)], ["B.t.kids[].n", "contains itself", "of their own"]),
    "two references at one field": (
        [a(), model("C", {"id": int}), model("B", {"a": Annotated[int, Ref("A"), Ref("C")]})],
        ["B.a", "two Ref", "'A'", "'C'", "keep one"],
    ),
    "two references by a union": (
        [a(), model("C", {"id": int}), model("B", {"a": Annotated[int, Ref("A")] | Annotated[str, Ref("C")]})],
        ["B.a", "two Ref", "keep one"],
    ),
    "two revisions": (
        [model("B", {"x": Annotated[int, Revision()], "y": Annotated[int, Revision()]})], ["x and y", "keep one"],
    ),
    "a revision that is no number": ([model("B", {"x": Annotated[str, Revision()]})], ["B.x", "declare it as int"]),
    "a revision of a part": ([model("B", {"e": embedded(x=Annotated[int, Revision()])})], ["B.e.x", "whole document"]),
    "a default that is empty": ([model("B", {"x": str}, {"x": ""})], ["B.x", "''", "empty string", "Allow('')"]),
    "a default that is a placeholder": ([model("B", {"x": str}, {"x": "N/A"})], ["B.x", "placeholder", "... | None"]),
    "a default that is not seen": (
        [model("B", {"e": model("E", {"x": str}, {"x": "\u200b"}, embedded=True)})], ["B.e.x", "visible character"],
    ),
    "a default that is no number": ([model("B", {"x": float}, {"x": float("nan")})], ["B.x", "not a number", "Allow"]),
    "bounds that nothing meets": (
        [model("B", {"x": Annotated[int, Field(gt=5, lt=6)]})], ["B.x", "both gt=5 and lt=6", "change one"],
    ),
    "bounds that meet and leave nothing": (
        [model("B", {"x": list[Annotated[float, Field(ge=5, lt=5)]]})], ["B.x", "both ge=5 and lt=5"],
    ),
    "dates that nothing meets": (
        [model("B", {"x": Annotated[dt.datetime, Field(ge=dt.datetime(2026, 1, 1), lt=dt.datetime(2026, 1, 1, 1,
                                                       tzinfo=dt.timezone(dt.timedelta(hours=2))))]})],
        ["B.x", "no value meets both"],
    ),
    "an integer beyond BSON's": ([model("B", {"x": Annotated[int, Field(gt=2**63 - 1)]})], ["B.x", "64 bits"]),
    "lengths that nothing meets": (
        [model("B", {"x": Annotated[list[int], Field(min_length=3, max_length=2)]})],
        ["B.x", "min_length=3 and max_length=2"],
    ),
    "a default of another type": (
        [model("B", {"x": int}, {"x": "a"})], ["B.x", "'a'", "its own declaration refuses", "a valid integer", "away"],
    ),
    "a default beyond its bounds": (
        [model("B", {"x": Annotated[int, Field(gt=0)]}, {"x": 0})], ["B.x", "0", "greater than 0"],
    ),
    "a default that is no choice": (
        [model("B", {"x": Literal["a"]}, {"x": "b"})], ["B.x", "'b'", "'a'", "valid there"],
    ),
    "a default that is no size": ([model("B", {"x": ByteSize}, {"x": "b"})], ["B.x", "'b'", "byte string"]),
    "a default that is not looked at by pydantic": (
        [model("B", {"x": Annotated[int, Field("a", validate_default=False)]})], ["B.x", "'a'", "a valid integer"],
    ),
    "a default that would be coerced where nothing is": (
        [model("B", {"x": int}, {"x": "5", "model_config": ConfigDict(strict=True)})], ["B.x", "'5'", "valid integer"],
    ),
    "a default with a wrong element": ([model("B", {"x": list[int]}, {"x": [1, "a"]})], ["B.x", "at 1, ", "integer"]),
    "a default with an empty element": (
        [model("B", {"x": list[str]}, {"x": ["a", ""]})], ["B.x", "its 1 is an empty string", "the policy refuses"],
    ),
    "a default that is too short": (
        [model("B", {"x": Annotated[list[int], Field(min_length=2)]}, {"x": [1]})], ["B.x", "[1]", "an array of 1"],
    ),
    "a default with too few names": (
        [model("B", {"x": Annotated[dict[str, int], Field(min_length=2)]}, {"x": {"a": 1}})], ["B.x", "an object of 1"],
    ),
    "a default that is forbidden": (
        [model("B", {"x": Annotated[str, Forbid("a")]}, {"x": "a"})], ["B.x", "'a'", "Forbid(...) names"],
    ),
    "a default of a part": (
        [model("B", {"e": embedded(x=Annotated[int, Field("a")])})], ["B.e.x", "'a'", "a valid integer"],
    ),
    "a default that is a wrong part": (
        [model("B", {"x": NumberLeaf}, {"x": {"a": "b"}})], ["B.x", "at a, ", "a valid integer"],
    ),
    "a default in a tree": ([model("B", {"t": DefaultLeaf})], ["B.t.a", "'b'", "a valid integer"]),
    "a default of null": ([model("B", {"x": str}, {"x": None})], ["B.x", "no null", "... | None"]),
    "Allow of what cannot be there": ([model("B", {"x": Annotated[int, Allow("")]})], ["B.x", "an integer"]),
    "Allow at the list": (
        [model("B", {"x": Annotated[list[str], Allow("")]})], ["B.x", "an array", "list[Annotated[..., Allow('')]]"],
    ),
    "an array as _id": ([model("B", {"id": list[int]})], ["B.id", "an array", "another type"]),
    "a pattern as _id": ([model("B", {"id": Regex})], ["B.id", "a regular expression", "another type"]),
    "two fields of one stored name": (
        [model("B", {"x": Annotated[str, Field(alias="y")], "y": str})], ["B.y", "'y'", "two names"],
    ),
    "a stored name with a dollar": ([model("B", {"x": Annotated[str, Field(alias="$y")]})], ["B.x", "'$y'", "dollar"]),
    "a stored name with a dot": ([model("B", {"x": Annotated[str, Field(alias="y.z")]})], ["B.x", "'y.z'", "no dot"]),
    "an annotation that names nothing": ([model("B", {"x": "Nowhere"})], ["B", "'Nowhere'", "import"]),
    "no collection": ([embedded(x=str)], ["E has no collection", "collection="]),
    "no model": ([], ["no model with a collection"]),
    "no class": ([3], ["3 is no Model class"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_both_sides_and_the_way_out(name: str) -> None:
    models, words = CONTRADICTIONS[name]
    with pytest.raises(DeclarationError) as refused:
        Registry(models)
    text = str(refused.value)
    assert [each for each in words if each not in text] == [], text
    assert text.endswith(".")
    assert "\n" not in text


CLASS_LINES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "a collection with a dollar": ({}, {"collection": "a$b"}, ["'a$b'", "no name for a collection"]),
    "a collection with an empty part": ({}, {"collection": ".a"}, ["'.a'", "no name for a collection"]),
    "a collection of the system's": ({}, {"collection": "system.users"}, ["'system.users'"]),
    "an owner that is everybody": ({}, {"owner": "*"}, ["owner='*'", "name an actor"]),
    "an owner that is empty": ({}, {"owner": ()}, ["owner=()", "name an actor"]),
    "a policy that is none": ({}, {"policy": "strict"}, ["policy='strict'", "Policy(...)"]),
    "a constraint that names nothing": ({}, {"constraints": [Unique()]}, ["constraints=", 'Unique("first", "second")']),
    "a misspelt keyword": ({}, {"colection": "a"}, ["colection=", "collection, owner", "did you mean collection=?"]),
    "a misspelt setting of pydantic's": ({}, {"frozn": True}, ["frozn=", "ConfigDict", "did you mean frozen=?"]),
    "a keyword like no other": ({}, {"zzz": 1}, ["zzz=", "collection, owner, policy, constraints", "take it away."]),
    "unknown fields dropped": ({"model_config": ConfigDict(extra="ignore")}, {}, ['extra="ignore"', 'extra="allow"']),
}


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[int, Field(gt=5, lt=7)],
        Annotated[float, Field(gt=5, lt=6)],
        Annotated[float, Field(ge=5, le=5)],
        Annotated[int, Field(ge=2**63 - 1)],
        Annotated[str, Field(min_length=2, max_length=2)],
    ],
)
def test_bounds_that_one_value_meets_are_let_pass(annotation: Any) -> None:
    assert Registry([model("B", {"x": annotation})])


@pytest.mark.parametrize("name", CLASS_LINES)
def test_a_class_line_that_cannot_be_kept_is_refused_at_once(name: str) -> None:
    body, keywords, words = CLASS_LINES[name]
    with pytest.raises(DeclarationError) as refused:
        model("Thing", {"x": str}, body, **keywords)
    assert [each for each in ["Thing", *words] if each not in str(refused.value)] == [], str(refused.value)


class Tagged:
    def __init_subclass__(cls, *, tag: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.tag = tag  # type: ignore[attr-defined]  # as such classes do


def test_a_keyword_of_another_base_or_of_pydantic_is_let_pass() -> None:
    class Thing(Model, Tagged, collection="things", frozen=True, tag="a"):
        x: int

    assert (Thing.tag, Thing.model_config["frozen"]) == ("a", True)  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("keywords", [{"validation_alias": "y"}, {"serialization_alias": "y"}])
def test_a_field_that_is_read_and_stored_by_two_names_is_refused(keywords: dict[str, str]) -> None:
    with pytest.raises(DeclarationError, match=r"Thing\.x: reads '.' and stores '.'; .*Field\(alias=\.\.\.\)"):
        model("Thing", {"x": Annotated[str, Field(**keywords)]})  # type: ignore[call-overload]  # one of two keywords


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ref(3),  # type: ignore[arg-type]  # what is refused
        lambda: Ref("A", on_delete="delete"),  # type: ignore[arg-type]  # what is refused
        lambda: Ref("A", on_update="set_null"),  # type: ignore[arg-type]  # what is refused
        lambda: Unique(""),
        lambda: Unique(nulls="none"),  # type: ignore[arg-type]  # what is refused
        lambda: CopyOf(3, "a", via="b"),  # type: ignore[arg-type]  # what is refused
        Owner,
        lambda: Owner(""),
        Allow,
        Forbid,
    ],
)
def test_a_marker_that_means_nothing_is_refused_where_it_is_written(make: Any) -> None:
    with pytest.raises(DeclarationError, match=r"\(.*\): .+\."):
        make()


def test_what_only_looks_like_a_contradiction_is_accepted() -> None:
    registry = Registry([
        a(),
        of("Copies", "name", "A", "A"),
        model("CopiesOfCopies", {"id": int, "c": Annotated[int | None, Ref("Copies")],
                                 "name": Annotated[str, CopyOf("Copies", "name", via="c")]}),
        model("Tree", {"id": int, "parent": Annotated[int | None, Ref("Tree", on_delete="cascade")]}),
        model("P", {"id": int, "q": Annotated[int, Ref("Q", on_delete="cascade")]}),
        model("Q", {"id": int, "p": Annotated[int | None, Ref("P", on_delete="cascade")]}),
        model("L", {"a": Annotated[list[Annotated[int, Ref("A", on_delete="set_null")]], Allow([])]}),
        model("N", {"a": Annotated[int, Ref("A", on_delete="set_null")] | None}),
        model("Key", {"id": int, "x": str}, constraints=[Unique("x")]),
        model("K", {"k": Annotated[str, Ref("Key", field="x")]}),
        model("Same", {"e": Annotated[embedded(s=Annotated[str, Owner("x")]), Owner("x")]}),
        model("D", {"s": Annotated[str, Allow("")], "t": Annotated[list[str], Allow([])]}, {"s": "", "t": []}),
        model("Lenient", {"s": str}, {"s": ""}, policy=Policy(allow_empty_strings=True)),
    ])  # fmt: skip
    assert len(registry) == 13
    assert {each.path for each in registry.entry("L").references} == {"a[]"}
    assert [str(each) for each in registry.entry("A").referrers] == ["Copies.r", "L.a[]", "N.a"]


def test_a_registry_takes_classes_modules_and_registries_once_each() -> None:
    module: Any = type(pytest)("some_models")
    module.A, module.E = a(), embedded(x=str)
    registry = Registry([module, module.A, Registry([module])])
    assert [each.__name__ for each in registry.models] == ["A"]
    assert Registry(registry).entry("A").collection == "a"
    with pytest.raises(DeclarationError, match=r"B is not among the models \(A\); add it"):
        registry.entry("B")


def test_a_module_without_models_is_refused() -> None:
    with pytest.raises(DeclarationError, match="The module pytest has no Model"):
        Registry([pytest])


def test_the_via_of_a_copy_is_looked_for_beside_it_first() -> None:
    line = model(
        "Line", {"a": Annotated[int, Ref("A")], "n": Annotated[str, CopyOf("A", "name", via="a")]}, embedded=True
    )
    lines = list.__class_getitem__(line)
    registry = Registry([a(), model("Order", {"a": Annotated[int, Ref("A")], "lines": lines})])
    (copy,) = registry.entry("Order").copies
    assert (copy.path, copy.via.path) == ("lines[].n", "lines[].a")
