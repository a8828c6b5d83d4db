"""What a write takes is clean when it is stored, and what is clean when it is stored a write takes."""

# ruff: noqa: DTZ001 - stored dates are read without a zone, and are UTC
import dataclasses
import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson import Code, Decimal128, Int64, ObjectId
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from integrity import Allow, DeclarationError, Forbid, Model, Registry, Unique
from integrity.declare.slot import root
from integrity.rules.judge import Judge
from integrity.server.validator import validator

DAY, MS = dt.datetime(2026, 1, 1), dt.timedelta(milliseconds=1)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


def made(annotation: Any, **config: Any) -> Any:
    base = type("Base", (Model,), {"model_config": config, "__module__": __name__})
    return create_model(
        "Made", __base__=base, __cls_kwargs__={"collection": "made"}, id=(int, ...), x=(annotation, ...)
    )


def judge(annotation: Any, **config: Any) -> Judge:
    model = made(annotation, **config)
    return Judge(Registry([model]).entry(model))


def both(annotation: Any, value: Any, **config: Any) -> tuple[list[str], list[str]]:
    """The codes of a write, and those of an audit."""
    one = judge(annotation, **config)
    document = {"_id": 1, "x": value}
    return [each.code for each in one.offered(document).violations], [each.code for each in one.stored(document)]


class Stripping(BaseModel):
    a: str

    @field_validator("a", mode="before")
    @classmethod
    def strip(cls, value: Any) -> Any:
        return value.strip()


class Ordered(BaseModel):
    a: int
    b: Any = None

    @model_validator(mode="after")
    def ordered(self) -> "Ordered":
        if self.b is not None and self.b < self.a:
            raise ValueError("b is less")
        return self


class Own(BaseModel):
    a: int

    def __init__(self, a: int) -> None:
        super().__init__(a=a)


class Cat(Model):
    kind: str


class Dog(Model):
    kind: str


TAGGED = Annotated[
    Annotated[Cat, Tag("c")] | Annotated[Dog, Tag("d")],
    Discriminator(lambda each: "c" if each["kind"] == "cat" else "d"),
]


@pytest.mark.parametrize(
    ("annotation", "value", "written", "audited"),
    [
        (Stripping, {"a": 1}, ["SCH005"], ["SCH001"]),
        (Ordered, {"a": 1, "b": "x"}, ["SCH005"], ["SCH005"]),
        (Own, {"a": 1, "b": 1}, ["SCH005"], ["SCH004", "SCH005"]),
        (Annotated[str, AfterValidator(lambda value: {}[value])], "x", ["SCH005"], ["SCH005"]),
        (Annotated[Any, Field(min_length=2)], 1, ["SCH005"], ["SCH005"]),
        (Annotated[int, BeforeValidator(lambda value: 1 // value)], 0, ["SCH005"], ["SCH005"]),
        (TAGGED, 1, ["SCH001"], ["SCH001"]),
        (TAGGED, {"n": 1}, ["SCH002", "SCH004"], ["SCH002", "SCH004"]),
    ],
)
def test_a_function_that_fails_refuses_its_value_and_ends_nothing(
    annotation: Any, value: Any, written: list[str], audited: list[str]
) -> None:
    assert both(annotation, value) == (written, audited)


def test_a_function_whose_database_is_away_says_so() -> None:
    def away(value: Any) -> Any:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        judge(Annotated[int, AfterValidator(away)]).stored({"_id": 1, "x": 1})


class StrictParts(BaseModel):
    model_config = ConfigDict(strict=True)
    colour: Colour
    level: Level
    day: dt.date

    @model_validator(mode="after")
    def nothing(self) -> "StrictParts":
        return self


@pytest.mark.parametrize(
    ("annotation", "stored", "read"),
    [
        (Colour, "red", Colour.RED),
        (Level, 1, Level.LOW),
        (dt.date, DAY, DAY.date()),
        (list[dt.date], [DAY], [DAY.date()]),
        (StrictParts, {"colour": "red", "level": 1, "day": DAY},
         StrictParts(colour=Colour.RED, level=Level.LOW, day=DAY.date())),
    ],
)  # fmt: skip
def test_a_strict_model_takes_and_reads_what_it_stores(annotation: Any, stored: Any, read: Any) -> None:
    model = made(annotation, strict=True)
    entry = Registry([model]).entry(model)
    document = {"_id": 1, "x": stored}
    assert Judge(entry).offered(document).document == document
    assert Judge(entry).offered({"_id": 1, "x": read}).document == document
    assert both(annotation, stored, strict=True) == ([], [])
    assert entry.reader.validate_python(document).x == read


def test_a_strict_number_stays_strict() -> None:
    assert both(Level, "1", strict=True) == (["SCH001"], ["SCH001"])


@pytest.mark.parametrize(
    ("bound", "value", "written"),
    [
        ({"gt": DAY}, DAY + MS / 2, ["SCH003"]),
        ({"gt": DAY}, DAY + MS, []),
        ({"ge": DAY + MS / 2}, DAY + MS * 0.9, ["SCH003"]),
        ({"ge": DAY + MS / 2}, DAY + MS, []),
        ({"ge": DAY}, DAY, []),
        ({"gt": DAY - MS / 2, "ge": DAY}, DAY, []),
        ({"gt": dt.datetime(9999, 12, 31, 23, 59, 59, 999999)}, DAY, ["SCH003"]),
    ],
)
def test_a_date_is_judged_as_it_is_stored(bound: Any, value: dt.datetime, written: list[str]) -> None:
    one = judge(Annotated[dt.datetime, Field(**bound)])
    assert [each.code for each in one.offered({"_id": 1, "x": value}).violations] == written
    if not written:
        assert one.stored({"_id": 1, "x": value}) == ()


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[Colour, Forbid(Colour.RED)], "red"),
        (Annotated[Decimal, Forbid(Decimal(1))], Decimal128("1.0")),
        (Annotated[dt.date, Forbid(DAY.date())], DAY),
        (Annotated[dt.datetime, Forbid(DAY)], DAY.replace(tzinfo=dt.UTC)),
        (Annotated[dt.datetime, Forbid(DAY.replace(tzinfo=dt.UTC))], DAY),
        (Annotated[dt.datetime, Forbid(DAY)], DAY + MS / 2),
    ],
)
def test_a_forbidden_value_is_forbidden_as_it_is_stored(annotation: Any, value: Any) -> None:
    assert [each.code for each in judge(annotation).offered({"_id": 1, "x": value}).violations] == ["FRB002"]


def test_an_allowed_decimal_is_allowed_as_it_is_stored() -> None:
    assert both(Annotated[Decimal, Allow(Decimal("NaN")), Field(allow_inf_nan=True)], Decimal128("NaN")) == ([], [])


def test_typing_does_not_take_true_for_one() -> None:
    assert both(Annotated[Any, Forbid(1)], 1) == (["FRB002"], ["FRB002"])
    yes = True
    assert both(Annotated[Any, Forbid(yes)], 1) == ([], [])


@pytest.mark.parametrize(
    ("annotation", "value", "config"),
    [
        (Annotated[str, Field(pattern="^[a-z]+$")], "ABC", {"str_to_lower": True}),
        (Decimal, "inf", {}),
        (Cat, {1: 1}, {}),
        (set[Any], [Decimal128("1")], {}),
        (Annotated[int, Field(ge=2)], 1, {"validate_by_name": True, "validate_by_alias": False}),
        (dt.datetime, DAY, {}),
    ],
)
def test_the_write_and_the_audit_agree(annotation: Any, value: Any, config: Any) -> None:
    written, audited = both(annotation, value, **config)
    assert bool(written) == bool(audited)


@pytest.mark.parametrize("name", [{}, {"validate_by_name": True, "validate_by_alias": False}])
def test_a_stored_document_is_read_by_its_stored_names(name: Any) -> None:
    model = made(int, **name)
    assert Registry([model]).entry(model).reader.validate_python({"_id": 1, "x": 2}).x == 2


def test_numbers_are_dates_in_the_unit_of_the_model() -> None:
    found = judge(dt.datetime, val_temporal_unit="milliseconds").offered({"_id": 1, "x": 1})
    assert found.document["x"].replace(tzinfo=None) == dt.datetime(1970, 1, 1) + MS


def test_one_field_keeps_the_regex_engine_of_its_model() -> None:
    model = made(Annotated[str, Field(pattern="^(?!x)")], regex_engine="python-re")
    entry = Registry([model]).entry(model)
    one = Judge(root(entry).child("x", entry.document).judged)
    assert [each.code for each in one.offered({"value": None}).violations] == ["EMP004"]


def test_the_servers_bound_is_the_decimal_that_pydantic_reads() -> None:
    model = made(Annotated[Decimal, Field(ge=0.1)])
    bound = validator(Registry([model]).entry(model))["$jsonSchema"]["properties"]["x"]["minimum"]
    assert bound == Decimal128("0.1")


def test_the_server_knows_code_with_a_scope() -> None:
    model = made(Code)
    types = validator(Registry([model]).entry(model))["$jsonSchema"]["properties"]["x"]["bsonType"]
    assert types == ["javascript", "javascriptWithScope"]


class Camel(Model, collection="camels"):
    model_config = ConfigDict(alias_generator=to_camel)
    id: int
    two_humps: int


def test_an_alias_generator_does_not_name_the_key() -> None:
    entry = Registry([Camel]).entry(Camel)
    assert list(entry.document.fields) == ["_id", "twoHumps"]
    for offered in ({"_id": 1, "twoHumps": 2}, {"id": 1, "twoHumps": 2}, Camel(id=1, twoHumps=2)):
        assert Judge(entry).offered(offered).document == {"_id": 1, "twoHumps": 2}


@dataclasses.dataclass
class Later:
    a: int
    b: int = dataclasses.field(init=False, default=5)


@dataclasses.dataclass
class Passing:
    a: int
    b: dataclasses.InitVar[int] = 0


@pytest.mark.parametrize("cls", [Later, Passing])
def test_a_field_that_cannot_be_read_again_is_refused(cls: type) -> None:
    with pytest.raises(DeclarationError, match=rf"{cls.__name__}\.b: .*declare a plain field"):
        judge(cls)


def test_an_id_whose_default_is_none_is_refused() -> None:
    class Tutorial(Model, collection="tutorials"):
        id: ObjectId | None = Field(default=None, alias="_id")

    with pytest.raises(DeclarationError, match=r"Tutorial\.id has the default None.*declare id: ObjectId"):
        Registry([Tutorial])


def test_an_id_that_is_stored_under_another_name_is_refused() -> None:
    class Renamed(Model, collection="renamed"):
        id: int = Field(alias="key")

    with pytest.raises(DeclarationError, match=r"Renamed\.id is stored as 'key'"):
        Registry([Renamed])


def test_a_marker_without_its_parentheses_is_told() -> None:
    with pytest.raises(DeclarationError, match="without its parentheses"):

        class Bare(Model, collection="bare"):
            x: Annotated[str, Unique]


class Once(Model, collection="once"):
    id: int
    many: Annotated[list[str], Allow([])]
    inner: list[list[int]] = Field(default_factory=lambda: [[1]])
    either: int | str = 1


def test_what_can_be_read_only_once_is_not_judged_and_then_stored_as_nothing() -> None:
    judge = Judge(Registry([Once]).entry(Once))
    for given in ({"many": (each for each in ["a", "N/A"])}, {"many": iter(["a"]), "either": "x"}):
        (violation,) = judge.offered({"_id": 1, **given}).violations
        assert (violation.code, violation.path) == ("SCH001", "many")
        assert (
            "can be read only once, as a generator can. Hint: Give a list."
            in f"{violation.message} Hint: {violation.hint}"
        )
    (violation,) = judge.offered({"_id": 1, "many": [], "inner": [[1], map(int, "1")]}).violations
    assert (violation.path, violation.field) == ("inner.1", "inner[]")
    # In a bulk, another document may have been what was refused.
    several: list[dict[str, Any]] = [{"_id": 1, "many": iter(["a"])}, {"_id": 2, "many": [""]}]
    assert judge.clean(several) is None
    assert [bool(judge.offered(each).violations) for each in several] == [True, True]


class Number(Model, collection="numbers"):
    id: int
    first: float | int
    many: list[float | int | str]
    none: float | int | None = None


def test_a_stored_long_is_no_float_where_both_are_declared() -> None:
    entry = Registry([Number]).entry(Number)
    long = 2**63 - 1
    stored = {"_id": 1, "first": Int64(long), "many": [Int64(long), 1.5, "a"], "none": Int64(long)}
    assert Judge(entry).stored(stored) == ()
    offered = Judge(entry).offered(stored).document
    read = entry.reader.validate_python(stored)
    for found in ([offered["first"], *offered["many"], offered["none"]], [read.first, *read.many, read.none]):
        assert found == [long, long, 1.5, "a", long]
        assert [type(each) for each in found] == [int, int, float, str, int]
