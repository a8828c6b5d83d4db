"""Bad writes, as data: what an application tries, and the code of the rule that must refuse it.

Every entry is one call. It is made on a database with the documents of `models.start`, and must be refused with the
expected code and leave every byte of every collection as it was. benchmarks/bench_bad_writes.py makes the same calls
with other mappers and counts what they store.
"""

from tests.writes.catalogue import deletes, inserts, replaces, updates
from tests.writes.catalogue.entry import Bad

CATALOGUE: tuple[Bad, ...] = (*inserts.ENTRIES, *replaces.ENTRIES, *updates.ENTRIES, *deletes.ENTRIES)

__all__ = ["CATALOGUE", "Bad"]
