"""Replacing what an earlier run wrote, and nothing else: a folder may hold files of its user, and those stay.

What a program wrote is known by its name. ``patterns`` are `fnmatch` patterns of such names, relative to the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from pipeline.errors import UserError
from pipeline.files.atomic import UNFINISHED, scratch_folder
from pipeline.files.system import replace


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file without being asked to.

    Raises:
        UserError: it exists and ``overwrite`` is False, or no file of this name can be made.
    """
    check_writable(path)
    if not overwrite and os.path.lexists(path):
        raise UserError(f"{path} exists; give `overwrite=True` to replace it, or choose another name")


def refuse_used_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write into a folder that holds something already, without being asked to.

    Raises:
        UserError: it does and ``overwrite`` is False, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"cannot write {folder}: it is a file")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} exists; give `overwrite=True` to replace it, or another `out`")


def check_writable(path: Path) -> None:
    """Whether a file of this name can be made.

    Raises:
        UserError: it is a folder, or its folder cannot be written to.
    """
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder")
    above = next(folder for folder in (path.parent, *path.absolute().parent.parents) if folder.exists())
    if not above.is_dir():
        raise UserError(f"cannot write {path}: {above} is not a folder")
    try:
        # Permissions do not tell all: the owner of everything cannot write into /proc or onto a full disk either.
        tempfile.TemporaryFile(dir=above).close()
    except PermissionError:
        raise UserError(f"cannot write {path}: no permission to write into {above}") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: no file can be made in {above} ({error.strerror})") from None


def free_name(path: Path) -> Path:
    """``path``, or where that is taken ``name-2.avi``, ``name-3.avi`` and so on."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def foreign_entries(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files and folders right in ``folder`` that this program did not write, by name; none where it is absent."""
    ours = (*patterns, f"{UNFINISHED}*")
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    return [path for path in entries if not any(fnmatchcase(path.name, pattern) for pattern in ours)]


def remove_written(folder: Path, patterns: Sequence[str]) -> None:
    """Delete the files in ``folder`` that match ``patterns``; one such as ``int8/*`` empties a folder below.

    Only files and links are deleted, and a folder below where nothing is left in it.
    """
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
    for below in {pattern.rpartition("/")[0] for pattern in patterns} - {""}:
        with contextlib.suppress(OSError):  # absent, or the user keeps something there
            (folder / below).rmdir()


@contextlib.contextmanager
def replace_folder(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Yield a new folder that takes the place of ``folder`` on success; after a failure it is removed.

    Files of the old folder that no pattern names are the user's: they are carried over into the new one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _finish_replacing(folder, patterns)
    with scratch_folder(folder.parent) as temporary:
        new = temporary / folder.name
        new.mkdir()
        yield new
        if folder.exists():
            # Folders cannot be swapped in one step; the old one keeps a name until the new one is in place.
            replace(folder, _replaced(folder))
        replace(new, folder)
        _finish_replacing(folder, patterns)


def _replaced(folder: Path) -> Path:
    return folder.parent / f".replaced-{folder.name}"


def _finish_replacing(folder: Path, patterns: Sequence[str]) -> None:
    """Carry over what is not ours and remove the replaced folder; a writer that was killed may have left it."""
    old = _replaced(folder)
    if not old.is_dir():
        return
    if not folder.exists():  # killed between the two renames
        replace(old, folder)
        return
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old)
        ours = any(fnmatchcase(name.as_posix(), pattern) for pattern in patterns)
        if (path.is_symlink() or not path.is_dir()) and not ours and not os.path.lexists(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            replace(path, folder / name)
    shutil.rmtree(old, ignore_errors=True)


def refuse_overlap(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output folder that is an input, lies in one, or holds one.

    Raises:
        UserError: it does.
    """
    place = folder.resolve()
    for path in inputs:
        there = path.resolve()
        if place == there:
            raise UserError(f"the output {folder} is the input itself; choose a folder of its own")
        if there.is_relative_to(place):
            raise UserError(f"the output {folder} holds the input {path}; choose a folder of its own")
        refuse_inside(folder, path)


def refuse_inside(folder: Path, source: Path) -> None:
    """Refuse an output that lies inside a folder of input, where it would become input itself.

    Raises:
        UserError: it does.
    """
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        raise UserError(f"the output {folder} lies inside the input {source}; choose a folder beside it")


def place_in(folder: Path, name: str) -> Path:
    """Where in a folder the files of a video go, by its name in the catalog: never outside of it.

    Names come from tables of other people: the root of an absolute one is left out, and ``..`` becomes ``__``.
    """
    parts = [part for part in PurePath(name).parts if part != PurePath(name).anchor]
    return folder.joinpath(*("__" if part == ".." else part for part in parts))
