"""The commands, one file each, and ``video-pipeline VERB``, which opens them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from pipeline.cli.command import CALLED_WRONGLY, OK, run
from pipeline.parallel.opencv_build import opencv_builds, opencv_clash, opencv_missing
from pipeline.version import VERSION

_TOLD = "VIDEO_PIPELINE_TOLD"  # set for the commands that a command runs

VERBS = {
    # verb: the module below this package, and what it does in one line
    "cut": ("videos.cut_clips", "cut short clips out of long recordings"),
    "list": ("videos.list_videos", "list the videos of a folder with their labels, and count their frames"),
    "check": ("videos.check_videos", "find damaged, duplicate and odd videos"),
    "explore": ("videos.explore", "one page with frames of every video"),
    "frames": ("videos.extract_frames", "frames of videos as images"),
    "split": ("videos.split_dataset", "divide videos into train, val and test"),
    "prepare-labels": ("videos.prepare_labels", "check labels of frames and give them splits"),
    "convert-labels": ("videos.convert_labels", "annotations of other programs to labels of segments or frames"),
    "describe": ("extraction.describe", "a first description of a network that is a file"),
    "extract": ("extraction.extract_features", "stage one: videos to a store of features"),
    "check-features": ("extraction.check_features", "read every value of a store"),
    "export-features": ("extraction.export_features", "a store as .npy files, or one HDF5 or Parquet file"),
    "import-features": ("extraction.import_features", "features of another program as a store"),
    "train": ("training.train", "stage two: train a head on a store"),
    "evaluate": ("training.evaluate", "a checkpoint on a store"),
    "search": ("training.search", "train many heads, and keep the best"),
    "compare": ("training.compare_runs", "several runs side by side, as a page"),
    "samples": ("training.show_samples", "sequences of a frame cache as an image"),
    "classify": ("inference.classify", "label videos, a camera or a stream"),
    "demo": ("published.demo", "the whole main job, on recordings made here or on your videos"),
    "run": ("published.run_config", "a whole published system, from its configuration"),
    "report-grid": ("published.report_grid", "the models of a search under the names of one published grid search"),
}


def load(verb: str) -> ModuleType:
    """The module of a command, with its ``parser()`` and ``main(argv)``; nothing of the others is imported."""
    return importlib.import_module(f"{__name__}.{VERBS[verb][0]}")


def main(script: str = "") -> int:
    """``video-pipeline VERB ...``, and what each of scripts/ does.

    Args:
        script: the verb, where a file of scripts/ stands for it.
    """
    if script:
        return _run(script)
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in ("-h", "--help"):
        print(_help())
        return OK
    if verb == "--version":
        print(f"video-pipeline {VERSION}")
        return OK
    if verb not in VERBS:
        print(f"error: there is no command {verb!r}; expected one of {', '.join(VERBS)}", file=sys.stderr)
        return CALLED_WRONGLY
    # argparse names the program by argv[0], and the command says what it was called with by the rest.
    sys.argv[:2] = [f"video-pipeline {verb}"]
    return _run(verb)


def _run(verb: str) -> int:
    def call(argv: Sequence[str] | None) -> int:
        try:
            return int(load(verb).main(argv))
        except ImportError as error:
            if not (line := opencv_missing(error, opencv_builds())):
                raise
            print(f"error: {line}", file=sys.stderr)
            return CALLED_WRONGLY

    if _TOLD not in os.environ and not {"-h", "--help", "--quiet"} & set(sys.argv):
        if line := opencv_clash(opencv_builds()):
            print(f"note: {line}", file=sys.stderr)
        os.environ[_TOLD] = "opencv"
    return run(call, parser=lambda: load(verb).parser())


def _help() -> str:
    width = max(map(len, VERBS)) + 2
    lines = [f"  {verb:{width}}{said}" for verb, (_, said) in VERBS.items()]
    return "\n".join(["usage: video-pipeline VERB ...", "", *lines, "", "video-pipeline VERB --help tells more."])
