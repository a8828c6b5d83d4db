"""Judging documents without holding up an event loop: inline, in pieces, or in other processes.

Validating 50,000 documents in a loop stalls it for a third of a second. Threads hardly help, since they share the
interpreter's lock. So a few are judged inline; more in pieces, with a pause after each (what ``insert_many`` does by
itself); very many in a process pool, which is sent raw BSON: encoding costs a third of what validating does, and what
comes back is BSON again.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from typing import Any

import bson
from bson.codec_options import CodecOptions
from pydantic import BaseModel

from integrity.declare import codec
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge, Verdict
from integrity.store.port import CODEC
from integrity.violation import Violation

#: Documents judged without a pause: 1 to 30 ms, by their size.
PIECE = 100
#: Documents sent to a process at once: encoding them stalls the loop for 2 to 4 ms.
SENT = 500
#: From how many on another process is worth the way there.
MANY = 2000

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)


async def judge(
    models: str,
    collection: str,
    documents: Iterable[Mapping[str, Any] | BaseModel],
    executor: Executor | None = None,
) -> list[Verdict]:
    """Judge documents by the rules that need no database, without holding up the running loop.

    References, uniqueness and ownership are not judged: they are what the write itself looks at.

    Args:
        models: The dotted name of the module with the models, which the other processes import.
        collection: The name of the collection that the documents are for.
        documents: Mappings, or instances of the model.
        executor: A ``ProcessPoolExecutor`` for `MANY` documents or more; None: never.

    Returns:
        A verdict for each, in their order: the document as it would be stored, and what is wrong with it.
    """
    offered = list(documents)
    if executor is None or len(offered) < MANY:
        judges = judge_of(models, collection)
        verdicts: list[Verdict] = []
        for start in range(0, len(offered), PIECE):
            verdicts += [judges.offered(each) for each in offered[start : start + PIECE]]
            await asyncio.sleep(0)
        return verdicts
    loop = asyncio.get_running_loop()
    under_way = []
    for start in range(0, len(offered), SENT):
        raw = [bson.encode(_plain(each), codec_options=OPTIONS) for each in offered[start : start + SENT]]
        under_way.append(loop.run_in_executor(executor, judge_raw, models, collection, raw))
        await asyncio.sleep(0)
    made: list[Verdict] = []
    for reply in await asyncio.gather(*under_way):
        for start in range(0, len(reply), PIECE):
            made += [Verdict(bson.decode(raw, OPTIONS), found) for raw, found in reply[start : start + PIECE]]
            await asyncio.sleep(0)
    return made


def judge_raw(models: str, collection: str, raw: Sequence[bytes]) -> list[tuple[bytes, tuple[Violation, ...]]]:
    """Judge raw BSON documents; what runs in the other process, and returns as little as it was given."""
    judges = judge_of(models, collection)
    verdicts = [judges.offered(bson.decode(each, OPTIONS)) for each in raw]
    # What is refused may be what BSON cannot hold once it is coerced: it returns as it came.
    return [
        (bson.encode(each.document, codec_options=OPTIONS) if not each.violations else given, each.violations)
        for each, given in zip(verdicts, raw, strict=True)
    ]


@lru_cache
def judge_of(models: str, collection: str) -> Judge:
    """Return the judge of a collection, made once a process.

    Raises:
        LookupError: No model of the module has this collection.
    """
    entry = Registry(importlib.import_module(models)).by_collection(collection)
    if entry is None:
        raise LookupError(f"{models} has no model with the collection {collection}.")
    return Judge(entry)


def _plain(document: Mapping[str, Any] | BaseModel) -> dict[str, Any]:
    return document if type(document) is dict else codec.plain(document)
