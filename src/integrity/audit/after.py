"""Reading no earlier state than that of a time, also on a secondary, which may lag behind."""

from __future__ import annotations

from typing import Any

from bson import Timestamp
from pymongo.read_concern import ReadConcern

from integrity.store.port import Store


class After(ReadConcern):
    """What a majority has, when all that was written up to a time is among it: a member waits for that.

    Source: https://www.mongodb.com/docs/manual/core/read-isolation-consistency-recency/#causal-consistency

    Args:
        time: The time, of the cluster's clock.
    """

    def __init__(self, time: Timestamp) -> None:
        super().__init__("majority")
        self._time = time

    @property
    def document(self) -> dict[str, Any]:
        """The read concern as commands carry it."""
        return {**super().document, "afterClusterTime": self._time}


def after(store: Store, time: Timestamp | None) -> Store:
    """Return the same database as it is after a time; as it is read anyway where there is none."""
    return store if time is None else store.with_options(read_concern=After(time))
