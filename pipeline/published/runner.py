"""Running commands of this project one after the other: each is said as a user could type it, and done once.

Commands that keep their own account of each video (cutting, extracting) are always called; they look and return.
Another is passed over where its command line, and all that it reads, are what they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from pipeline.cli import command
from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.reading import read_object, shown
from pipeline.parallel.child import COMMAND, python
from pipeline.videos.catalog.catalog import open_catalog

RECORD = "commands.json"
OWN_ACCOUNT = ("cut", "extract")
_WRITES = ("--out", "--output")  # options that name what a command writes
_TABLES = (".csv", ".json", ".yaml")  # written anew by commands that find nothing to do; their content counts


class Stopped(Exception):
    """A command could not go on.

    Attributes:
        status: its exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


def run_command(
    verb: str, words: Iterable[object], say: Callable[[str], None] = print, flags: Sequence[str] = ()
) -> int:
    """Call a command as a process of its own, after its command line has been said; returns its exit status.

    Args:
        verb: the command.
        words: its options and arguments.
        say: prints a line.
        flags: of the caller, such as ``--quiet``, which are handed on and not said.
    """
    arguments = [str(word) for word in words]
    say(f"\n$ {spoken(verb, arguments)}")
    sys.stdout.flush()
    process = subprocess.Popen(python(COMMAND, verb, *arguments, *flags))
    try:
        return process.wait()
    except KeyboardInterrupt as error:
        # Ctrl-C reaches the command too; a termination signal does not. It keeps what is done before it ends.
        if isinstance(error, command.Terminated):
            process.terminate()
        process.wait()
        raise


def spoken(verb: str, words: Iterable[object]) -> str:
    """A command as it can be typed."""
    return shlex.join(["video-pipeline", verb, *map(str, words)])


class Runner:
    """Runs commands into one folder and remembers there which are done.

    Args:
        folder: of the outputs.
        owner: what the folder is for; another's folder is refused.
        say: prints a line.
        flags: handed on to every command.

    Raises:
        UserError: the folder belongs to another system.
    """

    def __init__(self, folder: Path, owner: str, say: Callable[[str], None] = print, flags: Sequence[str] = ()) -> None:
        self._path = folder / RECORD
        self._folder, self._say, self._flags = folder, say, flags
        self._record: dict = {"system": owner, "commands": {}}
        self._made: list[str] = []  # what commands before wrote
        self.ran, self.passed, self.some_failed = 0, 0, False
        if self._path.is_file():
            found = read_object(self._path, needs=["system", "commands"])
            if not isinstance(found["commands"], dict):
                raise UserError(f"{self._path} cannot be read (its commands are {shown(found['commands'])})")
            if found["system"] != owner:
                raise UserError(f"{folder} holds the outputs of {found['system']}; choose another `out`")
            self._record = found

    def run(self, name: str, verb: str, words: Sequence[str]) -> None:
        """Run a command, or pass it over where it is done.

        Args:
            name: under which it is remembered.
            verb: the command.
            words: its options and arguments.

        Raises:
            Stopped: the command failed.
        """
        below = [word for word in words if Path(word).is_relative_to(self._folder)]
        made = [word for word in below if word not in self._made and not self._within_made(word)]
        # What a command writes into a folder that it reads is none of what it was given.
        written = {Path(word) for option, word in pairwise(words) if option in _WRITES}
        reads = [word for word in words if word not in made and Path(word) not in written and Path(word).exists()]
        account = {"command": [verb, *words], "reads": {word: content_digest(Path(word), written) for word in reads}}
        self._made += made
        done = self._record["commands"].get(name) == account and all(Path(word).exists() for word in made)
        if done and verb not in OWN_ACCOUNT:
            self._say(f"\n# done before: {name} ({verb})")
            self.passed += 1
            return
        self._record["commands"].pop(name, None)
        status = run_command(verb, words, self._say, self._flags)
        # 1 means that some videos failed and were listed; the others are good to go on with.
        if status not in (command.OK, command.SOME_FAILED):
            raise Stopped(status)
        self.some_failed |= status == command.SOME_FAILED
        self.ran += 1
        self._record["commands"][name] = account
        with atomic_write(self._path) as temporary:
            temporary.write_text(
                json.dumps(self._record, indent=2, ensure_ascii=False) + "\n",
                encoding="utf-8",
                errors="surrogateescape",
            )

    def _within_made(self, word: str) -> bool:
        return any(Path(word).is_relative_to(made) for made in self._made)


def content_digest(path: Path, without: Collection[Path] = ()) -> str:
    """SHA-256 over names, sizes and times of change of a file or of a folder's files; of tables over the content.

    Files in a folder that are named in ``without`` do not count.
    """
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file() or (file != path and file in without):
            continue
        status = file.stat()
        digest.update(os.fsencode(file.relative_to(path) if path.is_dir() else file.name))
        digest.update(file.read_bytes() if file.suffix in _TABLES else b"%d %d" % (status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


def held_out_video(checkpoint: Path, seed: int | None = None) -> Path:
    """The file of a video that was kept apart as test when a checkpoint was trained: the first, or a random one.

    Raises:
        UserError: there is none.
    """
    results = read_object(checkpoint / "results.json", needs=["store", "split"])
    paths = {video.name: video.path for video in open_catalog(Path(results["store"]) / "catalog.csv")}
    tested = [paths[name] for name in results["split"].get("test", []) if name in paths]
    if tested:
        return tested[0] if seed is None else random.Random(seed).choice(tested)
    raise UserError(f"{checkpoint} has no test video to classify; give at least three videos a class")
