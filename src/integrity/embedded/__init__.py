"""A MongoDB server of one's own, for tests, demos and trying things out.

`Mongod` finds a `mongod`, runs it on the loopback interface as a replica set (so that
transactions and change streams work) and takes it down again, whatever happens to the program::

    from integrity.embedded import Mongod

    with Mongod() as server:
        client = pymongo.MongoClient(server.uri)
"""

from integrity.embedded.errors import MongodFailed, MongodNotFound
from integrity.embedded.process import Member
from integrity.embedded.server import Mongod

__all__ = ["Member", "Mongod", "MongodFailed", "MongodNotFound"]
