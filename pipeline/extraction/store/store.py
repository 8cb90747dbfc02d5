"""A folder of features made by one recipe: shards that are written whole or not at all.

Each shard is one HDF5 file that never changes once it has its name:

    features (n, T, D)   float16 or float32; rows padded with zeros at the end
             (n, T, H, W, 3)   uint8 images instead, in a frame cache; compressed (LZF), each by itself
    mask     (n, T)      bool, True where a step is real
    times    (n, T)      float64, seconds after the first frame of the video; of clips of frames those of their starts
    frames   (n, T)      int64, frame numbers; of clips of frames that of the first one in each
    end_times, end_frames (n, T)   in format 2 only, of clips of frames: seconds at which each ends, and the number of
                         the last frame in it; float64 and int64
    video    (n,)        the name of each video in the catalog
    source/* (n,)        the video file as it was: size, mtime_ns, sha256, frames, header_frames, fps, ...
    attributes           format, recipe, fingerprint, created, versions, precision

A store of ``clips:T@F/S`` is of format 2, every other one of format 1.

There is no index beside the shards that could disagree with them: a store holds what its shards hold.
"""

from __future__ import annotations

import functools
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_file import CLIPS_FORMAT, ENDS, keep_looked_at, open_shard
from pipeline.files.guard.hdf5 import NotPlain, attribute
from pipeline.files.guard.reading import read_object, shown, value_of
from pipeline.files.guard.regular_file import Missing
from pipeline.lazy import h5py, np
from pipeline.videos.catalog.catalog import Catalog, read_catalog
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.frame import StepEnds
from pipeline.videos.media.sampling import Sampling

FORMAT = 1
RECIPE_FILE, CATALOG_FILE = "recipe.json", "catalog.csv"
AUGMENTATION_FILE = "augmentation.json"
SHARDS = "shard-*.h5"
_PIECE_BYTES = 32 << 20


@dataclass(frozen=True)
class Entry:
    """Where the sequence of one video lies."""

    video: str
    shard: Path
    row: int
    steps: int
    """Real steps, without padding."""
    source: SourceFile


@dataclass(frozen=True)
class Sequence:
    """The features of one video."""

    video: str
    features: np.ndarray
    """``(T, D)`` float16 or float32, or ``(T, H, W, 3)`` uint8 in a frame cache; real steps only."""
    times: np.ndarray
    """``(T,)`` float64, seconds after the first frame of the video; of clips of frames those of their starts."""
    frames: np.ndarray
    """``(T,)`` int64, frame numbers; of clips of frames that of the first one in each."""
    ends: StepEnds | None = None
    """Where the clips of frames end; None where a step is one frame."""

    def __repr__(self) -> str:
        return f"Sequence({self.video!r}, features{self.features.shape} {self.features.dtype})"


class FeatureStore:
    """An existing store, opened for reading; nothing of it is locked.

    Args:
        folder: the store.
        sampling: read it as if it had been extracted by this sparser sampling; no video is touched for it.

    Raises:
        UserError: the folder is not a store, was written by a newer version, or does not hold the frames that
            ``sampling`` picks.
    """

    def __init__(self, folder: str | Path, *, sampling: Sampling | None = None) -> None:
        self.folder = Path(folder)
        self._stored = read_recipe(self.folder)
        self._dense = Sampling.parse(self._stored.sampling)
        self._sampling = sampling or self._dense
        if not self._dense.contains(self._sampling):
            clips = self._dense.clip or self._sampling.clip
            raise UserError(
                f"{folder} was sampled by {self._dense}, which need not hold the frames of {self._sampling}; "
                "extract it by that sampling" + ("" if clips else ", or by 'all' to be thinned to any")
            )
        self.recipe = replace(self._stored, sampling=str(self._sampling))

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.folder)!r}, {len(self.entries)} videos, {self.recipe.sampling})"

    @functools.cached_property
    def entries(self) -> dict[str, Entry]:
        """The newest sequence of every video, by name."""
        newest: dict[str, tuple[int, Entry]] = {}
        shards = sorted(self.folder.glob(SHARDS))
        for path in shards:
            for created, entry in self._entries_of(path):
                if entry.video not in newest or newest[entry.video][0] <= created:
                    newest[entry.video] = (created, entry)
        keep_looked_at(self.folder, shards)
        return {video: entry for video, (_, entry) in newest.items()}

    def _entries_of(self, path: Path) -> Iterator[tuple[int, Entry]]:
        """The entries of a shard, with the steps that are left of each sequence after thinning."""
        if self._sampling == self._dense:
            yield from read_entries(path, self._stored)
            return
        with open_shard(path) as shard:
            for created, entry in read_entries(path, self._stored):
                yield created, replace(entry, steps=len(self._places(shard, entry.row, entry.steps)))

    def _places(self, shard: h5py.File, row: int, steps: int) -> np.ndarray:
        """Which of the stored steps of a row the sampling of this store picks."""
        return self.picked(shard["times"][row, :steps], shard["frames"][row, :steps])

    def picked(self, times: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Which steps of a stored sequence the sampling of this store picks; all, unless it is thinned."""
        return self._sampling.thin(times, frames, self._dense)

    def copies_of(self, video: str, most: int = 100) -> list[str]:
        """The names of a video's augmented copies that are of the same file as its own sequence, in order."""
        source = self.entries[video].source
        names = (name_of_copy(video, copy) for copy in range(1, most + 1))
        found = ((name, self.entries.get(name)) for name in names)
        return [name for name, entry in found if entry and entry.source.same_state(source)]

    @property
    def weights_source(self) -> str:
        """What the user named as weights: ``imagenet``, ``random:0`` or the path of a file; '' if imported."""
        known = read_recipe_file(self.folder).get("weights", {})
        return next((weights["source"] for weights in known.values()), "")

    @property
    def licence(self) -> str:
        """That of the weights, as the network told it; empty where nothing is known of it."""
        known = read_recipe_file(self.folder).get("weights", {})
        return next((str(weights.get("licence", "")) for weights in known.values()), "")

    @functools.cached_property
    def precision(self) -> str:
        """The precision that the features were computed in, such as ``bfloat16``; several are joined by commas."""
        found = set()
        for path in sorted(self.folder.glob(SHARDS)):
            with open_shard(path) as shard:
                found.add(str(attribute(shard, "precision", str) or ""))
        return ",".join(sorted(found - {""}))

    @functools.cached_property
    def catalog(self) -> Catalog:
        """The videos as they were listed when they were extracted: labels, splits, groups and paths."""
        path = self.folder / CATALOG_FILE
        if not path.exists():
            raise UserError(f"{path} is missing; run the extraction again, it will not repeat what is done")
        return read_catalog(path)

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one step: ``(D,)``, or ``(H, W, 3)`` in a frame cache.

        Raises:
            UserError: the store is empty.
        """
        for entry in self.entries.values():
            with open_shard(entry.shard) as shard:
                return tuple(int(side) for side in shard["features"].shape[2:])
        raise UserError(f"{self.folder} holds no sequences yet; extract features first")

    @property
    def dimensions(self) -> int:
        """Length D of a feature vector.

        Raises:
            UserError: the store is empty, or a frame cache.
        """
        if self.recipe.keeps_images:
            sides = "x".join(map(str, self.shape))
            raise UserError(f"{self.folder} holds frames ({sides}), not features; choose a network that takes frames")
        return self.shape[0]

    def read(self, video: str) -> Sequence:
        """The sequence of one video.

        Raises:
            KeyError: the store has no such video.
        """
        return next(self.sequences([video]))

    def sequences(self, videos: Iterable[str]) -> Iterator[Sequence]:
        """Read the sequences of ``videos``, shard by shard: each file is opened once, the order is the store's."""
        by_shard: dict[Path, list[Entry]] = defaultdict(list)
        for video in videos:
            entry = self.entries[video]
            by_shard[entry.shard].append(entry)
        for path, entries in by_shard.items():
            with open_shard(path) as shard:
                for entry in sorted(entries, key=lambda entry: entry.row):
                    yield self._read(shard, entry)

    def frames(self, videos: Iterable[str]) -> dict[str, np.ndarray]:
        """For each of ``videos`` the numbers ``(T,)`` int64 of its frames; no feature is read for it."""
        by_shard: dict[Path, list[Entry]] = defaultdict(list)
        for video in videos:
            by_shard[self.entries[video].shard].append(self.entries[video])
        found: dict[str, np.ndarray] = {}
        for path, entries in by_shard.items():
            with open_shard(path) as shard:
                for entry in entries:
                    steps = int(shard["steps"][entry.row])
                    found[entry.video] = shard["frames"][entry.row, :steps][self._places(shard, entry.row, steps)]
        return found

    def pieces(self, video: str) -> Iterator[Sequence]:
        """The sequence of one video in pieces of at most 32 MiB, in order: a long one need not fit into memory."""
        entry = self.entries[video]
        with open_shard(entry.shard) as shard:
            features = shard["features"]
            at_once = max(1, _PIECE_BYTES // (features.dtype.itemsize * math.prod(features.shape[2:])))
            for start in range(0, entry.steps, at_once):
                yield self._read(shard, entry, slice(start, min(entry.steps, start + at_once)))

    def _read(self, shard: h5py.File, entry: Entry, part: slice | None = None) -> Sequence:
        """The steps of an entry, or those of a part of it."""
        steps: slice | np.ndarray = part or slice(entry.steps)
        if self._sampling != self._dense:
            steps = self._places(shard, entry.row, int(shard["steps"][entry.row]))[steps]
        features, times, frames = (shard[name][entry.row, steps] for name in ("features", "times", "frames"))
        ends = StepEnds(*(shard[name][entry.row, steps] for name in ENDS)) if self.recipe.clip else None
        return Sequence(entry.video, features, times, frames, ends)


def name_of_copy(video: str, copy: int) -> str:
    """What the ``copy``-th augmented copy, from 1, of a video is called; see `jobs.augmented_copies`."""
    return f"{video}#{copy}"


def read_recipe(folder: Path) -> Recipe:
    """The recipe of the store in ``folder``.

    Raises:
        UserError: there is no store, or one of a newer format.
    """
    content = read_recipe_file(folder)
    recipe = Recipe.from_json(json.dumps(content["recipe"]))
    if content["format"] != format_of(recipe):
        raise UserError(f"{folder / RECIPE_FILE} cannot be read (format {content['format']} with {recipe.sampling})")
    return recipe


def format_of(recipe: Recipe) -> int:
    """The format of a store: programs that know no clips of frames refuse those of clips, and read all others."""
    return CLIPS_FORMAT if recipe.clip else FORMAT


def read_recipe_file(folder: Path) -> dict:
    """All of ``recipe.json``: format, fingerprint, recipe and the weights that gave its digest."""
    path = folder / RECIPE_FILE
    try:
        content = read_object(path, needs=["format"])
    except Missing:
        raise UserError(f"{folder} is not a feature store ({RECIPE_FILE} is missing)") from None
    if isinstance(content["format"], bool) or content["format"] not in (FORMAT, CLIPS_FORMAT):
        found = shown(content["format"])
        raise UserError(
            f"{folder} has store format {found}; this version reads formats {FORMAT} and {CLIPS_FORMAT}, so update it"
        )
    try:
        for key, kind in (("recipe", dict), ("weights", dict[str, dict])):
            value_of(content, key, kind)
        for known in content["weights"].values():
            value_of(known, "source", str), value_of(known, "digest", str)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())})") from None
    return content


def known_digest(folder: Path, weights: WeightsSource) -> str:
    """The digest that a store remembers for a source of weights; empty where there is no store or no memory."""
    if not (folder / RECIPE_FILE).exists():
        return ""
    known = read_recipe_file(folder).get("weights", {})
    return known.get(weights.key(), {}).get("digest", "")


def remembered_weights(folder: Path) -> WeightsSource | None:
    """The weights that a store was made with, as its user named them; None where there is no store, or no memory.

    Raises:
        UserError: they were a file, which is gone or has another content by now.
    """
    known = read_recipe_file(folder).get("weights", {}) if (folder / RECIPE_FILE).exists() else {}
    gone = ""
    for key, weights in known.items():
        gone = weights["source"]
        if key.startswith("file:") and not Path(gone).is_file():
            continue
        source = WeightsSource(gone)
        if source.key() == key:
            return source
    if gone:
        raise UserError(f"the weights of {folder}, {gone}, are gone or are others by now; name them by `weights`")
    return None


def read_entries(path: Path, recipe: Recipe) -> Iterator[tuple[int, Entry]]:
    """Yield (time of creation, entry) for each row of a shard.

    Raises:
        UserError: the shard is damaged or was made by another recipe.
    """
    with open_shard(path) as shard:
        if attribute(shard, "fingerprint", str) != recipe.fingerprint:
            raise UserError(f"{path} was made by another recipe than its store; move it away")
        created = attribute(shard, "created", int)
        videos = [_text(name) for name in shard["video"][:]]
        steps = shard["steps"][:].tolist()
        columns = [_column(shard["source"][item.name]) for item in fields(SourceFile)]
    assert isinstance(created, int)
    for row, (video, *values) in enumerate(zip(videos, *columns, strict=True)):
        yield created, Entry(video, path, row, steps[row], SourceFile(*values))


def _column(stored: h5py.Dataset) -> list:
    """The values of all rows.

    Raises:
        NotPlain: numbers that no video has.
    """
    values = stored[:]
    if stored.dtype.kind == "O":
        return [_text(value) for value in values]
    if not (np.isfinite(values) & (values >= 0)).all() and not stored.name.endswith("mtime_ns"):
        raise NotPlain(f"{stored.name} holds numbers that no video has")
    return values.tolist()


def _text(value: bytes | str) -> str:
    # File names need not be UTF-8; surrogates carry the odd bytes, as everywhere in Python.
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
