"""What is kept on this machine to be quicker next time: a folder of the user's, whose entries are whole or not there.

Everything in it can be removed at any moment, and is then made anew. Where it cannot be used, one line says so, and
everything goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.files.atomic import publish_folder

VARIABLE = "VIDEO_PIPELINE_CACHE"
MOST_BYTES = 2 << 30
_DIGESTS = "digests.json"
_said: set[str] = set()  # what is true of the whole process

Say = Callable[[str], None]


def cache_folder() -> Path:
    """The folder: what the environment names, else the place that the system has for such things."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "video-pipeline"


class UserCache:
    """Entries by kind and key, each a folder of files whose SHA-256 are noted in it.

    Args:
        say: takes a line where the folder cannot be used, or held rubbish.
        most: bytes of all entries together; those that were not used for the longest time go first.
    """

    def __init__(self, say: Say = lambda line: None, *, most: int = MOST_BYTES) -> None:
        self._say = say
        self._most = most
        self._root = cache_folder()

    def find(self, kind: str, facts: object) -> Path | None:
        """The folder of an entry; None where there is none, or it is not what was written.

        Args:
            kind: of entry.
            facts: all that the entry depends on, as JSON can hold it.
        """
        folder = self._place(kind, facts)
        try:
            digests = json.loads((folder / _DIGESTS).read_text(encoding="utf-8"))
            right = all(_digest(folder / name) == digest for name, digest in digests.items())
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.lexists(folder):
                return None
            right = False
        except (OSError, ValueError, AttributeError):
            right = False
        if not right:
            self.drop(folder, "is damaged")
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return folder

    def keep(self, kind: str, facts: object, write: Callable[[Path], None]) -> Path | None:
        """Make an entry; where there is one by then, that one stays.

        Args:
            kind: of entry.
            facts: as for `find`.
            write: puts files into the folder that it is given.

        Returns:
            Its folder; None where it cannot be written.
        """
        place = self._place(kind, facts)
        try:
            with publish_folder(place) as folder:
                write(folder)
                digests = {path.name: _digest(path) for path in sorted(folder.iterdir())}
                (folder / _DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
            self._make_room(place)
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split())
            self._say_once(
                f"note: {self._root} cannot be written ({reason}), so that every start takes longer; "
                f"the environment's {VARIABLE} names another folder",
            )
            return None
        return place

    def forget(self, kind: str, facts: object) -> None:
        """Remove an entry, so that it is made anew."""
        shutil.rmtree(self._place(kind, facts), ignore_errors=True)

    def drop(self, folder: Path, reason: str) -> None:
        """Remove an entry that is of no use, and say so."""
        self._say(f"note: {folder} {reason}; it is made anew")
        _remove(folder)

    def _say_once(self, line: str) -> None:
        if line not in _said:
            _said.add(line)
            self._say(line)

    def _place(self, kind: str, facts: object) -> Path:
        return self._root / kind / hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]

    def _make_room(self, newest: Path) -> None:
        """Remove the entries that were not used for the longest time, as long as all are too large together."""
        found = []
        for folder in self._root.glob("*/*"):
            with contextlib.suppress(OSError):  # another process may remove it just now
                # A folder of this cache, or a file that a library keeps here.
                size = sum(path.stat().st_size for path in (folder.iterdir() if folder.is_dir() else (folder,)))
                found.append((folder.stat().st_mtime_ns, size, folder))
        total = sum(size for _, size, _ in found)
        for _, size, folder in sorted(found):
            if total <= self._most:
                break
            if folder != newest:
                _remove(folder)
                total -= size


def _remove(entry: Path) -> None:
    shutil.rmtree(entry, ignore_errors=True)
    with contextlib.suppress(OSError):
        entry.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
