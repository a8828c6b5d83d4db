"""Where a server keeps its files: one folder, readable by its owner alone.

FOLDER/
├── member-0/          one per member of the replica set, mode 0700
│   ├── mongod.log     what mongod logged
│   ├── mongod.out     what it printed before it could log: the loader's complaints
│   └── ...            the data files
└── auth/              with auth=True: key (between members), password (of the root user)
"""

import base64
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o700


@dataclass(frozen=True)
class Folder:
    """The files of one server.

    Attributes:
        path: The folder itself.
        temporary: Whether it goes when the server does.
    """

    path: Path
    temporary: bool

    @classmethod
    def prepare(cls, path: Path | None) -> "Folder":
        """The given folder, made if it is missing, or a temporary one.

        A folder that was there keeps its mode, as it may hold other things than ours (it may be the
        home directory): what is private is each folder that we make in it.
        """
        if path is None:
            return cls(Path(tempfile.mkdtemp(prefix="integrity-mongod-")), temporary=True)
        path = path.expanduser().absolute()
        path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        return cls(path, temporary=False)

    def member(self, index: int) -> Path:
        """The private folder of one member, made if it is missing."""
        return self._private(f"member-{index}")

    def key_file(self) -> Path:
        """The key that the members prove themselves to each other with; made at the first call."""
        path = self._private("auth") / "key"
        if not _written(path):
            _write_secret(path, base64.b64encode(secrets.token_bytes(512)).decode())
        return path

    def password(self) -> str:
        """The root user's password: random, made at the first call, kept for the next start."""
        path = self._private("auth") / "password"
        if not _written(path):
            _write_secret(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _private(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        folder.chmod(PRIVATE)  # it may be an older one, from a copy that lost the modes
        return folder


def _written(path: Path) -> bool:
    """Whether a secret is there, and not only its file: a program may be killed between the two."""
    return path.exists() and path.stat().st_size > 0


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
