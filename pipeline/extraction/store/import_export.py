"""Sequences from elsewhere into a store, and a store into plain files."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError, VideoError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.folder import check_place
from pipeline.extraction.store.foreign_arrays import (
    Arrays,
    FolderOfArrays,
    Layout,
    OneFileOfArrays,
    TimeAxis,
    find_layout,
)
from pipeline.extraction.store.foreign_records import ENDINGS as RECORDS
from pipeline.extraction.store.foreign_records import RecordsOfArrays
from pipeline.extraction.store.shard_file import ENDS
from pipeline.extraction.store.shard_writer import StoreWriter, chunking
from pipeline.extraction.store.store import CATALOG_FILE, FeatureStore
from pipeline.files.atomic import atomic_write
from pipeline.files.new_hdf5 import new_hdf5
from pipeline.files.replacing import place_in
from pipeline.files.tables import read_numbered
from pipeline.files.text import natural_key
from pipeline.lazy import h5py, np
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
    took: str
    """What was taken for time and for dimension."""


@dataclass(frozen=True)
class ImportSpec:
    """How sequences of other programs are read."""

    key: str = ""
    """The array in files that hold several; of TFRecord, the lists of features, such as rgb,audio."""
    time_axis: TimeAxis = "auto"
    """Which side of an array is time: auto takes the dimension to be what the arrays share."""
    step: float = 1.0
    """Seconds from one step to the next."""
    dtype: Literal["float16", "float32"] = "float16"
    """Of the stored features."""

    def __post_init__(self) -> None:
        if not 0 < self.step < 1e6:
            raise UserError(f"`step={self.step:g}`: expected seconds, above 0")


def import_features(
    place: Path,
    labels: Path | None,
    out: Path,
    *,
    spec: ImportSpec | None = None,
    looked_at: Callable[[], None] = lambda: None,
) -> Imported:
    """Make a store of sequences that were made elsewhere.

    Args:
        place: a folder with a file for each video (``.npy``, ``.npz``, ``.h5``), an HDF5 file of all of them, or
            TFRecord files as YouTube-8M has them.
        labels: CSV with ``file`` and ``label``, optionally ``split`` and ``group``; of TFRecord None takes the first
            class of each record.
        out: the store, new or of an earlier import.
        spec: how they are read.
        looked_at: called after each file.

    Raises:
        UserError: wrong table, no usable file, or a store of another kind.
    """
    spec = spec or ImportSpec()
    check_place(out, place)
    arrays = _arrays(place, spec.key)
    videos = _videos(arrays, labels, place)
    layout = _layout(arrays, videos, spec.time_axis)
    recipe = Recipe("all", IMPORTED, "", 1, 1, crop="none", layer=f"{layout.dimensions} imported features")
    failed: dict[str, str] = {}
    added = present = 0
    with StoreWriter(out, recipe, dtype=spec.dtype, provenance={"precision": IMPORTED}) as writer:
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
                sequence = layout.arrange(arrays.read(video.name))
                buffer = writer.buffer()
                for start in range(0, len(sequence), _STEPS_AT_ONCE):
                    block = np.asarray(sequence[start : start + _STEPS_AT_ONCE], np.float32)
                    steps = range(start, start + len(block))
                    # Foreign sequences tell no times: steps are counted.
                    buffer.append(block, [spec.step * step for step in steps], list(steps))
            except VideoError as error:
                failed[video.name] = str(error)
                continue
            source = replace(now, sha256=_digest(video.path, now), frames=len(sequence))
            writer.add(video.name, buffer, source)
            added += 1
    return Imported(added, present, failed, f"{layout}; a step each {spec.step:g} s")


def _arrays(place: Path, key: str) -> Arrays:
    """What reads the sequences.

    Raises:
        UserError: there are none.
    """
    if place.suffix.lower() in RECORDS or (place.is_dir() and any(path.suffix in RECORDS for path in place.iterdir())):
        return RecordsOfArrays(place, key)
    if place.is_dir():
        return FolderOfArrays(place, key)
    if place.is_file() and place.suffix.lower() in (".h5", ".hdf5"):
        return OneFileOfArrays(place, key)
    raise UserError(
        f"{place} is not a folder; expected a folder of .npy, .npz or .h5 files, one .h5 file, or .tfrecord"
    )


def _videos(arrays: Arrays, labels: Path | None, place: Path) -> list[Video]:
    """The videos of a table, or of the records themselves."""
    if labels is None:
        if not isinstance(arrays, RecordsOfArrays):
            raise UserError(f"{place} tells no classes; name a table with the columns file,label by `labels`")
        told = [Video(name, arrays.path(name).absolute(), label) for name, label in arrays.labels.items()]
        return sorted(told, key=lambda video: natural_key(video.name))
    rows = read_numbered(labels)
    if not rows or not {"file", "label"} <= set(rows[0][1]):
        raise UserError(f"{labels} needs the columns file,label (and may have split,group) and at least one row")
    videos: dict[str, Video] = {}
    for line, row in rows:
        name = row["file"]
        if not name or name in videos:
            raise UserError(f"{labels}, line {line}: the file {name!r} is {'listed twice' if name else 'missing'}")
        split = read_split(row.get("split", ""), f"{labels}, line {line}")
        videos[name] = Video(name, arrays.path(name).absolute(), row["label"], split, row.get("group", ""))
    return sorted(videos.values(), key=lambda video: natural_key(video.name))


def _layout(arrays: Arrays, videos: list[Video], time_axis: TimeAxis) -> Layout:
    """What the sides of all arrays are.

    Raises:
        UserError: none can be read.
    """
    shapes, reason = [], ""
    for video in videos:
        try:
            shapes.append(arrays.shape(video.name))
        except VideoError as error:
            reason = reason or f"{video.name}: {error}"
    if not shapes:
        raise UserError(f"none of the listed files can be read ({reason})")
    return find_layout(shapes, time_axis)


@functools.lru_cache(maxsize=4)
def _digest(path: Path, state: SourceFile) -> str:
    """SHA-256 of a file, which may hold many videos."""
    return sha256(path)


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
    """Write one HDF5 file with ``features (N, T, ...)``, ``mask (N, T)``, ``times``, ``labels``, ``splits``, ``names``;
    of clips of frames, whose ``times`` are those of their starts, also ``end_times``.

    The order is that of the catalog. Memory stays that of one sequence. Yields each name.
    """
    videos = [video for video in store.catalog if video.name in store.entries]
    longest = max((store.entries[video.name].steps for video in videos), default=0)
    row = {video.name: number for number, video in enumerate(videos)}
    with atomic_write(path) as temporary, new_hdf5(temporary) as (file, check):
        text = h5py.string_dtype("utf-8")
        for name, attribute in (("names", "name"), ("labels", "label"), ("splits", "split"), ("groups", "group")):
            values = [getattr(video, attribute).encode("utf-8", "surrogateescape") for video in videos]
            file.create_dataset(name, data=np.array(values, dtype=object), dtype=text)
        mask = file.create_dataset("mask", (len(videos), longest), bool)
        times = file.create_dataset("times", (len(videos), longest), np.float64)
        of_clips = store.recipe.clip > 0
        end_times = file.create_dataset(ENDS[0], (len(videos), longest), np.float64) if of_clips else None
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
            if end_times is not None and sequence.ends is not None:
                end_times[here] = sequence.ends.times
            check()
            yield sequence.video


def check_parquet() -> None:
    """Refuse where pyarrow is missing.

    Raises:
        UserError: it names what is to be installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError("Parquet needs pyarrow: pip install video-pipeline[parquet]")


def export_parquet(store: FeatureStore, path: Path) -> Iterator[str]:
    """Write one Parquet file with a row for each step: ``video``, ``label``, ``split``, ``group``, ``step``, ``frame``,
    ``time`` in seconds, of clips of frames ``end_frame`` and ``end_time``, and ``features``, a list of D numbers.

    The order is that of the catalog. Memory stays that of one sequence. Yields each name.

    Raises:
        UserError: pyarrow is missing, or the store holds frames.
    """
    check_parquet()
    if len(store.shape) != 1:
        raise UserError(f"{store.folder} holds raw frames; Parquet is for features")
    import pyarrow as pa
    import pyarrow.parquet

    videos = {video.name: video for video in store.catalog if video.name in store.entries}
    texts = [(name, pa.string()) for name in ("video", "label", "split", "group")]
    numbers = [("step", pa.int32()), ("frame", pa.int64()), ("time", pa.float64())]
    if store.recipe.clip:
        numbers += [("end_frame", pa.int64()), ("end_time", pa.float64())]
    schema = pa.schema(
        [*texts, *numbers, ("features", pa.list_(pa.float32(), store.shape[0]))],
        metadata={"recipe": store.recipe.canonical},
    )
    with atomic_write(path) as temporary, pa.parquet.ParquetWriter(temporary, schema) as writer:
        for sequence in store.sequences(videos):
            video, count = videos[sequence.video], len(sequence.times)
            same = [_plain(getattr(video, name)) for name in ("name", "label", "split", "group")]
            values = pa.array(np.ascontiguousarray(sequence.features, np.float32).ravel())
            columns = [pa.array([text] * count, pa.string()) for text in same]
            columns += [pa.array(np.arange(count, dtype=np.int32)), pa.array(np.asarray(sequence.frames, np.int64))]
            columns += [pa.array(np.asarray(sequence.times, np.float64))]
            if sequence.ends is not None:
                columns += [pa.array(sequence.ends.frames), pa.array(sequence.ends.times)]
            columns += [pa.FixedSizeListArray.from_arrays(values, store.shape[0])]
            writer.write_table(pa.table(columns, schema=schema))
            yield sequence.video


def _plain(text: str) -> str:
    """A text that Parquet can hold: file names need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
