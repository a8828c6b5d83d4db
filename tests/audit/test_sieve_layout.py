"""The columns find every document with a fault, however documents are laid out and whatever page they come in."""

import itertools
import random
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field, create_model

from integrity.audit.sieve.page import Page
from integrity.declare.model import Model
from tests.audit import stored
from tests.audit.stored import ARRAY, BOOL, INT, NULL, OBJECT, OID, ONE, STRING, Sifted, array, document, text

KEY = (INT, b"_id", ONE)
X = text("x")[1]


def numbers(names: Sequence[str], *, required: bool = True, extra: str = "forbid") -> type[Model]:
    """A model whose fields of these names are integers."""
    usual: dict[str, Any] = {} if required else {"default_factory": dict, "validate_default": False}
    fields: dict[str, Any] = {f"f{at}": (int, Field(alias=each, **usual)) for at, each in enumerate(names)}
    create: Any = create_model
    line = {"collection": "numbers", "extra": extra}
    return create("Numbers", __base__=Model, __cls_kwargs__=line, id=(int, Field()), **fields)  # type: ignore[no-any-return]


def filled(names: Sequence[bytes]) -> bytes:
    """A document with a number under each name."""
    return document([KEY, *((INT, each, ONE) for each in names)])


class Item(Model):
    a: int
    b: str | None = None


class Order(Model, collection="orders"):
    id: int
    items: list[Item]
    names: Annotated[list[str], Field(max_length=1001)] | None = None
    grid: list[list[int]] | None = None


def order(**values: stored.Value) -> bytes:
    """An order, with these values beside its items."""
    item = (OBJECT, document([(INT, b"a", ONE)]))
    return document(
        [KEY, *((kind, name.encode(), data) for name, (kind, data) in {"items": array([item]), **values}.items())]
    )


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 22, 23, 24, 100])
def test_a_name_is_told_from_another_by_each_of_its_bytes(size: int) -> None:
    """Whether it is declared to be there, or may be there, or another is; and at the end of a page too."""
    name = "n" * size
    others = [name[:at] + "m" + name[at + 1 :] for at in range(size)] + [name + "n", name[:-1] + "\u00e9"]
    found = [filled([each.encode()]) for each in (*others, *[name[:-1]] * (size > 1))]
    for required in (True, False):
        sifted = Sifted(numbers([name], required=required))
        for each in found:
            assert sifted.suspects([filled([name.encode()]), each]) == [False, True]
        assert sifted.suspects([filled([]), filled([name.encode()])]) == [required, False]
        assert sifted.suspects([filled([name.encode()]), filled([])]) == [False, required]
        assert sifted.suspects([filled([name.encode()]), document([KEY, (BOOL, name.encode(), b"\1")])]) == [
            False,
            True,
        ]
    both = Sifted(numbers([name, *others], required=False))
    assert both.suspects([filled([each.encode()]) for each in [name, *others[:6]]]) == [False] * (1 + len(others[:6]))


def test_a_field_without_a_name_is_no_end_of_a_document() -> None:
    sifted = Sifted(numbers(["a"], extra="allow"))
    with_it = [filled([b"a", b""]), filled([b"", b"a"]), document([(INT, b"", ONE), KEY, (INT, b"a", ONE)])]
    assert sifted.suspects([*with_it, filled([b"a"]), filled([]), filled([b""])]) == [False] * 4 + [True] * 2
    assert sifted.suspects([filled([b""]), filled([b"a"])], reply=False) == [True, False]
    closed = Sifted(numbers(["a"]))
    assert closed.suspects([*with_it, filled([b"a"])]) == [True, True, True, False]


@pytest.mark.parametrize("reply", [True, False])
def test_pages_end_with_whatever_a_document_ends_with(reply: bool) -> None:
    """Words are read at the very end of a page, and nothing beyond it is taken for a part of a document."""

    class Ending(Model, collection="endings"):
        id: int | None = Field(default_factory=int)
        a: bool | None = None
        b: str | None = None
        c: Item | None = None
        d: list[int] | None = None

    sifted = Sifted(Ending)
    clean = [
        document([]), document([KEY]), document([(NULL, b"_id", b"")]), document([(BOOL, b"a", b"\1")]),
        document([KEY, (STRING, b"b", X)]), document([KEY, (OBJECT, b"c", document([(INT, b"a", ONE)]))]),
        document([KEY, (ARRAY, b"d", array([(INT, ONE)])[1])]),
    ]  # fmt: skip
    faulty = [
        document([(BOOL, b"_id", b"\1")]), document([KEY, (STRING, b"b", text("")[1])]), document([(INT, b"a", ONE)]),
        document([KEY, (OBJECT, b"c", document([]))]), document([KEY, (ARRAY, b"d", array([])[1])]),
        document([KEY, (NULL, b"bb", b"")]), document([(NULL, b"", b"")]),
        document([KEY, (ARRAY, b"d", array([(NULL, b"")])[1])]),
    ]  # fmt: skip
    for each, fault in itertools.product(clean, faulty):
        assert sifted.suspects([each], reply=reply) == [False]
        assert sifted.suspects([fault], reply=reply) == [True]
        assert sifted.suspects([fault, each], reply=reply) == [True, False]
        assert sifted.suspects([each, fault], reply=reply) == [False, True]
    assert sifted.suspects([], reply=reply) == []


@pytest.mark.parametrize("many", [1, 9, 10, 11, 12, 99, 100, 101, 102, 999, 1000, 1001, 1200, 10001])
def test_a_reply_says_of_as_many_documents_as_a_stream(many: int) -> None:
    """Each document of a reply has its number before it, which now and then takes a byte more."""
    draw = random.Random(many)
    values = [text("abc"), text("ab" * many), text("-"), (INT, ONE), (NULL, b"")]

    class Named(Model, collection="named"):
        id: int
        v: str

    sifted = Sifted(Named)
    found = [
        document([KEY, (kind, b"v", data)])
        for kind, data in draw.choices(values[:1] if many > 2000 else values, k=many)
    ]
    expected = [bool(sifted.faulty(each)) for each in found]
    assert sifted.suspects(found, reply=True) == sifted.suspects(found, reply=False) == expected


def test_fields_that_may_be_missing_are_one_order() -> None:
    """In every combination, and whatever page the first of them came in."""
    names = ["a", "b", "c", "d", "e"]
    every = [list(each) for size in range(6) for each in itertools.combinations(names, size)]
    found = [filled([each.encode() for each in some]) for some in every]
    for start in (0, 7, 31):
        sifted = Sifted(numbers(names, required=False))
        turned = found[start:] + found[:start]
        assert not any(sifted.suspects(turned))
        assert not any(sifted.suspects(found[::-1]))
        # One more name, and one in another place.
        assert sifted.suspects([*turned, filled([b"z"])]) == [False] * 32 + [True]
        assert not any(sifted.suspects([*turned, filled([b"e", b"a"])]))
    required = Sifted(numbers(names))
    assert required.suspects(found) == [len(each) < 5 for each in every]
    assert required.suspects(found[:-1]) == [True] * 31


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_documents_of_a_model_with_many_fields_of_which_many_are_missing(share: float) -> None:
    """They have one order, as it is declared, and are no suspects: that would be to decode nearly all of them."""
    draw = random.Random(6)
    names = [f"n{at}" for at in range(20)]
    sifted = Sifted(numbers(names, required=False, extra="allow"))
    for _ in range(2):
        page = [filled([*(each.encode() for each in names if draw.random() < share), b"more"]) for _ in range(300)]
        assert not any(sifted.suspects(page))


def test_what_is_required_is_missed_although_no_document_has_had_it() -> None:
    """An order is learned of documents, which may all have the same fault."""
    sifted = Sifted(numbers(["a", "b"]))
    assert sifted.suspects([filled([b"a"])] * 20) == [True] * 20
    assert sifted.suspects([filled([b"a"]), filled([b"a", b"b"]), filled([b"b", b"a"])]) == [True, False, False]
    assert sifted.suspects([filled([]), filled([b"b"])]) == [True, True]


def test_as_many_orders_as_there_are_find_every_fault() -> None:
    """Eight are told apart; of any other, the fields are found all the same, each once and none too few."""
    names = [b"a", b"b", b"c", b"d"]
    orders = list(itertools.permutations(names))
    sifted = Sifted(numbers([each.decode() for each in names]))
    found = [filled(each) for each in orders]
    for page in (found, found[::-1], found):
        assert not any(sifted.suspects(page))
    texts: list[bytes] = []
    for at in range(4):
        texts = [
            document([KEY, *((STRING, n, X) if n == names[at] else (INT, n, ONE) for n in each)]) for each in orders
        ]
        assert all(sifted.suspects(texts))
        assert all(sifted.suspects([filled([n for n in each if n != names[at]]) for each in orders]))
        assert all(sifted.suspects([filled([*each, names[at]]) for each in orders]))
        assert all(sifted.suspects([filled([*each, b"more"]) for each in orders]))
        assert all(sifted.missed(page) == [] for page in ([*texts, *found], [*found, *texts]))
    # A page has both: what is at fault in one is not in the other.
    assert sifted.suspects([found[20], texts[20], found[23], texts[1]]) == [False, True, False, True]
    # Documents that are suspects whatever is learned of them do not keep those behind them from being learned of.
    late = Sifted(numbers([each.decode() for each in names]))
    assert late.suspects([filled([b"a", b"a"])] * 5 + found[:3]) == [True] * 5 + [False] * 3


def test_names_that_only_documents_in_no_order_have_are_learned_of_them() -> None:
    """What is added to a document later stands at its end, in the order in which it was added."""
    draw = random.Random(8)
    names = [b"n%d" % each for each in range(9)]
    for extra in ("forbid", "allow"):
        sifted = Sifted(numbers(["n0", "n1", "n2"], required=False, extra=extra))
        for time in range(6):
            page = [filled(draw.sample(names, draw.randrange(10))) for _ in range(200)]
            assert sifted.missed(page) == []
            assert extra == "forbid" or not any(sifted.suspects(page))
            # A name that stands there twice is no order's, and keeps nobody else from being learned of.
            fresh = [filled(draw.sample([b"z%d" % time, *names], 10)) for _ in range(20)]
            found = sifted.suspects([filled([b"n5", b"n6", b"n5"]), *fresh])
            assert found == [True, *([extra == "forbid"] * 20)]
            # Behind a value of which no length is stored, anything may stand.
            for kind, data in stored.ODD:
                assert sifted.suspects([document([KEY, (INT, b"n7", ONE), (kind, b"n3", data), (STRING, b"n1", X)])])[0]


def test_the_length_of_the_next_document_is_not_taken_for_a_field() -> None:
    """What ends a document is a zero, and then comes a length: of 97 bytes, it reads like the name "a"."""
    sifted = Sifted(numbers(["a", "b"], required=False, extra="allow"))
    for size in (ord("a"), ord("b")):
        page = [filled([b"a"]), filled([b"b"]), filled([b"a", b"b"])]
        sifted.suspects(page)
        filler = b"x" * (size - len(filled([])) - 4 - 3 - 1)
        long = document([KEY, (STRING, b"m", stored.text(filler)[1])])
        assert len(long) == size
        assert not any(sifted.suspects([long, *page, long, long, long]))


def test_the_layout_changes_from_page_to_page() -> None:
    """What was learned of one page is kept, and finds no less in the next."""
    draw = random.Random(3)
    names = [f"n{at}" * (at + 1) for at in range(7)]
    for extra in ("forbid", "allow"):
        sifted = Sifted(numbers(names[:5], required=False, extra=extra))
        for _ in range(60):
            layouts = [draw.sample(names, draw.randrange(8)) for _ in range(draw.choice([1, 2, 10]))]
            page = [filled([each.encode() for each in draw.choice(layouts)]) for _ in range(draw.choice([1, 3, 30]))]
            page = [stored.changed(draw, each) if draw.random() < 0.2 else each for each in page]
            assert sifted.missed(page, reply=draw.random() < 0.5) == []


@pytest.mark.parametrize("many", [399, 400, 401, 1000])
def test_objects_with_very_many_fields(many: int) -> None:
    """Beyond so many they are suspects, and the others beside them are not."""
    sifted = Sifted(numbers(["a"], extra="allow"))
    names = [b"a", *(b"x%d" % each for each in range(many - 2))]
    assert sifted.suspects([filled([b"a"]), filled(names), filled([b"a"])]) == [False, many > 400, False]
    # Two that have little in common are no longer one order where that would be too long.
    others = [b"a", *(b"y%d" % each for each in range(300))]
    assert sifted.suspects([filled(others), filled(names), filled([*others, b"z"])]) == [False, many > 400, False]
    assert sifted.suspects([filled(names[1:]), filled(others[1:])]) == [True, True]


def test_documents_that_are_stored_in_another_order_than_declared() -> None:
    """They have an order too: what it says comes before what is declared."""
    names = [f"n{at}" for at in range(12)]
    sifted = Sifted(numbers(names, required=False))
    turned = [each.encode() for each in reversed(names)]
    page = [filled(turned[-size:]) for size in range(1, 13)]
    for each in page:
        assert sifted.suspects([each]) == [False]
    assert not any(sifted.suspects([*page, filled(turned[::2]), filled(turned[1::3])]))


def test_an_undeclared_value_that_no_length_is_stored_of() -> None:
    """Such a document is a suspect, and what stands around it is not."""
    sifted = Sifted(numbers(["a"], extra="allow", required=False))
    clean = [filled([b"a", b"q"]), filled([b"q"]), document([KEY, (OID, b"o", bytes(12)), (INT, b"a", ONE)])]
    for kind, data in stored.ODD:
        odd = [
            document([KEY, (kind, b"q", data), (INT, b"a", ONE)]),
            document([KEY, (INT, b"a", ONE), (kind, b"q", data)]),
        ]
        told = kind not in {stored.REGEX, stored.POINTER}
        for reply in (True, False):
            found = sifted.suspects([odd[0], *clean, odd[1], *clean], reply=reply)
            assert found[1:4] == found[5:] == [False] * 3
            assert not told or not any(found)
    # What is learned of such a document does not keep those behind it from being learned of.
    regex = document([KEY, (stored.REGEX, b"q", b"x\0\0"), (INT, b"a", ONE)])
    assert Sifted(numbers(["a"], extra="allow")).suspects([regex, *clean[::2]]) == [True, False, False]
    wrong = document([KEY, (stored.REGEX, b"q", b"x\0\0"), (*text("x")[:1], b"a", X)])
    assert sifted.suspects([clean[0], wrong, clean[0]]) == [False, True, False]


def test_names_that_cannot_be_read_are_looked_for_where_they_are_asked_for() -> None:
    """Where any name is let in; where none is, each of them is too much."""
    bad = [filled([b"a", b"\xff"]), filled([b"\xc3", b"a"])]
    good = [filled([b"a", "\u00e9".encode()]), filled([b"a"])]
    assert Sifted(numbers(["a"], extra="allow")).suspects([*bad, *good]) == [True, True, False, False]
    assert Sifted(numbers(["a"], extra="allow"), names=False).suspects([*bad, *good]) == [False] * 4
    assert Sifted(numbers(["a"]), names=False).suspects([*bad, *good]) == [True, True, True, False]


@pytest.mark.parametrize("size", [1, 2, 9, 10, 11, 12, 32, 33, 34, 99, 100, 101, 102, 999, 1000, 1001])
def test_arrays_of_every_length(size: int) -> None:
    """Where many are that long, they are looked through to the end; a fault is found at each place of them."""
    sifted = Sifted(Order)
    clean = order(names=array([text("abc")] * size))
    assert sifted.suspects([clean] * 20) == [False] * 20
    for at in sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size))):
        names = [text("abc")] * size
        names[at] = text("-")
        assert sifted.suspects([clean] * 16 + [order(names=array(names))] + [clean]) == [False] * 16 + [True, False]
        names[at] = (INT, ONE)
        assert sifted.missed([clean, order(names=array(names))]) == []
    longer = order(names=array([text("abc")] * 1002))
    assert sifted.suspects([clean] * 16 + [longer] * 16) == [False] * 16 + [True] * 16


def test_few_long_arrays_are_suspects_and_many_are_not() -> None:
    sifted = Sifted(Order)
    for size in (32, 33, 34, 60):
        names = order(names=array([text("abc")] * size))
        for few in (1, 15, 16, 17):
            found = sifted.suspects([names] * few + [order()])
            assert found == [size > 33 and few < 16] * few + [False]


def test_an_array_is_numbered_from_0() -> None:
    """What is not is for Python: the elements that it reads are all looked at there."""
    sifted = Sifted(Order)
    clean = order(names=array([text("abc")] * 12))
    for names in (
        [b"1"],
        [b"0", b"2"],
        [b"00"],
        [b"0", b"1", b"02"],
        [b"0", b"0"],
        [b""],
        [b"0", b""],
        [b"a"],
        [b"0a"],
    ):
        wrong = order(names=(ARRAY, document((STRING, each, text("abc")[1]) for each in names)))
        assert sifted.suspects([clean, wrong, clean]) == [False, True, False]


def test_arrays_in_arrays_and_objects_in_arrays() -> None:
    """Each array's faults are its own document's."""
    sifted = Sifted(Order)
    draw = random.Random(4)
    one, two = (INT, ONE), stored.value(2)

    def grid(bad: bool) -> stored.Value:
        rows = [array([draw.choice([one, two])] * draw.randrange(1, 13)) for _ in range(draw.randrange(1, 13))]
        if bad:
            rows.insert(
                draw.randrange(len(rows) + 1), draw.choice([array([]), array([one, text("x")]), one, (NULL, b"")])
            )
        return array(rows)

    def items(bad: bool) -> stored.Value:
        some = [
            document([(INT, b"a", ONE), *([(STRING, b"b", X)] * draw.randrange(2))])
            for _ in range(draw.randrange(1, 13))
        ]
        if bad:
            some.insert(draw.randrange(len(some) + 1), draw.choice([document([]), document([(STRING, b"a", X)])]))
        return array([(OBJECT, each) for each in some])

    for _ in range(10):
        bad = [(draw.random() < 0.2, draw.random() < 0.2) for _ in range(40)]
        page = [order(grid=grid(first), items=items(second)) for first, second in bad]
        assert sifted.suspects(page, reply=draw.random() < 0.5) == [first or second for first, second in bad]


def test_objects_deep_inside_one_another() -> None:
    """Each in an order of its own, which the others do not share."""
    inner: Any = int
    create: Any = create_model
    for depth in range(12):
        inner = create(f"At{depth}", __base__=Model, n=(inner, Field()), s=(str | None, Field(default=None)))
    model = create(
        "Outer", __base__=Model, __cls_kwargs__={"collection": "outer"}, id=(int, Field()), n=(inner, Field())
    )
    sifted = Sifted(model)

    def nested(deepest: stored.Value, turned: int, missing: int = -1) -> bytes:
        kind, data = deepest
        for depth in range(12):
            parts = [(kind, b"n", data)] if depth != missing else []
            parts.insert(depth == turned, (STRING, b"s", X))
            kind, data = OBJECT, document(parts)
        return document([KEY, (kind, b"n", data)])

    for turned in range(12):
        page = [
            nested((INT, ONE), 20),
            nested((INT, ONE), turned),
            nested(text("x"), turned),
            nested((INT, ONE), 20, turned),
        ]
        assert sifted.suspects(page) == [False, False, True, True]


def test_what_is_no_bson_is_for_the_one_who_decodes_it() -> None:
    """The columns end in no error, and what Python can read of it and finds at fault is found."""
    draw = random.Random(5)
    sifted = Sifted(Order)
    usual = [order(), order(names=array([text("abc"), text("-")])), order(grid=array([array([(INT, ONE)])]))]
    for _ in range(500):
        page = []
        for each in draw.choices(usual, k=draw.choice([1, 4])):
            broken = bytearray(each)
            for _ in range(draw.choice([0, 1, 1, 3])):
                broken[draw.randrange(4, len(each))] = draw.choice([0, 1, 2, 3, 4, 5, 11, 0x7F, 0x80, 0xFF, 97])
            page.append(bytes(broken))
        assert sifted.missed(page, reply=draw.random() < 0.5) == []


def test_a_page_without_the_end_of_a_name_is_one_of_suspects() -> None:
    """It is no BSON, which the one who decodes it says."""
    assert Sifted(Order).suspects([order()[:-1] + b"\1"]) == [True]


def test_a_page_tells_where_its_documents_begin() -> None:
    found = [filled([b"a"]), document([]), filled([b"a", b"b"])]
    plain, reply = Page(b"".join(found)), Page(stored.numbered(found))
    ends = list(itertools.accumulate(map(len, found)))
    assert plain.starts.tolist() == [0, *ends[:-1]]
    assert reply.starts.tolist() == [3, ends[0] + 6, ends[1] + 9]
    large = [document([KEY, (STRING, b"a", text("x" * size)[1])]) for size in (70_000, 1, 17_000_000, 1)]
    assert (np.diff(Page(b"".join(large)).starts) == [len(each) for each in large[:-1]]).all()
    assert Page(b"").starts.tolist() == Page(stored.numbered([])).starts.tolist() == []
