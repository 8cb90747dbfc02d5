"""Clips of a classified video: the segments of a label as files, or all but those."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.files.text import plural

if TYPE_CHECKING:
    from pipeline.inference.outputs.cut_segments import Highlights
    from pipeline.inference.timeline.prediction import VideoPrediction
    from pipeline.training.checkpoint import Checkpoint


def highlights_of(args: argparse.Namespace, checkpoint: Checkpoint) -> list[Highlights]:
    """The clips that --cut and --cut-out ask for.

    Raises:
        UserError: a label that is no class of the checkpoint.
    """
    from pipeline.inference.outputs.cut_segments import Highlights

    wanted = [Highlights(label, False, args.clips) for label in args.cut]
    wanted += [Highlights(label, True, args.clips) for label in args.cut_out]
    for item in wanted:
        item.check(checkpoint.classes)
    return wanted


def cut(
    say: Callable[[str], None], args: argparse.Namespace, prediction: VideoPrediction, highlights: list[Highlights]
) -> int:
    """Cut the clips that were asked for; returns how many failed."""
    from pipeline.inference.outputs.cut_segments import cut_highlights

    failed = 0
    for item in highlights:
        count = len(item.stretches(prediction.segments))
        with command.progress(count, "clip", args.quiet, desc="cut") as bar:
            clips, errors = cut_highlights(prediction, item, show=bar.update)
        say(f"{item.folder / item.name}: {plural(len(clips), 'clip')}")
        for error in errors:
            print(f"failed: {error}", file=sys.stderr)
        failed += len(errors)
    return failed
