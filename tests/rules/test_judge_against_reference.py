"""Whatever is declared and whatever is stored, the judge says what DESIGN says, code by code and path by path."""

from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.declare.registry import Registry
from integrity.rules.judge import Judge
from integrity.rules.walk import Walk
from integrity.store.codecs import CODEC
from tests.rules.generated import DOCUMENTS, spoiled
from tests.rules.reference import Document

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)
GENEROUS = settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))


def through_bson(document: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(bson.encode(document, codec_options=OPTIONS), codec_options=OPTIONS)


def judge_of(declared: Document) -> Judge:
    return Judge(Registry([declared.model]).entry(declared.model))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Document, list[dict[str, Any]]]:
    declared = draw(DOCUMENTS)
    valid = {"_id": draw(st.integers(0, 9)), **draw(declared.valid())}
    found = [valid]
    for _ in range(4):
        document = valid
        for _ in range(draw(st.integers(1, 3))):
            changed = spoiled(draw, document)
            document = {**changed, "_id": 1} if isinstance(changed, dict) else document
        found.append(document)
    return declared, found


def shown(document: dict[str, Any], declared: Document) -> str:
    return f"{document!r}\n{ {name: each.annotation for name, each in declared.annotation.model_fields.items()} }"


@GENEROUS
@given(cases())
def test_a_stored_document_gets_the_verdict_of_the_reference(case: tuple[Document, list[dict[str, Any]]]) -> None:
    declared, documents = case
    judge = judge_of(declared)
    for each in documents:
        document = through_bson(each)
        found = judge.stored(document)
        said = [(one.code, one.path) for one in found]
        assert len(said) == len(set(said)), said
        assert set(said) == declared.faults(document), shown(document, declared)


@GENEROUS
@given(cases())
def test_what_the_fast_path_calls_clean_the_slow_one_calls_clean(case: tuple[Document, list[dict[str, Any]]]) -> None:
    declared, documents = case
    judge = judge_of(declared)
    for each in documents:
        document = through_bson(each)
        if not judge.stored(document):
            judge.entry.stored_validator.validate_python(document)
            walked = Walk(stored=True).object(document, judge.entry.document, (), (), judge.entry.policy)
            assert list(walked) == [], shown(document, declared)


@GENEROUS
@given(cases())
def test_what_a_write_stores_is_clean_and_reads_back_equal(case: tuple[Document, list[dict[str, Any]]]) -> None:
    declared, documents = case
    judge = judge_of(declared)
    for index, each in enumerate(documents):
        verdict = judge.offered(each)
        at_once = judge.clean([each])
        assert at_once is None or not verdict.violations, shown(each, declared)
        if index == 0:
            assert not verdict.violations, shown(each, declared)
        if verdict.violations:
            continue
        document = through_bson(verdict.document)
        assert judge.stored(document) == (), shown(document, declared)
        read = judge.entry.reader.validate_python(document)
        again = judge.offered(read)
        assert not again.violations, shown(document, declared)
        raw = bson.encode(verdict.document, codec_options=OPTIONS)
        assert bson.encode(again.document, codec_options=OPTIONS) == raw
        assert bson.encode(judge.offered(document).document, codec_options=OPTIONS) == raw
