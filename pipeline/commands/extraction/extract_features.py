"""Stage one: run a frozen network over every video once and keep the feature sequences.

The store can be interrupted and resumed at any time: the same command goes on where it stopped, looks at
new and changed videos only, and refuses to mix features of different recipes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.commands.extraction.chosen_recipe import RAY_HERE, chosen_recipe, stream_of
from pipeline.commands.worker_options import add_limits, put_limits
from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import DEFAULT, check_varies
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.engines.choose import ENGINES, INT8, MEASURE, PRECISIONS, allowed
from pipeline.extraction.recipe import FRAME_CACHE, POOLINGS, TOKEN_LAYERS, Input, Recipe
from pipeline.files.text import plural
from pipeline.parallel.child import COMMAND, python

if TYPE_CHECKING:  # and imported where they are used: --help and mistakes must not wait for decoders and networks
    from pipeline.extraction.jobs.augmented_copies import AugmentedCopySpec
    from pipeline.extraction.jobs.extract import Extraction
    from pipeline.extraction.network.int8_model import QuantisedNetwork
    from pipeline.extraction.network.load import AnyBackbone
    from pipeline.extraction.network.weights import WeightsSource
    from pipeline.videos.catalog.catalog import Catalog


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    say = command.say(args.quiet)
    put_limits(args)
    spec = from_args(ExtractionSpec, args)
    name, seen = stream_of(args.backbone, args.input)
    copies = _copies(args.augment, seen) if args.augment else None
    if args.devices:
        return _run_on_devices(args, spec, sys.argv[1:] if argv is None else argv)
    recipe, weights, licence = chosen_recipe(args, name, seen)

    from pipeline.extraction.jobs.extract import Extraction
    from pipeline.extraction.jobs.progress import ProgressLine
    from pipeline.extraction.store.folder import remove_store
    from pipeline.extraction.store.store import CATALOG_FILE, known_digest

    catalog = from_args(CatalogOptions, args).open(args.source)
    _check_labels(catalog, args)
    say(f"{args.source}: {catalog.summary()}")
    if licence:
        say(f"{recipe.backbone}: licence of the weights: {licence}")

    loader = _Loader(weights, args, say)
    if args.precision == INT8:
        recipe = _quantised(recipe, weights, catalog, spec, args, say)
    elif weights is not None:
        recipe = replace(recipe, weights_digest=known_digest(args.out, weights) or loader.backbone(recipe).digest)
    if args.overwrite and args.precision != INT8:
        remove_store(args.out)  # not before the weights could be read
    extraction = Extraction(catalog, args.out, recipe, weights, spec)
    plan = extraction.look()
    for note in extraction.table_changes.lines(args.out / CATALOG_FILE, args.source):
        say(f"note: {note}")
    if plan.extract and args.engine == "ray":
        _run_on_ray(extraction, weights, args, say)
    elif plan.extract:
        with extraction.decode() as pool, ProgressLine(extraction.progress, args.quiet) as line:
            # Decoding has begun; the network is loaded meanwhile.
            backbone = loader.backbone(recipe)
            extraction.run(pool, backbone, backbone.provenance, line.show)
    else:
        extraction.copy_known()
    if copies is not None:
        _make_copies(extraction, copies, loader, args, say)
    _report(extraction, args.out, say)
    return command.SOME_FAILED if extraction.failures() else command.OK


def _copies(text: str, seen: Input) -> AugmentedCopySpec:
    from pipeline.extraction.jobs.augmented_copies import AugmentedCopySpec

    copies = AugmentedCopySpec.parse(text)
    check_varies(seen)
    return copies


def _check_labels(catalog: Catalog, args: argparse.Namespace) -> None:
    """Videos without a class cost minutes of extraction before training refuses them."""
    from pipeline.videos.catalog.catalog import LABELS

    source = Path(args.source)
    named = any(video.label for video in catalog) or (source / LABELS).is_file()
    if not named and not args.unlabelled and (source.is_dir() or catalog.table):
        raise UserError(
            f"no video of {source} has a label, so nothing could be trained on it; expected {source}/<Class>/*.mp4 or "
            "a table with labels; --unlabelled extracts them all the same"
        )
    if named and args.unlabelled:
        raise UserError(f"--unlabelled is for videos without labels, and those of {source} have some; leave it out")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        __doc__,
        "python scripts/extract_features.py data --out features/match\n"
        "  python scripts/extract_features.py data --out features/frames --backbone frames --size 112",
    )
    made.add_argument("source", metavar="DATA", help="folder of videos, CSV file, or one video")
    made.add_argument("--out", type=Path, required=True, help="folder of the feature store")
    add_options(made, CatalogOptions, group="videos")
    made.group("videos").add_argument(
        "--unlabelled", action="store_true", help="extract videos of which none has a label"
    )
    recipe = "recipe: what decides the features"
    defaults = {"sampling": "uniform:20", "backbone": "inceptionv3", "input": None}
    add_options(made, Recipe, group=recipe, only=["sampling", "backbone", "input"], defaults=defaults)
    group = made.group(recipe)
    group.add_argument(
        "--weights",
        help="of a network of keras.applications: imagenet (downloaded once), a local .h5 file, or random[:SEED] "
        "(default: as in the store, else imagenet)",
    )
    group.add_argument("--size", help="side in pixels, or HEIGHTxWIDTH (default: the network's own)")
    add_options(
        made,
        Recipe,
        group=recipe,
        only=["crop", "interpolation"],
        defaults={"crop": None, "interpolation": None},
    )
    group.add_argument("--pooling", choices=POOLINGS, help="of a map that the network makes (default: avg)")
    group.add_argument(
        "--layer",
        choices=TOKEN_LAYERS,
        help="of a network that makes tokens: the first one, the mean of those of the patches, or both (default: what "
        "its authors take)",
    )
    add_options(made, Recipe, group=recipe, only=["reuse_static"])
    copies = made.add_argument_group("copies: what a store has besides")
    copies.add_argument(
        "--augment",
        metavar="K[:SPEC]",
        help=f"also K varied copies of each video, used in training only; SPEC as for train.py (default: {DEFAULT})",
    )
    speed = "run: what decides the speed"
    run = made.group(speed)
    run.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="compute precision; int8 changes the features a little and is part of the recipe",
    )
    run.add_argument(
        "--int8-from", type=Path, metavar="FOLDER", help="a store or checkpoint whose int8 network is to be used"
    )
    add_options(made, ExtractionSpec, group=speed, defaults={"dtype": None})
    add_limits(made)
    run.add_argument("--devices", metavar="0,1,...", help="GPUs of this machine: a process for each, one store")
    run.add_argument(
        "--engine",
        choices=(*ENGINES, "ray"),
        default="auto",
        help="what computes: Keras or OpenVINO on this machine, or a Ray cluster, where every worker decides as auto",
    )
    run.add_argument("--measure", action="store_true", help=MEASURE)
    run.add_argument("--ray-address", default=RAY_HERE, help="local, auto, or HOST:PORT of a running cluster")
    run.add_argument("--ray-workers", type=int, default=0, help="actors; 0: one per GPU, else one per machine")
    run.add_argument("--overwrite", action="store_true", help="remove what the store wrote and begin anew")
    return made


def _run_on_devices(args: argparse.Namespace, spec: ExtractionSpec, argv: Sequence[str]) -> int:
    if args.engine == "ray":
        raise UserError("--devices is for one machine; Ray gives each GPU an actor by itself")

    from pipeline.extraction.jobs import gpus
    from pipeline.extraction.store.folder import check_place, remove_store

    words, each = python(COMMAND, "extract"), gpus.parse_devices(args.devices)
    jobs = gpus.calls(words, argv, each, spec.worker, args.workers)
    if args.overwrite:
        check_place(args.out, Path(args.source), overwrite=True)
        remove_store(args.out)
    return gpus.run_all(jobs)


def _make_copies(
    extraction: Extraction, spec: AugmentedCopySpec, loader: _Loader, args: argparse.Namespace, say
) -> None:
    from pipeline.extraction.jobs.augmented_copies import AugmentedCopyJob
    from pipeline.extraction.jobs.progress import ProgressLine

    run = AugmentedCopyJob(extraction, spec)
    if not run:
        say(f"{args.out}: {plural(spec.count, 'augmented copy', 'augmented copies')} of each video: all were there")
        return
    with ProgressLine(run.progress, args.quiet) as line:
        backbone = loader.backbone(extraction.recipe)
        progress = run.run(backbone, backbone.provenance, line.show)
    copies = plural(progress.done, "augmented copy", "augmented copies")
    steps = plural(progress.frames, progress.unit)
    say(f"{args.out}: {copies} ({spec.augmentation}), {steps} in {progress.seconds:.1f} s")


def _run_on_ray(extraction: Extraction, weights: WeightsSource | None, args: argparse.Namespace, say) -> None:
    from pipeline.extraction.jobs.progress import ProgressLine
    from pipeline.extraction.jobs.ray_cluster import RaySpec, run_on_ray

    where = RaySpec(args.ray_address, args.ray_workers)
    with ProgressLine(extraction.progress, args.quiet) as line:
        run_on_ray(
            extraction,
            weights,
            args.precision,
            where,
            show=line.show,
            started=lambda count: say(f"Ray ({where.address}): {plural(count, 'worker')}"),
        )


def _quantised(
    recipe: Recipe,
    weights: WeightsSource | None,
    catalog: Catalog,
    spec: ExtractionSpec,
    args: argparse.Namespace,
    say: Callable[[str], None],
) -> Recipe:
    """The recipe with the int8 network of the store, which is calibrated where there is none yet."""
    from pipeline.extraction.network.int8_model import network_for
    from pipeline.extraction.store.folder import remove_store

    if weights is None:
        raise UserError("--precision int8: frames are kept as raw frames, and no network computes")
    if recipe.pooling != "avg":
        raise UserError(f"--precision int8 is for networks pooled by avg, not --pooling {recipe.pooling}")
    allowed(args.engine if args.engine in ENGINES else "auto", INT8)
    if args.overwrite:
        remove_store(args.out)  # the int8 network in it is calibrated anew

    def make() -> QuantisedNetwork:
        from pipeline.extraction.jobs.calibrate_int8 import quantise

        say("calibrating an int8 network on frames of these videos; it is kept and done once")
        return quantise(args.out, catalog, recipe, weights, workers=spec.decoders, timeout=spec.timeout)

    network = network_for(args.out, args.int8_from, make)
    network.check_fits(recipe.backbone, weights, (recipe.height, recipe.width))
    about = network.about
    say(f"{network.folder}: calibrated on {plural(about.frames, 'frame')} of {plural(about.videos, 'video')}")
    return replace(recipe, weights_digest=about.weights_digest, quantised=network.digest)


class _Loader:
    """Loads the network when it is needed, once: a finished store needs none."""

    def __init__(self, weights: WeightsSource | None, args: argparse.Namespace, say: Callable[[str], None]) -> None:
        self._weights, self._args, self._say = weights, args, say
        self._backbone: AnyBackbone | None = None

    def backbone(self, recipe: Recipe) -> AnyBackbone:
        if self._backbone is None:
            from pipeline.extraction.network.load import load_backbone

            self._backbone = load_backbone(
                recipe,
                self._args.out,
                weights=self._weights,
                batch=self._args.batch,
                engine=self._args.engine,
                precision=self._args.precision,
                measure=self._args.measure,
                say=self._say,
            )
        if self._weights and recipe.weights_digest not in ("", self._backbone.digest):
            raise UserError(
                f"--weights {self._weights.text}: these are not the weights that {self._args.out} was made with; "
                "use another --out"
            )
        return self._backbone


def _report(extraction: Extraction, out: Path, say) -> None:
    progress, plan, failures = extraction.progress, extraction.plan, extraction.failures()
    computes = extraction.recipe.backbone != FRAME_CACHE  # raw frames are copied, and a batch says nothing
    for video, reason in failures.items():
        print(f"failed: {video}: {reason}", file=sys.stderr)
    parts = [f"{out}: {plural(progress.done, 'video')} extracted"]
    if progress.frames:
        how = f"{progress.rate:.1f} {progress.unit}s/s" + (
            f", batch size {progress.batch}" if progress.batch and computes else ""
        )
        parts.append(f"{plural(progress.frames, progress.unit)} in {progress.seconds:.1f} s ({how})")
        parts += [progress.waits] if progress.waited_for_decoding + progress.waited_for_network else []
    parts += [str(progress.reuse)] if progress.reuse else []
    parts += [f"{len(plan.done):,} were there"] if plan.done else []
    parts += [f"{progress.copied:,} copied (same content under another name)"] if progress.copied else []
    parts += [f"{len(failures):,} failed (see {out}/failures*.csv; --retry-failed tries again)"] if failures else []
    say("; ".join(parts))
