"""The rules that need other documents: references and copies, of a batch of documents at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from integrity.audit.keys import Keys
from integrity.declare.equality import key, same
from integrity.declare.extract import ABSENT, Path, value_at, values_at
from integrity.declare.registry import Copy, Entry, Reference
from integrity.errors import AuditError, IntegrityError
from integrity.rules.derivation import derivations
from integrity.rules.judge import Judge, dotted
from integrity.rules.ownership import stale_copy
from integrity.rules.reference import dangling, wrong_key_type
from integrity.rules.rule import At
from integrity.store.port import Document, Store
from integrity.violation import Violation, quote


class Unjudged(AuditError):
    """A document whose validator ends in an error that says nothing of a value: one sentence without its beginning."""


class Facts:
    """Judges the documents of one collection by all rules but uniqueness.

    Args:
        store: The database.
        entry: The model's entry.
        references: The references that are judged; None for all of them.
        copies: The copies that are judged, each with its reference among `references`; None for all of them.
    """

    def __init__(
        self,
        store: Store,
        entry: Entry,
        *,
        references: Sequence[Reference] | None = None,
        copies: Sequence[Copy] | None = None,
    ) -> None:
        self.entry = entry
        self._judge = Judge(entry)
        self._references = entry.references if references is None else references
        self._copies = entry.copies if copies is None else copies
        self._keys: dict[tuple[str, str], Keys] = {}
        for each in self._references:
            at = (each.target.collection, each.field)
            self._keys.setdefault(at, Keys(store, each.target, each.field))

    async def judge(
        self, documents: list[Document], *, again: bool = False, session: Any = None
    ) -> list[list[Violation]]:
        """Return each document's violations, once a path: EMP and FRB, SCH, REF, OWN.

        Args:
            documents: Stored documents.
            again: Look up every key anew: this is a second reading.
            session: The session of a transaction to look up in.

        Raises:
            Unjudged: A validator of the model does not tell.
        """
        found = [self._by_itself(each) for each in documents]
        if not self._references:
            return found
        faulty = [faults(each) for each in found]
        uses = {
            each: [list(_uses(each, document, bad)) for document, bad in zip(documents, faulty, strict=True)]
            for each in self._references
        }
        await self._learn(
            {each: [value for many in used for _, value in many] for each, used in uses.items()},
            again=again,
            session=session,
        )
        missing = {
            each: {key(value): value for many in used for _, value in many if not self._of(each).exists(value)}
            for each, used in uses.items()
        }
        # What is written alike in another BSON type is looked for only where a key is missing.
        others = {
            each: [other for value in values.values() for other in wrong_key_type.alternatives(value)]
            for each, values in missing.items()
        }
        await self._learn(others, again=again, session=session)
        for reference, used in uses.items():
            for index, many in enumerate(used):
                for path, value in many:
                    if key(value) in missing[reference]:
                        found[index].append(self._missing(reference, documents[index], path, value))
                        faulty[index].add(dotted(path))
        for copy in self._copies:
            for index, document in enumerate(documents):
                found[index] += self._stale(copy, document, faulty[index])
        return found

    def _by_itself(self, document: Document) -> list[Violation]:
        try:
            own = list(self._judge.stored(document))
            return [*own, *self._miscomputed(document, faults(own))]
        except IntegrityError:
            raise
        except Exception as error:
            raise Unjudged(
                f"a validator of {self.entry.name} raised {type(error).__name__}"
                f"{f' ({error})' if str(error) else ''} over the document {quote(document.get('_id'))}, which says "
                "nothing of the value; mend it, or let it raise ValueError where the value is at fault."
            ) from error

    def _miscomputed(self, document: Document, faulty: set[str]) -> Iterator[Violation]:
        """Yield the derived values that differ from what is computed."""
        for each in derivations(self.entry, document) if self.entry.derived else ():
            if not each.agrees and not touched(each.path, faulty):
                yield each.violation(self.entry.collection, document)

    def _of(self, reference: Reference) -> Keys:
        return self._keys[reference.target.collection, reference.field]

    async def _learn(self, values: dict[Reference, list[Any]], *, again: bool, session: Any) -> None:
        """Look up the keys of all references; those to one field together."""
        together: dict[Keys, list[Any]] = {}
        for reference, some in values.items():
            together.setdefault(self._of(reference), []).extend(some)
        for keys, all_of_them in together.items():
            await keys.learn(all_of_them, again=again, session=session)

    def _missing(self, reference: Reference, document: Document, path: Path, value: Any) -> Violation:
        keys = self._of(reference)
        at = At(self.entry.collection, document.get("_id"), dotted(path), reference.path)
        for other in wrong_key_type.alternatives(value):
            if keys.exists(other):
                return wrong_key_type.RULE.violation(at, wrong_key_type.fault(value, keys.name, other))
        return dangling.RULE.violation(at, dangling.fault(value, keys.name))

    def _stale(self, copy: Copy, document: Document, faulty: set[str]) -> Iterator[Violation]:
        """Yield the copies that differ from an owner that exists."""
        keys = self._of(copy.via)
        owner = f"{copy.via.target.collection}.{copy.field}"
        for path, value, via_path, via in copied(copy, document):
            # A copy follows its reference: where that is at fault, there is nothing to compare with.
            if via is None or via is ABSENT or touched(via_path, faulty) or touched(path, faulty):
                continue
            if not keys.exists(via):
                continue
            original = keys.original(via, copy.field)
            stored = None if value is ABSENT else value
            if not same(stored, original):
                at = At(self.entry.collection, document.get("_id"), dotted(path), copy.path)
                yield stale_copy.RULE.violation(at, stale_copy.fault(stored, original, owner))


def copied(copy: Copy, document: Document) -> Iterator[tuple[Path, Any, Path, Any]]:
    """Yield the path and value of each copy in `document`, and those of the reference that it follows.

    A value that is not there is `ABSENT`; where the object that would hold the copy is not there, nothing is
    yielded.
    """
    steps, via = copy.place.steps, copy.via.place.steps
    shared = 0
    while shared < min(len(steps), len(via)) - 1 and steps[shared] == via[shared]:
        shared += 1
    for path, container in values_at(document, steps[:shared]):
        reference = value_at(container, via[shared:])
        for parent_path, parent in values_at(container, steps[shared:-1], path):
            if steps[-1] in {"[]", "*"}:
                found = list(values_at(parent, steps[-1:], parent_path))
            elif isinstance(parent, dict):
                found = [((*parent_path, steps[-1]), parent.get(steps[-1], ABSENT))]
            else:
                found = []
            for each, value in found:
                yield each, value, (*path, *via[shared:]), reference


def _uses(reference: Reference, document: Document, faulty: set[str]) -> Iterator[tuple[Path, Any]]:
    for path, value in values_at(document, reference.place.steps):
        if value is not None and not touched(path, faulty):
            yield path, value


def faults(violations: list[Violation]) -> set[str]:
    """Return the paths at which something has been reported."""
    return {each.path for each in violations if each.path}


def touched(path: Path, faulty: set[str]) -> bool:
    """Whether the value at `path`, or one that holds it, has been reported already."""
    return bool(faulty) and any(dotted(path[:end]) in faulty for end in range(1, len(path) + 1))
