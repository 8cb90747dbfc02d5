"""Which files of a folder were looked at on this machine, so that they are looked at once and not at every start.

A file is known again by what the system says of it: device, number, size, and the times of its last change, of which
the second is the system's own and cannot be set. The note lies in the user's cache folder and never beside the files,
since a folder of strangers cannot vouch for itself; where it cannot be kept or read, files are looked at again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.reading import read_object
from pipeline.files.user_cache import cache_folder

State = list[int]

KIND = "looked-at"


class LookedAt:
    """The files of one folder that were looked at.

    Args:
        folder: of the files.
        checks: what they were looked at for; a note of other checks says nothing.
    """

    def __init__(self, folder: Path, checks: str) -> None:
        self._checks = checks
        self._note = cache_folder() / KIND / f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:32]}.json"
        self._known = self._read()
        self._changed = False

    def _read(self) -> dict[str, State]:
        try:
            note = read_object(self._note, needs=("checks", "files"))
        except (UserError, OSError):
            return {}
        right = note["checks"] == self._checks and isinstance(note["files"], dict)
        return note["files"] if right else {}

    def knows(self, path: Path) -> bool:
        """Whether this very file was looked at, and did not change since."""
        state = state_of(path)
        return bool(state) and self._known.get(path.name) == state

    def add(self, path: Path, state: State) -> None:
        """Remember that a file was looked at when it was in this state."""
        self._known[path.name] = state
        self._changed = True

    def keep(self, names: Collection[str]) -> None:
        """Write the note where it changed; of files that are not among ``names`` nothing is kept."""
        known = {name: state for name, state in self._known.items() if name in names}
        if self._changed or len(known) < len(self._known):
            self._known, self._changed = known, False
            with contextlib.suppress(OSError), atomic_write(self._note) as temporary:
                temporary.write_text(json.dumps({"checks": self._checks, "files": known}))


def state_of(path: Path) -> State:
    """By which a file is known again; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
