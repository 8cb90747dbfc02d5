"""Every option of every command, by kind of input: it is refused in one line, or it does something."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands import VERBS, load
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE
from pipeline.training.checkpoint import CHECKPOINT_FILE, Checkpoint
from pipeline.training.data.time_scale import TimeScale
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.registry import head_spec
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.source_file import SourceFile
from tests.media import write_video
from tests.training.stores import write_store

# What an option is given where it takes a value that another kind of input would accept; {x} is a place below.
VALUES = {
    "--accumulate": "2", "--augment": "flip", "--base": "mobilenet", "--batch": "4", "--cell": "gru",
    "--class-level": "1", "--clip-seconds": "2", "--clips": "{new}", "--codec": "mjpg", "--csv": "{new}.csv",
    "--cut": "walk", "--cut-out": "walk", "--dtype": "float32", "--engine": "keras", "--fine-tune": "2",
    "--fine-tune-rate": "0.1", "--fps": "5", "--html": "{new}.html", "--int8-from": "{features}",
    "--json": "{new}.json",
    "--kernel": "3", "--label-smoothing": "0.1", "--min-duration": "1", "--mixup": "0.2", "--noise": "0.1",
    "--output": "{new}.mp4", "--overlap": "0.1", "--patience": "5", "--pooling": "max", "--precision": "bfloat16",
    "--preset": "fast", "--quality": "20", "--ray-address": "auto", "--ray-workers": "2", "--reuse-static": "1",
    "--seconds": "5", "--seed": "1", "--segments": "{new}.csv", "--shares": "6 2 2", "--size": "32x32",
    "--smooth": "mean:3", "--srt": "{new}.srt", "--store": "{features}", "--stride": "2", "--style": "plain",
    "--test": "0.3", "--tier": "x", "--time-mask": "0.1", "--timeout": "5", "--trainable": "2", "--val": "0.3",
    "--video": "{movie}", "--weights": "random", "--abstain-below": "0.5", "--momentum": "0.5",
    "--units": "8", "--classes": "run,walk",
    "--seeds": "2", "--seen": "{new}.gif", "--most-hours": "1",
    "--layers": "2", "--layer": "mean",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of input: a call that is good, and the options that mean nothing in it."""

    name: str
    call: str
    refused: str = ""


_ON_BASES = "--base --weights --pooling --trainable --cell --kernel --fine-tune"
_DRAWN = "--style --fps --codec"
_FILES = "--json --csv --segments --srt --html"
KINDS = [
    Kind("pieces", "cut {movie} --every 1 --out {new}", "--clamp --tier"),
    Kind("segments", "cut --segments {segments} --out {new}", "--overlap --drop-last"),
    Kind("copies", "cut {movie} --every 1 --copy --out {new}", "--size --fps --no-sound --quality --preset --verify"),
    Kind("counted", "list {data}", "--overwrite"),
    Kind("of a table", "list {table} --out {new}.csv", "--class-level"),
    Kind("by shares", "split {data} --out {new}.csv", "--val"),
    Kind("shown", "split {data}", "--val --overwrite"),
    Kind("by lists", "split {data} --list {table} --out {new}.csv", "--shares --seed"),
    Kind("as png", "frames {movie} --format png --out {new}", "--quality"),
    Kind("to segments", "convert-labels {labels} --to segments --out {new}.csv", "--tier"),
    Kind("with splits", "prepare-labels {folders} --out {new}.csv", "--shares --seed"),
    Kind(
        "features",
        "extract {data} --out {new} --weights random",
        "--int8-from --ray-address --ray-workers --unlabelled",
    ),
    Kind("of one table", "extract {table} --out {new} --weights random", "--class-level --unlabelled"),
    Kind(
        "frames",
        "extract {data} --out {new} --backbone frames --size 32",
        "--dtype --weights --pooling --layer --precision --int8-from --batch --reuse-static --engine",
    ),
    Kind(
        "a head on features",
        "train {features} --out {new}",
        f"{_ON_BASES} --fine-tune-rate --precision --augment --momentum --resplit --seeds",
    ),
    Kind("a head without layers", "train {features} --out {new} --head mean", "--units --layers --unidirectional"),
    Kind("a network on frames", "train {frames} --out {new} --head c3d_small", "--noise --time-mask --mixup --layers"),
    Kind("a base that is tuned", "train {frames} --out {new} --head lrcn --fine-tune 2", "--trainable --kernel"),
    Kind("folds", "train {features} --folds 3", "--test --resplit --all --resume --overwrite --abstain-below"),
    Kind("the catalog's split", "train {split} --out {new}", "--test --val"),
    Kind("printed", "evaluate {checkpoint} {features}", "--overwrite"),
    Kind("heads on features", "search {features} --grid {grid} --out {new}", "--weights"),
    Kind("whole sequences", "samples {frames} --out {new}.png", "--stride"),
    Kind(
        "a file",
        "classify {checkpoint} {movie}",
        f"--store --retry-failed --seconds --patience --clips --classes --class-level {_DRAWN}",
    ),
    Kind("a file, its data only", "classify {checkpoint} {movie} --no-video --json {new}.json", f"--output {_DRAWN}"),
    Kind("a file, drawn as MP4", "classify {checkpoint} {movie} --output {new}.mp4", "--no-video --codec"),
    Kind(
        "many videos",
        "classify {checkpoint} {data} --output {new}",
        f"--probabilities --cut --cut-out --clips --show --seconds --patience {_DRAWN}",
    ),
    Kind(
        "a live source",
        "classify {checkpoint} rtsp://127.0.0.1:9/none",
        f"--no-video {_FILES} {_DRAWN} --overwrite --cut --cut-out --clips --store --retry-failed --seen --each-window "
        "--clip-seconds --probabilities --timeout --min-duration --most-hours --classes --class-level",
    ),
    Kind(
        "an export",
        "classify {checkpoint} --export {new}",
        f"--output --no-video {_FILES} {_DRAWN} --overwrite --cut --cut-out --clips --store --retry-failed "
        "--clip-seconds --probabilities --timeout --min-duration --stride --smooth --abstain-below --show --seconds "
        "--patience --precision --engine --measure --most-hours",
    ),
    Kind("a system without weights of its own", "run {system} --data {data}", "--weights --video"),
]
# Options that do something in every kind of input which does not refuse them. Whoever adds an option decides here.
WORK = {
    "cut": "--out --every --segments --overlap --drop-last --clamp --tier --copy --size --fps --no-sound --quality "
    "--preset --verify --workers --timeout --overwrite",
    "list": "--classes --format --min-frames --out --decode --class-limit --class-level --group --overwrite "
    "--workers --timeout",
    "check": "--classes --out --class-level --workers --timeout --quarantine --fix",
    "explore": "--classes --out --class-level --sheets --problems --check --workers --timeout --overwrite",
    "frames": "--classes --class-level --out --sampling --format --quality --overwrite --workers --timeout",
    "split": "--classes --out --class-level --shares --list --val --group --seed --link --move --overwrite",
    "prepare-labels": "--labels --out --background --shares --seed --overwrite --workers --timeout",
    "convert-labels": "--out --to --video --tier --background --overwrite --workers --timeout",
    "extract": "--classes --out --class-level --unlabelled --sampling --backbone --input --weights --size "
    "--crop --interpolation "
    "--pooling --layer --reuse-static --augment "
    "--precision --int8-from --batch --dtype --workers --timeout --retry-failed "
    "--commit-every --worker --measure --devices --engine --ray-address --ray-workers --overwrite",
    "check-features": "--quarantine",
    "describe": "--overwrite",
    "export-features": "--out --overwrite",
    "import-features": "--labels --out --key --time-axis --step --dtype",
    "train": "--fuse --labels --sampling --memory --out --overwrite --seed --head --units --layers --dropout "
    "--unidirectional --base --weights --pooling --trainable --cell --kernel --fine-tune --fine-tune-rate --precision "
    "--augment --window --stride --policy --window-seconds --stride-seconds --random-windows --group --folds --val "
    "--test --resplit --all --epochs --patience --plateau --batch --accumulate --optimizer --momentum --learning-rate "
    "--rate-decay --weight-decay --label-smoothing --balance --noise --time-mask --mixup --resume --abstain-below "
    "--devices --tensorboard --members --seeds --abstain-accuracy --classes --mask "
    "--plateau-factor --rounds --save-every-epoch --save-every-improvement --val-last",
    "evaluate": "--fuse --labels --memory --split --group --out --overwrite",
    "search": "--classes --labels --sampling --memory --group --grid --out --method --trials --weights --epochs --seed",
    "compare": "--out --overwrite",
    "samples": "--out --sampling --videos --columns --window --stride --window-seconds --stride-seconds --augment "
    "--seed --overwrite",
    "classify": "--classes --class-level --each-window --seen --measure --stride --clip-seconds --timeout "
    "--weights --precision --engine --smooth --min-duration "
    "--abstain-below --output --out --overwrite --no-video --probabilities --json --csv --segments --srt --html "
    "--style --fps --codec --cut --cut-out --clips --store --retry-failed --show --seconds --patience --export",
    "demo": "--videos --out --weights",
    "run": "--data --out --weights --video --set --quick",
    "report-grid": "--ids --unlabelled --labels --out --overwrite",
}
# Of every command that opens videos in workers.
LIMITS = {"--most-gap", "--most-hours", "--most-memory", "--most-pixels"}
EVERYWHERE = {"--help", "--quiet", "--verbose", "--version"}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    """One small thing of each kind that commands read."""
    root = tmp_path_factory.mktemp("options")
    movie = write_video(root / "movie.mp4", frames=30)
    for number in range(3):
        for label in ("run", "walk"):
            write_video(root / f"data/{label}/{number}.mp4", frames=10, first=10 * number)
    (root / "table.csv").write_text(
        "video_name,tag\n" + "".join(f"data/{label}/{n}.mp4,{label}\n" for label in ("run", "walk") for n in range(3))
    )
    (root / "segments.csv").write_text("video,start,end,label\nmovie.mp4,0,0.5,run\n")
    (root / "labels.csv").write_text("video,frame,label\nmovie.mp4,0,run\n")
    (root / "folders").mkdir()
    write_video(root / "folders/a.mp4", frames=2)
    (root / "folders/labels.csv").write_text("video,frame,label,split\na.mp4,0,run,train\na.mp4,1,walk,train\n")
    (root / "grid.yaml").write_text("units: [4, 8]\n")
    (root / "system.yaml").write_text("commands:\n  count: list $data --out $out/table.csv\n")
    write_store(root / "features")
    write_store(root / "split", splits=True)
    return {
        "movie": movie, "data": root / "data", "table": root / "table.csv", "segments": root / "segments.csv",
        "labels": root / "labels.csv", "folders": root / "folders", "grid": root / "grid.yaml",
        "system": root / "system.yaml", "features": root / "features", "split": root / "split",
        "frames": frame_cache(root / "frames"), "checkpoint": checkpoint(root / "checkpoint"),
    }  # fmt: skip


def frame_cache(folder: Path) -> Path:
    videos = []
    with StoreWriter(folder, Recipe("uniform:4", "frames", "", 32, 32, layer="pixels")) as store:
        for number in range(12):
            buffer = store.buffer()
            buffer.append(np.zeros((4, 32, 32, 3), np.uint8), [0.5 * step for step in range(4)], list(range(4)))
            video = Video(f"{number}.mp4", folder / f"{number}.mp4", ("run", "walk")[number % 2])
            store.add(video.name, buffer, SourceFile(1, 1, "", frames=4, duration=2.0))
            videos.append(video)
    write_catalog(videos, folder / CATALOG_FILE)
    return folder


def checkpoint(folder: Path) -> Path:
    """Without a model: what is refused must be refused before it is loaded."""
    folder.mkdir()
    made = Checkpoint(
        folder=folder,
        classes=("run", "walk"),
        sources=(FeatureSource(Recipe("uniform:6", "tiny", "0" * 64, 32, 32), "random:0"),),
        window=WindowSpec(6),
        head=head_spec(),
        shape=(12,),
        time_scale=TimeScale(2.0, 1.8, 2.2, 0.1),
    )
    (folder / CHECKPOINT_FILE).write_text(made.to_json())
    return folder


REFUSALS = [(kind, option) for kind in KINDS for option in kind.refused.split()]


@pytest.mark.parametrize(("kind", "option"), REFUSALS, ids=lambda item: item if isinstance(item, str) else item.name)
def test_an_option_without_meaning_is_refused_in_a_line(kind, option, places, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def filled(text: str) -> list[str]:
        return [word.format(new=tmp_path / "new", **places) for word in text.split()]

    verb, *words = filled(kind.call)
    opened = load(verb)
    action = opened.parser()._option_string_actions[option]
    value = [] if action.nargs == 0 else filled(VALUES[option])
    status = command.run(opened.main, [*words, option, *value], parser=opened.parser)
    error = capsys.readouterr().err
    assert status == 2, error
    assert error.count("\n") == 1
    assert option in error
    assert list(tmp_path.iterdir()) == []


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for flag in parser._option_string_actions if flag.startswith("--")} - EVERYWHERE


@pytest.mark.parametrize("verb", VERBS)
def test_of_every_option_it_is_known_where_it_works(verb):
    found = options(load(verb).parser())
    assert found == set(WORK[verb].split()) | (LIMITS if found & LIMITS else set())
    refused = {option for kind in KINDS if kind.call.startswith(f"{verb} ") for option in kind.refused.split()}
    assert refused <= found


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_read(verb):
    """By a name in the command's source, or as a field of a dataclass that is made of the command line."""
    module = load(verb)
    folder = Path(module.__file__ or "").parent
    source = "".join(path.read_text() for path in (*folder.glob("*.py"), *folder.parent.glob("*.py")))
    parser = module.parser()
    unread = []
    for option in WORK[verb].split():
        name = parser._option_string_actions[option].dest
        if name not in parser.flags and not re.search(rf"args\.{name}\b|\"{name}\"", source):
            unread.append(option)
    assert unread == []
