"""What can go wrong before the embedded server serves.

RuntimeError
├── MongodNotFound   there is no mongod to run
└── MongodFailed     there is one, and it did not start or did not become ready
"""


class MongodNotFound(RuntimeError):
    """No mongod in INTEGRITY_MONGOD, on PATH or in the `embedded` extra."""


class MongodFailed(RuntimeError):
    """A mongod was found, but it ended or was not ready in time; the message has its last words."""
