"""One epoch on cached features against one epoch of the same frozen network end to end, and what varied copies cost.

    python benchmarks/end_to_end.py --data ../shared/videos/actions --weights $W

Clips are extracted twice: as frames, and through the frozen network as features. The same head, an LSTM on the
network's output, is then trained on both: on features, and as ``lrcn`` with the frozen base inside. With --copies K
the cheap way to augment, K varied copies of each video in the cache, is measured against the dear one, frames that
are varied and sent through the network in every epoch.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands.extraction import extract_features
from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import DEFAULT
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.catalog.catalog_table import write_catalog


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python benchmarks/end_to_end.py --data ../shared/videos/actions")
    parser.add_argument("--data", required=True, help="labelled videos")
    parser.add_argument("--videos", type=int, default=32, help="how many of them, evenly from the list")
    parser.add_argument("--backbone", default="inceptionv3", help="the frozen network")
    parser.add_argument("--weights", default="random", help="as for extract_features.py")
    parser.add_argument("--size", type=int, default=112, help="side of the frames in pixels")
    parser.add_argument("--frames", type=int, default=10, help="frames of each video")
    parser.add_argument("--epochs", type=int, default=3, help="epochs; the first one, which compiles, is left out")
    parser.add_argument("--copies", type=int, default=3, help="varied copies of each video")
    args = parser.parse_args(argv)
    if args.epochs < 2:
        raise UserError(f"--epochs {args.epochs}: expected 2 or more, as the first one is left out")
    with tempfile.TemporaryDirectory() as place:
        _measure(args, Path(place))
    return command.OK


def _measure(args: argparse.Namespace, place: Path) -> None:
    catalog = open_catalog(args.data)
    chosen = [catalog.videos[i] for i in np.linspace(0, len(catalog) - 1, min(args.videos, len(catalog))).astype(int)]
    write_catalog([replace(video, path=video.path.absolute()) for video in dict.fromkeys(chosen)], place / "data.csv")
    recipe = [str(place / "data.csv"), "--size", str(args.size), "--sampling", f"uniform:{args.frames}", "--quiet"]
    network = ["--backbone", args.backbone, "--weights", args.weights, "--precision", "float32"]

    seconds = {}
    for name, options in (
        ("features", network),
        ("frames", ["--backbone", "frames"]),
        ("copies", [*network, "--augment", str(args.copies)]),
    ):
        if name == "copies":
            shutil.copytree(place / "features", place / "copies")  # only the copies are made
        begun = time.perf_counter()
        status = extract_features.main([*recipe, *options, "--out", str(place / name)])
        seconds[name] = time.perf_counter() - begun
        if status:
            raise UserError(f"{args.data}: some videos failed; see the lines above")
    from pipeline.training.heads.registry import head_spec

    base = {"base": args.backbone, "weights": args.weights}
    cached = _epoch(args, place / "features", head_spec("lstm", units=128, layers=1))
    copied = _epoch(args, place / "copies", head_spec("lstm", units=128, layers=1))
    whole = _epoch(args, place / "frames", head_spec("lrcn", units=128, **base))
    varied = _epoch(args, place / "frames", head_spec("lrcn", units=128, **base), augment=DEFAULT)

    print(f"{len(set(chosen))} videos, {args.frames} frames of {args.size} px, {args.backbone}; seconds")
    print(f"  extraction: frames {seconds['frames']:.1f}, features {seconds['features']:.1f}")
    print(f"  one epoch: cached features {cached:.3f}, end to end {whole:.3f}: {whole / cached:.0f} times")
    print(f"  augmented: {args.copies} copies cost {seconds['copies']:.1f} once, ", end="")
    print(
        f"then an epoch on them {copied:.3f}; varied end to end {varied:.3f} in each epoch: {varied / copied:.0f} times"
    )
    print(f"  the copies are paid back after {seconds['copies'] / max(1e-9, varied - copied):.1f} epochs")


def _epoch(args: argparse.Namespace, store: Path, head, augment: str = "") -> float:
    """Seconds of one epoch of training, validation on as little as possible; the fastest after the first."""
    from pipeline.training.data.dataset import open_dataset, windows_of
    from pipeline.training.loop.fit import fit
    from pipeline.training.loop.spec import TrainSpec

    data = open_dataset(store)
    rows = np.arange(len(data))
    window = data.default_window(rows)
    longer, with_copies = data.with_copies(rows)
    spec = TrainSpec(epochs=args.epochs, batch=8, patience=args.epochs, plateau=args.epochs, augment=augment)
    trained = fit(data, windows_of(longer, with_copies, window), windows_of(data, rows[:1], window), head, spec)
    return min(epoch.seconds for epoch in trained.schedule.history[1:])


if __name__ == "__main__":
    sys.exit(command.run(main))
