"""Sequences from elsewhere into a store, and a store into plain files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.folder import check_place
from pipeline.extraction.store.shard_writer import StoreWriter, chunking
from pipeline.extraction.store.store import CATALOG_FILE, FeatureStore
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.regular_file import stat_regular
from pipeline.files.replacing import place_in
from pipeline.files.tables import read_numbered
from pipeline.files.text import natural_key
from pipeline.lazy import h5py
from pipeline.videos.catalog.catalog import Video, read_split
from pipeline.videos.catalog.catalog_table import CHOICES, FACTS, update_catalog
from pipeline.videos.catalog.source_file import SourceFile, sha256

IMPORTED = "imported"
_STEPS_AT_ONCE = 4096


@dataclass(frozen=True)
class Imported:
    """What came of an import."""

    added: int
    present: int
    """Sequences that were there already, unchanged."""
    failed: dict[str, str]
    """Reasons, by file."""


def read_sequence(path: Path) -> np.ndarray:
    """Load a ``.npy`` file of shape ``(T, D)``; nothing in it can run code.

    Raises:
        VideoError: the file is missing, damaged, or holds something else.
    """
    stat_regular(path)
    try:
        sequence = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise VideoError("open", f"no readable .npy file ({' '.join(str(error).split())})") from None
    if not isinstance(sequence, np.ndarray) or sequence.ndim != 2 or 0 in sequence.shape:
        shape = getattr(sequence, "shape", "an archive")
        raise VideoError("open", f"expected an array of shape (steps, features), found {shape}")
    if sequence.dtype.kind not in "fiu":
        raise VideoError("open", f"expected numbers, found {sequence.dtype}")
    return sequence


def import_features(
    folder: Path, labels: Path, out: Path, *, dtype: str = "float16", looked_at: Callable[[], None] = lambda: None
) -> Imported:
    """Make a store of a folder of ``.npy`` sequences that were made elsewhere.

    Args:
        folder: holds one ``(T, D)`` array per video; T may differ, D may not.
        labels: CSV with ``file`` and ``label``, optionally ``split`` and ``group``.
        out: the store, new or of an earlier import.
        dtype: float16 or float32.
        looked_at: called after each file.

    Raises:
        UserError: wrong table, no usable file, or a store of another kind.
    """
    check_place(out, folder)
    videos = _read_labels(folder, labels)
    dimensions = _first_dimensions(videos)
    recipe = Recipe("all", IMPORTED, "", 1, 1, crop="none", layer=f"{dimensions} imported features")
    failed: dict[str, str] = {}
    added = present = 0
    with StoreWriter(out, recipe, dtype=dtype, provenance={"precision": IMPORTED}) as writer:
        update_catalog(videos, out / CATALOG_FILE, (*FACTS, *CHOICES))
        entries = FeatureStore(out).entries
        for video in videos:
            looked_at()
            try:
                now = SourceFile.of(video.path)
                known = entries.get(video.name)
                if known and known.source.same_state(now):
                    present += 1
                    continue
                sequence = read_sequence(video.path)
                if sequence.shape[1] != dimensions:
                    raise VideoError("open", f"expected {dimensions} features a step, found {sequence.shape[1]}")
                buffer = writer.buffer()
                for start in range(0, len(sequence), _STEPS_AT_ONCE):
                    block = np.asarray(sequence[start : start + _STEPS_AT_ONCE], np.float32)
                    steps = range(start, start + len(block))
                    # Foreign sequences tell no times; steps are counted instead, as if one came each second.
                    buffer.append(block, [float(step) for step in steps], list(steps))
            except VideoError as error:
                failed[video.name] = str(error)
                continue
            source = replace(now, sha256=sha256(video.path), frames=len(sequence))
            writer.add(video.name, buffer, source)
            added += 1
    return Imported(added, present, failed)


def _read_labels(folder: Path, labels: Path) -> list[Video]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected a folder of .npy files")
    rows = read_numbered(labels)
    if not rows or not {"file", "label"} <= set(rows[0][1]):
        raise UserError(f"{labels} needs the columns file,label (and may have split,group) and at least one row")
    videos: dict[str, Video] = {}
    for line, row in rows:
        name = row["file"]
        if not name or name in videos:
            raise UserError(f"{labels}, line {line}: the file {name!r} is {'listed twice' if name else 'missing'}")
        split = read_split(row.get("split", ""), f"{labels}, line {line}")
        path = folder / name
        if not path.exists() and path.with_name(path.name + ".npy").exists():
            path = path.with_name(path.name + ".npy")
        videos[name] = Video(name, path.absolute(), row["label"], split, row.get("group", ""))
    return sorted(videos.values(), key=lambda video: natural_key(video.name))


def _first_dimensions(videos: list[Video]) -> int:
    reason = ""
    for video in videos:
        try:
            return int(read_sequence(video.path).shape[1])
        except VideoError as error:
            reason = reason or f"{video.name}: {error}"
    raise UserError(f"none of the listed files can be read ({reason})")


def export_arrays(store: FeatureStore, folder: Path) -> Iterator[Path]:
    """Write one ``.npy`` per video, under its name in the catalog; yields each path.

    Its shape is ``(T, D)``, or ``(T, H, W, 3)`` of a frame cache.
    """
    for sequence in store.sequences(store.entries):
        path = place_in(folder, f"{sequence.video}.npy")
        with atomic_write(path) as temporary:
            np.save(temporary, sequence.features, allow_pickle=False)
        yield path


def export_hdf5(store: FeatureStore, path: Path) -> Iterator[str]:
    """Write one HDF5 file with ``features (N, T, ...)``, ``mask (N, T)``, ``times``, ``labels``, ``splits``, ``names``.

    The order is that of the catalog. Memory stays that of one sequence. Yields each name.
    """
    videos = [video for video in store.catalog if video.name in store.entries]
    longest = max((store.entries[video.name].steps for video in videos), default=0)
    row = {video.name: number for number, video in enumerate(videos)}
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        text = h5py.string_dtype("utf-8")
        for name, attribute in (("names", "name"), ("labels", "label"), ("splits", "split"), ("groups", "group")):
            values = [getattr(video, attribute).encode("utf-8", "surrogateescape") for video in videos]
            file.create_dataset(name, data=np.array(values, dtype=object), dtype=text)
        mask = file.create_dataset("mask", (len(videos), longest), bool)
        times = file.create_dataset("times", (len(videos), longest), np.float64)
        features = None
        for sequence in store.sequences(row):
            if features is None:
                shape = sequence.features.shape[1:]
                features = file.create_dataset(
                    "features", (len(videos), longest, *shape), sequence.features.dtype, **chunking(shape, longest)
                )
                file.attrs["recipe"] = store.recipe.canonical
            here = np.s_[row[sequence.video], : len(sequence.times)]
            features[here], mask[here], times[here] = sequence.features, True, sequence.times
            yield sequence.video
