"""Judging documents in other processes, where computing would hold up an event loop.

What ``insert_many`` judges in a loop it judges in pieces, with a pause after each. Where validating one document is
work - a validator that parses, hashes, compares - a piece is still too long. Threads hardly help, since they share
the interpreter's lock. So documents go to a process pool, and come back as the BSON that is sent: the loop neither
validates nor encodes.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import lru_cache
from pickle import PicklingError
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from pydantic import BaseModel

from integrity.declare.entry import Entry
from integrity.declare.model import Model
from integrity.declare.policy import Policy
from integrity.declare.registry import Registry
from integrity.rules.judge import Judge, Verdict
from integrity.store.codecs import CODEC

#: From how many documents on the way to another process is worth it.
FEW = 100
#: Documents sent to a process at once, so that the processes share what is judged together.
SENT = 250

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(**CODEC)


class Encoded(NamedTuple):
    """A document that is clean, as it is stored.

    Args:
        id: Its ``_id``.
        raw: The document, as BSON.
    """

    id: Any
    raw: bytes


async def judged(
    executor: Executor, entry: Entry, documents: Sequence[Mapping[str, Any] | BaseModel]
) -> list[Encoded | Verdict] | None:
    """Judge documents by the rules that need no database, in the processes of an executor.

    Args:
        executor: A ``ProcessPoolExecutor``, or another that pickles what it is given.
        entry: The model's entry.
        documents: Mappings, or instances of the model.

    Returns:
        For each, in their order, what is stored, or what is wrong with it. None where the processes cannot do it,
        after a warning that says why: then it is to be done here.
    """
    model = entry.model
    if not _importable(model):
        _warn(f"other processes cannot import {entry.name}; define it at the top of a module that is imported by name")
        return None
    loop = asyncio.get_running_loop()
    name = (model.__module__, model.__qualname__, entry.policy)
    try:
        replies = [
            loop.run_in_executor(executor, judge_here, *name, documents[start : start + SENT])
            for start in range(0, len(documents), SENT)
        ]
        found = [each for reply in await asyncio.gather(*replies) for each in reply]
    except (BrokenExecutor, RuntimeError) as error:  # a process was killed; the executor was shut down
        _warn(f"the executor is broken ({error})")
        return None
    except ImportError as error:
        _warn(f"other processes cannot import {entry.name} ({error})")
        return None
    except (PicklingError, TypeError, AttributeError) as error:  # a pickler's words for what it cannot pickle
        _warn(f"a document cannot be sent to another process ({error})")
        return None
    return found


def judge_here(
    module: str, name: str, policy: Policy, documents: Sequence[Mapping[str, Any] | BaseModel]
) -> list[Encoded | Verdict]:
    """Judge documents: what runs in the other process.

    Args:
        module: The name of the model's module.
        name: The model's name in it.
        policy: The policy in force.
        documents: What is offered.
    """
    judge = _judge(module, name, policy)
    return [_encoded(judge.offered(each)) for each in documents]


def _encoded(verdict: Verdict) -> Encoded | Verdict:
    if verdict.violations:
        return verdict
    try:
        return Encoded(verdict.document.get("_id"), bson.encode(verdict.document, codec_options=OPTIONS))
    except (BSONError, OverflowError, UnicodeError):
        return verdict  # the driver says what is wrong with it


@lru_cache
def _judge(module: str, name: str, policy: Policy) -> Judge:
    """Return the judge of a model, made once a process."""
    model: type[Model] = getattr(importlib.import_module(module), name)
    return Judge(Registry([model], policy=policy).entry(model))


def _importable(model: type[Model]) -> bool:
    """Whether another process finds the same class under its name."""
    module = sys.modules.get(model.__module__)
    return model.__module__ != "__main__" and getattr(module, model.__qualname__, None) is model


def _warn(why: str) -> None:
    warnings.warn(f"Documents are judged in the event loop: {why}.", RuntimeWarning, stacklevel=3)
