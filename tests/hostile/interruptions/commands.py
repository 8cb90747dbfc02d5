"""The commands that write, each with what it reads and what may be of it where it was stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.extraction.store.store import FeatureStore
from tests.hostile.interruptions.processes import contents
from tests.media import write_video
from tests.training.stores import write_store

TINY = ("--backbone", "tiny", "--weights", "random", "--sampling", "uniform:4", "--size", 32)
LIGHT = ("list", "explore", "cut", "frames", "check", "export", "export one file", "import")
HEAVY = (
    *("train", "members", "resume", "resume members", "folds", "search", "evaluate", "compare", "report"),
    *("classify", "classify a folder", "export a model", "calibration"),
)


@dataclass(frozen=True)
class Call:
    """A command that writes into a folder."""

    words: tuple[object, ...]
    """The verb and its arguments; ``OUT`` is where it writes."""
    again: tuple[str, ...] = ()
    """What the next run is told besides."""
    grows: tuple[str, ...] = ()
    """Patterns of files that are written again and again; others have their last content, or are not there yet."""
    kept: tuple[str, ...] = ()
    """Patterns of files that the next run leaves as they are: what was finished is not done anew."""
    varies: dict[str, bool] | None = None
    """Patterns of videos that no two runs write alike, and whether frames carry numbers: an encoder has as many threads
    as there is work for, and what a decoder makes of damage is chance."""
    refused: str = ""
    """What the next run says, with exit status 2, where all was finished before the kill."""
    status: int = 0
    """Of a run that nobody disturbs."""

    def into(self, out: Path) -> list[str]:
        """Its words, where it writes into a folder."""
        return [str(word).replace("OUT", str(out)) for word in self.words]

    def contents(self, out: Path, *, hidden: bool = True) -> dict[str, object]:
        """What it wrote, see `contents`; of videos that vary, their frames."""
        return contents(out, hidden=hidden, videos=self.varies)


def make_inputs(folder: Path) -> Path:
    """What commands read: a store with labels of its frames, a grid, arrays, recordings and damaged ones."""
    opened = FeatureStore(write_store(folder / "store", per_class=8, sampling="all"))
    labels, arrays = ["video,frame,file,label"], ["file,label"]
    (folder / "arrays").mkdir()
    for number, (name, entry) in enumerate(opened.entries.items()):
        labels += [f"{name},{frame},{frame}.jpg,{'ab'[(number + frame // 3) % 2]}" for frame in range(entry.steps)]
        np.save(folder / f"arrays/{number}.npy", opened.read(name).features)
        arrays.append(f"{number}.npy,{'ab'[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "arrays.csv").write_text("\n".join(arrays) + "\n")
    (folder / "grid.yaml").write_text("head: [mean]\ndropout: [0.1, 0.3, 0.5]\n")
    (folder / "damaged").mkdir()
    for number in range(6):
        movie = write_video(folder / f"movies/{'ab'[number % 2]}/{number}.mp4", frames=40, first=100 * number)
        content = bytearray(movie.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
        (folder / f"damaged/{number}.mp4").write_bytes(content)
    return folder


def light_calls(made: Path) -> dict[str, Call]:
    movies, drawn = made / "movies", made / "store"
    damaged = ("check", made / "damaged", "--out", "OUT/problems.csv", "--fix", "OUT/fixed")
    imported = ("import-features", made / "arrays", "--labels", made / "arrays.csv", "--out", "OUT/store")
    cut = Call(("cut", movies, "--every", 0.4, "--out", "OUT/clips"), grows=("*.csv",), kept=("clips/*/*.mp4",))
    return {
        "list": Call(("list", movies, "--out", "OUT/list.csv", "--overwrite")),
        "explore": Call(("explore", movies, "--out", "OUT/page.html", "--overwrite")),
        "cut": replace(cut, varies={"*.mp4": True}),
        "frames": Call(("frames", movies, "--out", "OUT/frames", "--overwrite")),
        "check": Call(damaged, kept=("fixed/*.mp4",), varies={"fixed/*.mp4": False}, status=1),
        "export": Call(("export-features", drawn, "--out", "OUT/arrays", "--overwrite")),
        "export one file": Call(("export-features", drawn, "--out", "OUT/all.h5", "--overwrite")),
        "import": Call(imported, grows=("*.csv", "*/shards")),
    }


def heavy_calls(made: Path, colours: Path, videos: Path) -> dict[str, Call]:
    train, labels = ("train", made / "store", "--head", "mean"), ("--labels", made / "labels.csv")
    many, one = ("--members", 3), ("--members", 1)
    state = ("run.state*.npz",)  # from which --resume goes on
    resumed = Call((*train, "--epochs", 12, "--out", "OUT/run", *one), again=("--resume",), grows=state)
    resumed = replace(resumed, refused="is finished, so there is nothing to resume")
    search = ("search", made / "store", "--grid", made / "grid.yaml", "--out", "OUT/search", "--epochs", 2)
    calibrated = ("extract", videos, "--out", "OUT/int8", *TINY, "--precision", "int8", "--workers", 1)
    video = next((videos / "Blue").iterdir())
    files = ("--output", "OUT/a.avi", "--json", "OUT/a.json", "--csv", "OUT/a.csv", "--html", "OUT/a.html")
    folder = ("classify", colours, videos, "--output", "OUT/folder/a.mp4")
    reported = ("report-grid", made / "search", *labels, "--out", "OUT/models", "--overwrite")
    trials = sorted((made / "search/trials").glob("*"))
    return {
        "train": Call((*train, *one, "--epochs", 3, "--out", "OUT/run", "--overwrite"), grows=state),
        "members": Call((*train, *many, "--epochs", 3, "--out", "OUT/run", "--overwrite"), grows=state),
        "resume": resumed,
        "resume members": replace(resumed, words=(*resumed.words[:-1], 3)),
        "folds": Call((*train, *one, "--epochs", 2, "--folds", 3, "--out", "OUT/folds", "--overwrite")),
        "search": Call(search, grows=("search/results.csv", "search/comparison.html"), kept=("search/trials/*/*",)),
        "evaluate": Call(
            ("evaluate", trials[0], made / "store", *labels, "--split", "all", "--out", "OUT/figures", "--overwrite")
        ),
        "compare": Call(("compare", *trials, "--out", "OUT/page.html", "--overwrite")),
        "report": Call(reported),
        "classify": Call(("classify", colours, video, *files, "--overwrite")),
        "classify a folder": Call(folder, grows=("folder/*.csv",), varies={"folder/*/*/a.mp4": False}),
        "export a model": Call(("classify", colours, "--export", "OUT/model"), refused="it exists"),
        "calibration": Call(calibrated, grows=("*.csv", "*.json", "*/shards")),
    }
