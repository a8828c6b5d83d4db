"""What pydantic lets a model say holds for its documents: validators, defaults, aliases, the id."""

import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Decimal128, ObjectId
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    computed_field,
    field_validator,
    model_validator,
)

from integrity.declare.constraint import Allow, Forbid, Ref
from integrity.declare.model import Model
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge
from tests.declare.models import model, of_field


def judge(made: type[Any]) -> Judge:
    return Judge(Registry([made]).entry(made))


def codes(violations: Any) -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in violations]


class Priced(Model, collection="priced"):
    id: int
    name: str
    low: int
    high: int

    @field_validator("name")
    @classmethod
    def _no_shouting(cls, name: str) -> str:
        if name.isupper():
            raise ValueError("do not shout.")
        return name

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: int, info: ValidationInfo) -> int:
        if high < info.data.get("low", high):
            raise ValueError("must not lie below low")
        return high

    @model_validator(mode="after")
    def _not_equal(self) -> "Priced":
        if self.low == self.high:
            raise ValueError("low and high are one")
        return self


GOOD = {"_id": 1, "name": "ann", "low": 1, "high": 2}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"name": "ANN"}, [("SCH005", "name")]),
        ({"high": 0}, [("SCH005", "high")]),
        ({"high": 1}, [("SCH005", "")]),
        ({"name": "", "high": 1}, [("EMP001", "name"), ("SCH005", "")]),
        ({"name": "ANN", "low": 2.0, "zz": 1}, [("SCH005", "name"), ("SCH001", "low"), ("SCH004", "zz")]),
        ({"name": "N/A", "low": None}, [("FRB001", "name"), ("EMP004", "low")]),
    ],
)
def test_validators_of_fields_and_of_the_model_judge_what_is_stored(
    changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert sorted(codes(judge(Priced).stored({**GOOD, **changes}))) == sorted(expected)


def test_validators_judge_what_is_offered_and_an_instance_alike() -> None:
    made = judge(Priced)
    assert made.offered(GOOD).document == GOOD
    assert made.offered(Priced(**GOOD)).document == GOOD
    assert codes(made.offered({**GOOD, "high": 1}).violations) == [("SCH005", "")]
    unchecked = Priced.model_construct(id=1, name="", low="x", high=2)  # type: ignore[arg-type]  # what is refused
    assert set(codes(made.offered(unchecked).violations)) == {("EMP001", "name"), ("SCH001", "low")}


def test_a_validators_words_are_the_message() -> None:
    (violation,) = judge(Priced).stored({**GOOD, "name": "ANN"})
    assert violation.message == "is 'ANN': do not shout."
    assert violation.redacted().message == "is <redacted>: <redacted>."


def test_a_value_is_judged_by_what_its_validator_makes_of_it() -> None:
    made = judge(
        model("Cleaned", {
            "id": int,
            "name": Annotated[str | None, BeforeValidator(lambda each: each or None)],
            "note": Annotated[str, AfterValidator(lambda each: each.strip("-"))],
            "age": int,
        })
    )  # fmt: skip
    fine = {"_id": 1, "name": "", "note": "-a-", "age": 1}
    assert made.offered(fine).document == {"_id": 1, "name": None, "note": "a", "age": 1}
    # ... and also where another field is at fault:
    assert codes(made.offered({**fine, "age": "x"}).violations) == [("SCH001", "age")]
    assert set(codes(made.offered({**fine, "note": "---", "age": "x"}).violations)) == {
        ("EMP001", "note"), ("SCH001", "age"),
    }  # fmt: skip
    # What is stored is judged as it is.
    assert codes(made.stored(fine)) == [("EMP001", "name")]


class Renamed(Model, collection="renamed"):
    id: int
    total: int
    tags: list[str]

    @model_validator(mode="before")
    @classmethod
    def _sum(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "parts" in value:
            value = {**value, "total": sum(value["parts"])}
            del value["parts"]
        return value


def test_a_validator_before_the_model_may_change_the_whole_document() -> None:
    made = judge(Renamed)
    assert made.offered({"_id": 1, "parts": [1, 2], "tags": ["a"]}).document == {"_id": 1, "total": 3, "tags": ["a"]}
    assert codes(made.offered({"_id": 1, "parts": [1], "tags": 3}).violations) == [("SCH001", "tags")]
    assert codes(made.offered({"_id": 1, "parts": [1], "tags": [""]}).violations) == [("EMP001", "tags.0")]


class Counted(Model, collection="counted"):
    model_config = ConfigDict(frozen=True)

    id: int
    words: list[str]
    hidden: str = Field(exclude=True)
    old: str = Field(default="x", deprecated=True)
    count: int = 0
    _cache: str = PrivateAttr(default="secret")

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def shout(self) -> str:
        return self.hidden.upper()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        object.__setattr__(self, "count", len(self.words))


def test_private_computed_excluded_frozen_and_post_init_mean_what_they_say() -> None:
    made = judge(Counted)
    stored = {"_id": 1, "words": ["a", "b"], "hidden": "h", "old": "x", "count": 2}
    assert made.offered({"_id": 1, "words": ["a", "b"], "hidden": "h"}).document == stored
    assert made.offered(Counted(id=1, words=["a", "b"], hidden="h")).document == stored
    assert made.stored(stored) == ()
    assert made.entry.reader.validate_python(stored).count == 2


class Generated(Model, collection="generated"):
    id: int
    first: str = "a"
    second: str = Field(default_factory=lambda: "b")
    third: str = Field(default_factory=lambda data: data["first"] + "c")
    empty: Annotated[list[int], Allow([])] = []  # noqa: RUF012 - pydantic copies it
    wrong: int = Field(default_factory=lambda: "x")  # type: ignore[assignment]  # what is refused


def test_defaults_are_filled_in_and_validated() -> None:
    verdict = judge(Generated).offered({"_id": 1})
    assert codes(verdict.violations) == [("SCH001", "wrong")]
    assert verdict.violations[0].message == "is a string, 'x'; declared as an integer."
    verdict = judge(Generated).offered({"_id": 1, "wrong": "3"})
    assert verdict.document == {"_id": 1, "first": "a", "second": "b", "third": "ac", "empty": [], "wrong": 3}


def _never(_: Any) -> Any:
    raise RuntimeError("called before there is a document")


class Part(BaseModel):
    name: str = Field(default="a", alias="n")


class Sort(enum.Enum):
    UP = "up"


@dataclass
class Piece:
    name: str = "a"


#: A type, its default, and what an insert without it stores.
DEFAULTS: dict[str, tuple[Any, Any, Any]] = {
    "of the type": (int, 5, 5),
    "coerced": (int, "5", 5),
    "a constraint met": (Annotated[str, Field(max_length=2)], "ab", "ab"),
    "null": (Annotated[int | None, Field(gt=3)], None, None),
    "an enum's value": (Sort, "up", "up"),
    "an enum's member": (Sort, Sort.UP, "up"),
    "a size": (ByteSize, "1 MB", 1_000_000),
    "a decimal": (Decimal, "1.5", Decimal128("1.5")),
    "allowed": (Annotated[str, Allow("")], "", ""),
    "a list": (list[int], ["1"], [1]),
    "a tuple": (tuple[int, str], (1, "a"), [1, "a"]),
    "a set": (set[int], {2, 1}, [1, 2]),
    "a model": (Part, Part(), {"n": "a"}),
    "a model by its fields": (Part, {"n": "b"}, {"n": "b"}),
    "a model or null": (Part | None, Part(), {"n": "a"}),
    "models": (list[Part], [Part()], [{"n": "a"}]),
    "models by names": (dict[str, Part], {"x": Part()}, {"x": {"n": "a"}}),
    "a dataclass": (Piece, Piece(), {"name": "a"}),
    "a model that is made": (Part, Field(default_factory=Part), {"n": "a"}),
    "models that are made": (list[Part], Field(default_factory=lambda: [Part()]), [{"n": "a"}]),
    "made of the others": (Part, Field(default_factory=lambda data: Part(n=str(data["id"]))), {"n": "1"}),
    "made into another": (Annotated[int, BeforeValidator(lambda each: int(str(each).rstrip("x")))], "5x", 5),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_is_stored_as_if_it_were_offered(name: str) -> None:
    annotation, default, expected = DEFAULTS[name]
    made = of_field(annotation, {"f": default})
    declared: Any = made.entry.model
    verdict = made.offered({"_id": 1})
    assert (verdict.document, verdict.violations) == ({"_id": 1, "f": expected}, ())
    assert made.offered(declared(id=1)).document == {"_id": 1, "f": expected}
    assert made.stored({"_id": 1, "f": expected}) == ()


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (int, Field(default_factory=lambda: _never(0))),
        (Annotated[int, AfterValidator(_never)], 5),
        (list[Annotated[int, AfterValidator(_never)]], [5]),
        (Annotated[str, Forbid(_never)], "a"),
        (Part | Annotated[int, BeforeValidator(_never)], "x"),
    ],
)
def test_no_function_of_the_users_is_called_for_a_default_before_there_is_a_document(
    annotation: Any, default: Any
) -> None:
    of_field(annotation, {"f": default})


def test_a_stored_document_need_not_have_a_field_that_has_a_default() -> None:
    assert judge(Generated).stored({"_id": 1}) == ()


class Inner(Model):
    id: int
    place: str = Field(alias="ort")


class Outer(Model, collection="outer"):
    id: Annotated[int, Field(alias="_id")]
    name: str = Field(alias="nom")
    inner: Inner
    inners: list[Inner]


def test_an_alias_is_the_stored_name_and_an_embedded_id_stays_id() -> None:
    made = judge(Outer)
    part = {"id": 5, "ort": "x"}
    stored = {"_id": 1, "nom": "n", "inner": part, "inners": [part]}
    assert made.offered(stored).document == stored
    assert made.stored(stored) == ()
    instance = made.entry.reader.validate_python(stored)
    assert (instance.id, instance.name, instance.inner.id, instance.inners[0].place) == (1, "n", 5, "x")
    assert made.offered(instance).document == stored
    assert codes(made.stored({**stored, "inner": {"_id": 5, "ort": ""}})) == [
        ("SCH002", "inner.id"), ("EMP001", "inner.ort"), ("SCH004", "inner._id"),
    ]  # fmt: skip


IDS: dict[str, dict[str, Any]] = {
    "not declared": {"x": int},
    "ObjectId": {"id": ObjectId, "x": int},
    "ObjectId in quotes": {"id": "ObjectId", "x": int},
    "ObjectId annotated": {"id": Annotated[ObjectId, Field(description="key")], "x": int},
    "bson's ObjectId in quotes": {"id": "Annotated[ObjectId, 'key']", "x": int},
}


@pytest.mark.parametrize("name", IDS)
def test_an_object_id_is_generated_as_pymongo_does(name: str) -> None:
    made = judge(model("Thing", IDS[name], {"__module__": __name__}))
    first, second = (made.offered({"x": 1}).document["_id"] for _ in range(2))
    assert isinstance(first, ObjectId)
    assert first != second
    text = str(first)
    assert made.offered({"id": text, "x": 1}).document["_id"] == (text if name == "not declared" else first)


@pytest.mark.parametrize(("annotation", "value"), [(int, 5), (str, "k"), (dict[str, int], {"a": 1})])
def test_an_id_of_another_type_has_to_be_given(annotation: Any, value: Any) -> None:
    made = judge(model("Thing", {"id": annotation, "x": int}))
    assert codes(made.offered({"x": 1}).violations) == [("SCH002", "_id")]
    assert made.offered({"id": value, "x": 1}).document == made.offered({"_id": value, "x": 1}).document


def test_id_and_underscore_id_at_once_are_refused() -> None:
    made = judge(model("Thing", {"id": int, "x": int}))
    assert codes(made.offered({"_id": 1, "id": 2, "x": 1}).violations) == [("SCH004", "id")]


class Stamped(Model):
    created: int


class Named(BaseModel):
    name: str


class Mixed(Stamped, Named, collection="mixed", owner="me"):
    id: int


class Special(Mixed, collection="special"):
    extra: int


def test_mixins_and_inheritance_add_up() -> None:
    made = judge(Special)
    assert set(made.entry.document.fields) == {"_id", "created", "name", "extra"}
    assert (made.entry.owner, made.entry.collection) == (("me",), "special")
    assert codes(made.stored({"_id": 1, "created": 1, "name": "", "extra": 1})) == [("EMP001", "name")]


def test_unknown_fields_are_kept_where_the_model_lets_them_in() -> None:
    made = judge(model("Open", {"x": int}, {"model_config": ConfigDict(extra="allow")}))
    stored = {"_id": 1, "x": 1, "more": [{"": None}]}
    assert made.offered(stored).document == stored
    assert made.stored(stored) == ()


def test_unknown_fields_that_have_a_type_are_judged_by_it() -> None:
    body = {"model_config": ConfigDict(extra="allow")}
    made = judge(model("Open", {"x": int, "__pydantic_extra__": dict[str, str]}, body))
    assert made.stored({"_id": 1, "x": 1, "more": "a"}) == ()
    found = made.stored({"_id": 1, "x": 1, "more": "", "less": 3})
    assert {(each.code, each.path, each.field) for each in found} == {("EMP001", "more", "*"), ("SCH001", "less", "*")}


def test_settings_of_the_model_hold_inside_it() -> None:
    made = judge(model("Strict", {"x": int, "s": str}, {"model_config": ConfigDict(strict=True, str_max_length=3)}))
    assert codes(made.offered({"x": "5", "s": "abcd"}).violations) == [("SCH001", "x"), ("SCH003", "s")]
    assert codes(made.stored({"_id": 1, "x": 5, "s": "abcd"})) == [("SCH003", "s")]


def test_a_text_that_is_stripped_is_judged_by_what_is_left() -> None:
    made = of_field(str, {"model_config": ConfigDict(str_strip_whitespace=True)})
    assert made.offered({"_id": 1, "f": " a "}).document["f"] == "a"
    assert codes(made.offered({"_id": 1, "f": "  "}).violations) == [("EMP001", "f")]
    assert codes(made.stored({"_id": 1, "f": "  "})) == [("EMP002", "f")]


def test_an_object_id_is_its_digits_in_json() -> None:
    class Page(Model, collection="pages"):
        id: ObjectId
        above: Annotated[ObjectId | None, Ref("Page")] = None

    key = ObjectId("65a0000000000000000000ab")
    page = Page(id=key, above=key)
    assert page.model_dump_json() == f'{{"id":"{key}","above":"{key}"}}'
    assert page.model_dump() == {"id": key, "above": key}
    assert Page.model_validate_json(page.model_dump_json()) == page


def test_what_is_declared_for_json_stays() -> None:
    short = PlainSerializer(lambda key: str(key)[-2:], return_type=str, when_used="json")

    class Page(Model, collection="pages"):
        id: Annotated[ObjectId, short, WithJsonSchema({"type": "string"})]

    assert Page(id=ObjectId("65a0000000000000000000ab")).model_dump_json() == '{"id":"ab"}'
    assert Page.model_json_schema()["properties"]["_id"] == {"type": "string", "title": "Id"}
