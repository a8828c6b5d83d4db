"""For the tests of applications: documents that a model accepts, a database in memory, and fixtures of a real server.

::

    documents    a Hypothesis strategy for the documents of a model
    memory       a guarded database in memory, for quick unit tests
    plugin       pytest's fixtures: a real server, and a database of each test's own

The first two need the extra ``testing``, the fixtures ``embedded``. See docs/how-to/test-your-application.md.
"""

from __future__ import annotations

from integrity.testing.memory import memory
from integrity.testing.strategies import documents

__all__ = ["documents", "memory"]
