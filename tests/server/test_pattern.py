"""A translated pattern never says no where pydantic says yes; a narrow one never yes where Python says no."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import SchemaError
from pymongo import MongoClient
from pymongo.collection import Collection

from integrity.server.pattern import translate

ATOMS = st.sampled_from([
    "a", "b", "-", "é", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", "[ab]", "[^a]", r"[\d-]", r"[^\w]", "[a-c_.]",
    r"\.", r"\n", "(a|b)", "(?:ab)", "(a)", "^", "$", r"\x61",
])  # fmt: skip
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}", "+?"])
SEQUENCES = st.lists(st.tuples(ATOMS, QUANTIFIERS).map("".join), min_size=1, max_size=4).map("".join)
GROUPED = st.tuples(SEQUENCES, QUANTIFIERS).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
PATTERNS = (
    st.lists(st.one_of(SEQUENCES, GROUPED), min_size=1, max_size=2)
    .map("|".join)
    .flatmap(lambda body: st.sampled_from([body, f"^{body}$", f"^(?:{body})$"]))
)
TEXTS = st.lists(
    st.text(alphabet="aabbcé-_.\n\r \x1c\x85٣²\u2003\u212a😀1", max_size=6), min_size=20, max_size=20, unique=True
)


@pytest.fixture
def texts(client: MongoClient[dict[str, Any]], database_name: str) -> Collection[dict[str, Any]]:
    return client[database_name].texts


def matched(texts: Collection[dict[str, Any]], given_texts: list[str], pattern: str) -> set[str]:
    texts.delete_many({})
    texts.insert_many([{"t": each} for each in given_texts])
    return {each["t"] for each in texts.find({"$jsonSchema": {"properties": {"t": {"pattern": pattern}}}})}


def takes(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(pattern=PATTERNS, given_texts=TEXTS)
def test_what_rust_matches_the_server_matches(
    texts: Collection[dict[str, Any]], pattern: str, given_texts: list[str]
) -> None:
    try:
        adapter: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern=pattern)])
    except SchemaError:
        assume(False)  # noqa: FBT003 - hypothesis's signature
        return
    translated = translate(pattern, "rust")
    assume(translated is not None)
    assert translated is not None
    taken = {each for each in given_texts if takes(adapter, each)}
    assert taken <= matched(texts, given_texts, translated.pattern)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(pattern=PATTERNS, given_texts=TEXTS, wide=st.booleans())
def test_pythons_matches_lie_between_the_narrow_and_the_wide_translation(
    texts: Collection[dict[str, Any]], pattern: str, given_texts: list[str], wide: bool
) -> None:
    translated = translate(pattern, "python", wide=wide)
    assume(translated is not None)
    assert translated is not None
    taken = {each for each in given_texts if re.search(pattern, each)}
    server = matched(texts, given_texts, translated.pattern)
    assert taken <= server if wide else server <= taken


def test_a_pattern_without_classes_of_unicode_is_translated_exactly(texts: Collection[dict[str, Any]]) -> None:
    pattern = r"^[A-Z]{2}-[0-9]+(\.[0-9]{1,2})?$"
    given_texts = ["AB-1", "AB-12.50", "AB-12.500", "ab-1", "AB-", "AB-1\n", "xAB-1"]
    translated = translate(pattern, "rust")
    assert translated is not None
    assert matched(texts, given_texts, translated.pattern) == {"AB-1", "AB-12.50"}


@pytest.mark.parametrize(
    "pattern",
    [
     r"\bfoo", "(?i)a", "(?x) a", r"\p{L}", "[[:alpha:]]", "[a&&b]", "a(?=b)", r"(a)\1",
     "(a+)+", "(a|a)*", "a**", "a{2",
     "(?:a|ab)+", "(?:a?b?)*", "x{100000}"],
)  # fmt: skip
def test_what_means_something_else_or_never_ends_is_left_out(pattern: str) -> None:
    assert translate(pattern, "rust") is None


def test_the_servers_pcre_gives_up_on_repeated_groups_which_is_why_they_are_not_trusted_for_long_texts(
    texts: Collection[dict[str, Any]],
) -> None:
    translated = translate("^(?:ab)*$", "rust")
    assert translated is not None
    assert translated.trusted is not None
    short, long = "ab" * (translated.trusted // 2), "ab" * 500_000
    assert matched(texts, [short], translated.pattern) == {short}
    assert matched(texts, [long], translated.pattern) == set()
