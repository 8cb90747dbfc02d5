"""The table of videos: where each file is, what it shows and to which split and group it belongs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import UserError
from pipeline.files.tables import SPREADSHEETS, keeps_any_text, read_numbered
from pipeline.files.text import natural_key, plural
from pipeline.videos.catalog import clip_origins, published_table
from pipeline.videos.catalog.failures import FAILURES_FILE
from pipeline.videos.media.image_folder import TIMES, is_image

if TYPE_CHECKING:
    import pandas as pd

VIDEO_EXTENSIONS = frozenset(
    (".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg")
    + (".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob")
    + (".webm", ".wmv")
)
SPLITS = ("train", "val", "test")
SPLIT_FOLDERS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "val"
)
TABLE = "data_file.csv"  # in a data folder, the table that says more of its videos than the folders do
LABELS = "labels.csv"  # in a data folder, labels of single frames
# Tables that this program writes into a data folder.
_OWN_TABLES = frozenset((TABLE, "problems.csv", FAILURES_FILE, LABELS, clip_origins.TABLE))
MOST_VIDEOS = 500_000  # rows of a catalog
_SAID = ("label", "split", "group", "frames", "fps", "width", "height", "duration")  # by a table, of a video
COLUMN_NAMES = {
    "path": ("path", "video_name", "video_path", "file", "filename"),
    "video": ("video",),
    "label": ("label", "tag", "class"),
    "split": ("split", "subset", "set"),
    "group": ("group",),
}


@dataclass(frozen=True)
class Video:
    """One row of the catalog."""

    name: str
    """What the video is called in this catalog: its path below the catalog's folder, with forward slashes."""
    path: Path
    """Where the file is."""
    label: str = ""
    """Its class; empty where it is not known."""
    split: str = ""
    """train, val or test; empty where nothing was said."""
    group: str = ""
    """Videos of one group come from one source and never stand on both sides of a split."""
    frames: int | None = None
    """Counted frames; None where the video was not opened."""
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    """Seconds."""

    def counted(self, facts: Counted) -> Video:
        """The same row with what was found out when the video was opened."""
        return replace(
            self,
            frames=facts.frames,
            fps=facts.fps,
            width=facts.width,
            height=facts.height,
            duration=facts.duration,
        )


class Counted(Protocol):
    """Facts of a video that was opened, such as a `VideoInfo`."""

    @property
    def frames(self) -> int: ...

    @property
    def fps(self) -> float: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def duration(self) -> float: ...


@dataclass(frozen=True)
class Catalog:
    """Videos in natural order, and what was left out on the way."""

    root: Path
    """The folder that names are relative to."""
    videos: tuple[Video, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    """How many files were left out, by reason."""
    table: Path | None = None
    """The table that labels, splits and groups are from; None where the folders alone say it."""

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[Video]:
        return iter(self.videos)

    @keeps_any_text
    def to_frame(self) -> pd.DataFrame:
        """A row for each video with the fields of `Video`; what is not known is empty or NaN."""
        import pandas as pd

        return pd.DataFrame([asdict(video) for video in self.videos], columns=[item.name for item in fields(Video)])

    @property
    def classes(self) -> list[str]:
        """The labels, in natural order."""
        return sorted({video.label for video in self.videos if video.label}, key=natural_key)

    def summary(self) -> str:
        """One line: how many videos, classes and skipped files."""
        parts = [plural(len(self), "video"), plural(len(self.classes), "class", "classes")]
        for split in SPLITS:
            count = sum(video.split == split for video in self.videos)
            if count:
                parts.append(f"{split} {count}")
        parts += [f"{count:,} left out ({reason})" for reason, count in sorted(self.skipped.items())]
        if self.table is not None and self.table.parent == self.root:
            parts.append(f"labels and splits of {self.table.name}")
        return ", ".join(parts)


# -- reading ---------------------------------------------------------------------------------------


def open_catalog(source: str | Path, *, use_table: bool = True, class_level: int | None = None) -> Catalog:
    """List the videos of a folder, a CSV file or a single video file.

    Args:
        source: what to list. In a folder, the labels, splits and groups of its ``data_file.csv`` count.
        use_table: whether that table counts; without it the folders alone say what a video is.
        class_level: which folder below ``source``, or below its train, val and test, names the class: 3 for
            ``site/cam/fox/1.mp4``. It counts more than the labels of that table.

    Raises:
        UserError: there is no such thing, or it holds no videos.
    """
    source = Path(source)
    if class_level is not None and class_level < 1:
        raise UserError(f"`class_level={class_level}`: expected 1 or more")
    if source.is_dir():
        catalog = scan_folder(source, class_level or 1)
        if class_level and catalog.videos and not catalog.classes:
            deep = plural(class_level, "folder")
            raise UserError(f"`class_level={class_level}`: no video of {source} lies {deep} below it")
        if use_table and (source / TABLE).is_file():
            catalog = _with_table(catalog, source / TABLE, keep_labels=class_level is not None)
        if not catalog.videos:
            left_out = [f"{count:,} left out: {reason}" for reason, count in catalog.skipped.items()]
            why = ", ".join(left_out) or "it is empty"
            raise UserError(f"no videos in {source} ({why}); expected {source}/<Class>/*.mp4 or similar")
        return catalog
    if not source.exists():
        raise UserError(f"{source} does not exist; expected a folder of videos, a video file or a CSV file")
    if class_level is not None:
        raise UserError(f"`class_level={class_level}` is for a folder of videos, and {source} is a file")
    if source.suffix.lower() in (".csv", ".tsv", *SPREADSHEETS):
        return read_catalog(source)
    return Catalog(source.parent, (Video(source.name, source),))


def scan_folder(root: Path, class_level: int = 1) -> Catalog:
    """Find the videos of ``root/{train,val,test}/<Class>/...`` or ``root/<Class>/...``.
    The class may also be the name of a deeper folder, the ``class_level``-th one.

    Where there are no video files, images are taken: ``root/<Class>/<video>/00001.jpg`` for folders of frames, and
    ``root/<Class>/kitten.jpg`` for videos of one frame. A folder with ``frames.csv`` (see `videos.media.image_folder`)
    is always a video. In a folder with ``labels.csv`` each folder of images is a video that has no one label.
    Hidden files and files that are not videos are counted and left out. Linked folders are followed,
    each folder once. A video right in ``root`` has no label. Clips have the group that the ``clips.csv``
    beside them gives.
    """
    found: list[tuple[str, ...]] = []
    images: list[tuple[str, ...]] = []
    timed: set[tuple[str, ...]] = set()
    skipped: Counter[str] = Counter()
    for parts in _walk(root, skipped):
        if parts[-1].startswith("."):
            skipped["hidden"] += 1
        elif parts[-1] in _OWN_TABLES:
            continue
        elif is_image(parts[-1]):
            images.append(parts)
        elif parts[-1] == TIMES:
            timed.add(parts[:-1])
        elif os.path.splitext(parts[-1])[1].lower() not in VIDEO_EXTENSIONS:
            skipped["not videos"] += 1
        else:
            found.append(parts)
    framewise = (root / LABELS).is_file()
    found += _of_images(images, timed, framewise, bool(found), class_level, skipped)
    groups: dict[str, dict[str, str]] = {}
    # A folder called "train" is a split if it holds class folders; if it holds videos it is the class of trains.
    split_folders = {parts[0] for parts in found if len(parts) > 2 and parts[0].lower() in SPLIT_FOLDERS}
    here = root.absolute()
    videos = []
    for parts in found:
        if not split_folders:
            split, below = "", () if framewise else parts[:-1]
        elif parts[0] in split_folders:
            split, below = SPLIT_FOLDERS[parts[0].lower()], parts[1:-1]
        else:
            skipped["outside the split folders"] += 1
            continue
        label = below[class_level - 1] if len(below) >= class_level else ""
        path = here.joinpath(*parts)
        videos.append(Video("/".join(parts), path, label, split, _group_beside(path, groups)))
    return Catalog(root, _in_order(videos), skipped)


def _with_table(scanned: Catalog, table: Path, *, keep_labels: bool = False) -> Catalog:
    """The videos of a folder, and others that its table lists, with what that says; labels of folders may stay."""
    listed = {video.path: video for video in read_catalog(table)}
    videos = []
    for video in scanned:
        row = listed.pop(video.path, None)
        if row is not None:
            said = {name: getattr(row, name) for name in _SAID if getattr(row, name) not in ("", None)}
            if keep_labels and video.label:
                said["label"] = video.label
            video = replace(video, **said)
        videos.append(video)
    there = [video for video in listed.values() if os.path.exists(video.path)]
    missing = Counter({f"of {table.name} that are not there": len(listed) - len(there)})
    return replace(scanned, videos=_in_order([*videos, *there]), skipped=scanned.skipped + missing, table=table)


def _of_images(
    images: Sequence[tuple[str, ...]],
    timed: set[tuple[str, ...]],
    framewise: bool,
    beside_videos: bool,
    class_level: int,
    skipped: Counter[str],
) -> list[tuple[str, ...]]:
    """The videos that images make: folders of frames, and single images that lie right in a class."""
    found: dict[tuple[str, ...], None] = {}
    for parts in images:
        folder = parts[:-1]
        if folder in timed:
            found[folder] = None
        elif beside_videos:
            skipped["images beside videos"] += 1  # Thumbnails and contact sheets, most likely.
        else:
            classes = class_level + bool(folder and folder[0].lower() in SPLIT_FOLDERS)
            found[folder if len(folder) > classes or (framewise and folder) else parts] = None
    return list(found)


def _group_beside(path: Path, groups: dict[str, dict[str, str]]) -> str:
    """The group that a ``clips.csv`` beside a clip gives it; ``groups`` keeps what was read of each folder."""
    folder, name = os.path.split(path)  # Quicker than Path for many thousands of rows.
    if folder not in groups:
        groups[folder] = clip_origins.groups_in(Path(folder))
    return groups[folder].get(name, "")


def _walk(root: Path, skipped: Counter[str]) -> Iterator[tuple[str, ...]]:
    """Yield every file below ``root`` as path parts; a loop of links is entered once."""
    seen: set[tuple[int, int]] = set()
    pending: list[tuple[str, ...]] = [()]
    while pending:
        here = pending.pop()
        try:
            status = os.stat(root.joinpath(*here))
            if (status.st_dev, status.st_ino) in seen:
                skipped["linked a second time"] += 1
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list(os.scandir(root.joinpath(*here)))
        except OSError as error:
            if not here:
                raise UserError(f"cannot read {root}: {error.strerror}") from None
            skipped["unreadable folders"] += 1
            continue
        for entry in entries:
            if entry.is_dir():
                if entry.name.startswith("."):
                    skipped["hidden"] += 1
                else:
                    pending.append((*here, entry.name))
            else:
                yield (*here, entry.name)


def read_catalog(path: str | Path) -> Catalog:
    """Read a CSV with ``path`` (or ``video_name``), ``label`` (or ``tag``), and optionally ``split`` and ``group``.

    A table without a header is read as `published_table` describes it.

    Paths are relative to the CSV file. A name without folder or extension is also looked for in
    ``<split>/<label>/``, ``<split>/`` and ``<label>/`` beside it.

    Raises:
        UserError: no such column, no rows, or a file listed twice with different labels.
    """
    path = Path(path)
    videos = {video.name: video for _, video in read_rows(path)}
    return Catalog(path.parent, _in_order(videos.values()), table=path)


def read_rows(path: Path) -> list[tuple[dict[str, str], Video]]:
    """The rows of a table of videos as they stand there, each with the video that it means.

    Raises:
        UserError: see `read_catalog`.
    """
    rows = published_table.read_rows(path)
    headless = bool(rows)
    rows = rows or read_numbered(path, MOST_VIDEOS)
    there = set(rows[0][1]) if rows else set()
    columns = {key: next((name for name in names if name in there), None) for key, names in COLUMN_NAMES.items()}
    column = columns["path"] or columns["video"]
    if column is None:
        raise UserError(f"{path} has no rows or no column 'path' (or 'video_name'); its first line names the columns")
    videos: dict[str, Video] = {}
    found: list[tuple[dict[str, str], Video]] = []
    groups: dict[str, dict[str, str]] = {}
    folder = str(path.parent.absolute())
    for line, row in rows:
        if not row[column]:
            raise UserError(f"{path}, line {line}: the column '{column}' is empty")
        label, split, group = (row.get(columns[key] or "", "") for key in ("label", "split", "group"))
        split = read_split(split, f"{path}, line {line}")
        file = _find(folder, row[column], label, split, bare=headless)
        name = row.get(columns["video"] or "", "") or Path(row[column]).as_posix()
        if headless and file.is_relative_to(folder):  # the name alone may be that of several videos
            name = file.relative_to(folder).as_posix()
        video = Video(name, file, label, split, group or _group_beside(file, groups), **_facts(row))
        if name in videos and videos[name] != video:
            raise UserError(f"{path}, line {line}: {name} is listed twice with different entries")
        found.append((row, video))
        videos[name] = video
    return found


def read_split(text: str, where: str) -> str:
    """A split as a table names it (``valid``, ``Testing``) by the name it has here; empty stays empty.

    Raises:
        UserError: another word; the message begins with ``where``.
    """
    split = SPLIT_FOLDERS.get(text.lower(), text)
    if split not in ("", *SPLITS):
        raise UserError(f"{where}: split {text!r} is unknown; expected train, val or test")
    return split


def _find(folder: str, name: str, label: str, split: str, *, bare: bool = False) -> Path:
    """The file that a row means; where none is found, the plain path, which fails when it is opened.

    A ``bare`` name never has its extension, also where there is a dot in it.
    """
    extensions = ("",) if os.path.splitext(name)[1] and not bare else ("", *sorted(VIDEO_EXTENSIONS))
    for below in dict.fromkeys(("", os.path.join(split, label), split, label)):
        for extension in extensions:
            place = os.path.join(folder, below, name + extension)
            # Unlike those of Path, these answer no where a folder may not be entered or a name is too long.
            if os.path.isfile(place) or (not extension and os.path.isdir(place)):
                return Path(place)
    return Path(folder, name)


def _facts(row: dict[str, str]) -> dict:
    """Counted facts that an earlier run wrote into a catalog; what is not a number is left out."""
    facts: dict[str, float | None] = {}
    for key, kind in (("frames", int), ("fps", float), ("width", int), ("height", int), ("duration", float)):
        try:
            facts[key] = kind(row[key])
        except (KeyError, ValueError):
            facts[key] = None
    return facts


def _in_order(videos: Iterable[Video]) -> tuple[Video, ...]:
    return tuple(sorted(videos, key=lambda video: natural_key(video.name)))
