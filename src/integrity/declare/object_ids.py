"""New ObjectIds, many at once: made one by one, they take as long as all checks of a document."""

from __future__ import annotations

import struct
import time

from bson import ObjectId

_HEAD = struct.Struct(">I5s").pack
#: How many values the counter of an ObjectId has: https://www.mongodb.com/docs/manual/reference/bson-types/#objectid
_VALUES = 1 << 24


def object_ids(count: int) -> list[ObjectId]:
    """Return new ObjectIds in ascending order, as so many calls of ``ObjectId()`` make them.

    They are taken from the driver's own counter, under its lock, so that they are unique beside those that the driver
    makes itself, and ordered with them. The counter is no public name of the driver's: where a release has another,
    it is asked for one after the other.

    Args:
        count: How many.
    """
    try:
        with ObjectId._inc_lock:  # noqa: SLF001 - what is said above
            first = ObjectId._inc  # noqa: SLF001
            ObjectId._inc = (first + count) % _VALUES  # noqa: SLF001
        head = int.from_bytes(_HEAD(int(time.time()), ObjectId._random()), "big") * _VALUES  # noqa: SLF001
    except (AttributeError, TypeError):
        return [ObjectId() for _ in range(count)]
    if first + count > _VALUES:  # the counter begins again, at zero
        return [ObjectId((head + number % _VALUES).to_bytes(12, "big")) for number in range(first, first + count)]
    return [ObjectId(number.to_bytes(12, "big")) for number in range(head + first, head + first + count)]
