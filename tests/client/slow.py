"""Slow commands, by the server's own fail point, for one application name only."""

from typing import Any

from pymongo import MongoClient

#: Each client watches each server over two connections more: one waits for news, one measures the way.
MONITORS = 2


class Slow:
    """The server blocks an application's ``find`` and ``insert``, each on its own connection, without computing.

    Args:
        client: Sets the fail point.
        application: Whose commands are slow; the ``application_name`` of the pool under test.
    """

    def __init__(self, client: MongoClient[dict[str, Any]], application: str) -> None:
        self.client = client
        self.application = application

    def start(self, seconds: float, commands: tuple[str, ...] = ("find", "insert")) -> None:
        """Make the commands take so long."""
        data = {
            "failCommands": list(commands),
            "blockConnection": True,
            "blockTimeMS": int(seconds * 1000),
            "appName": self.application,
        }
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})

    def stop(self) -> None:
        """Make them as fast as ever."""
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def connections(self) -> int:
        """Return how many connections the server sees of the application, its monitors' not counted."""
        pipeline: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "idleConnections": True}},
            {"$match": {"appName": self.application}},
        ]
        return len(list(self.client.admin.aggregate(pipeline))) - MONITORS
