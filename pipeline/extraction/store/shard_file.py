"""Opening a shard: whoever wrote it, what it declares is checked before anything of it is believed.

Shards never change, so each is looked at once on a machine.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from pipeline.files.guard import hdf5
from pipeline.files.guard.hdf5 import NotPlain, attribute, check_texts, check_whole, dataset, holds, member, open_hdf5
from pipeline.files.looked_at import LookedAt, state_of
from pipeline.lazy import h5py, np
from pipeline.version import VERSION
from pipeline.videos.catalog.source_file import SourceFile

_THEN = "move it away and extract again"
CLIPS_FORMAT = 2
"""The format of stores whose steps are clips of frames; 1 of all others."""
ENDS = ("end_times", "end_frames")
"""The tables of that format beside ``times`` and ``frames``: where clips of frames end."""
_KINDS = {"int": "iu", "float": "f", "str": "O"}  # of the facts of a video file, by their type


@contextlib.contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """Open a shard for reading.

    Raises:
        UserError: it is damaged, leads to another file, or declares what it cannot hold; also where that shows while
            it is read in the ``with`` block.
    """
    looked_at = _looked_at(path.parent)
    if not looked_at.knows(path):
        with open_hdf5(path, _THEN) as shard:
            state = state_of(path)
            _check(shard, path, path.stat().st_size)
            looked_at.add(path, state)
    with open_hdf5(path, _THEN, known=True) as shard:
        yield shard


def note_written(path: Path) -> None:
    """Remember a shard that this process wrote as one that was looked at: it holds what was written."""
    if state := state_of(path):  # no file is left of a shard without sequences
        _looked_at(path.parent).add(path, state)


def keep_looked_at(folder: Path, shards: Iterable[Path]) -> None:
    """Note for the next process which shards of a folder were looked at by this one."""
    _looked_at(folder).keep({path.name for path in shards})


@functools.cache
def _looked_at(folder: Path) -> LookedAt:
    checks = hashlib.sha256(VERSION.encode())
    for module in (__file__, hdf5.__file__):  # whoever changes what is looked for makes all notes void
        with contextlib.suppress(OSError):
            checks.update(Path(module).read_bytes())
    return LookedAt(folder, checks.hexdigest())


def _check(shard: h5py.File, path: Path, size: int) -> None:
    for name in ("fingerprint", "recipe"):
        if attribute(shard, name, str) is None:
            raise NotPlain(f"{name} is missing")
    created = attribute(shard, "created", int)
    if not isinstance(created, int) or abs(created) >= 1 << 63:
        raise NotPlain("created is missing")
    features = dataset(shard, "features", size, "fu")
    if len(features.shape) not in (3, 5) or features.dtype.str[1:] not in ("f2", "f4", "u1"):
        raise NotPlain(f"features are of shape {features.shape} and type {features.dtype}")
    rows, longest = features.shape[:2]
    tables = [("mask", "b"), ("times", "f"), ("frames", "iu")]
    if attribute(shard, "format", int) == CLIPS_FORMAT or any(name in shard for name in ENDS):
        tables += zip(ENDS, ("f", "iu"), strict=True)
    for name, kinds in tables:
        table = dataset(shard, name, size, kinds, sides=2)
        check_whole(table)
        if table.shape != (rows, longest):
            raise NotPlain(f"{name} is of shape {table.shape}, features {features.shape}")
    columns = [("steps", "iu"), ("video", "O")]
    source = member(shard, "source")
    columns += [(f"source/{item.name}", _KINDS[str(item.type)]) for item in fields(SourceFile)]
    if not isinstance(source, h5py.Group):
        raise NotPlain("source is no group")
    with path.open("rb", buffering=0) as raw:
        for name, kinds in columns:
            column = dataset(source if "/" in name else shard, name.rpartition("/")[2], size, kinds, sides=1)
            if len(column) != rows:
                raise NotPlain(f"{name} has {len(column):,} rows, features {rows:,}")
            check_whole(column)
            if kinds == "O":
                check_texts(column, raw, size)
    steps = shard["steps"][:]
    if rows and not (int(steps.min()) >= 0 and int(steps.max()) <= longest):
        raise NotPlain(f"steps are not from 0 to {longest:,}")
    each = math.prod(features.shape[2:]) * features.dtype.itemsize
    if float(steps.sum(dtype=np.float64)) * each > holds(features):
        raise NotPlain("features are fewer than its steps")
