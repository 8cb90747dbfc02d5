"""Write an image of sequences of a frame cache, as a network on frames gets to see them.

Each row is a video, or with --window or --window-seconds a window of one, its frames with their times; with
--augment an augmented one is below each original.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options
from pipeline.cli.parser import Parser
from pipeline.commands.training.data_options import DataOptions
from pipeline.commands.training.window_options import add_windows, chosen_window
from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import DEFAULT, FrameAugmentation, check_varies
from pipeline.extraction.store.store import FeatureStore
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import plural


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/show_samples.py features/frames --out samples.png")
    made.add_argument("store", metavar="STORE", type=Path, help="frame cache: a store of --backbone frames or flow")
    made.add_argument("--out", type=Path, required=True, help="the image to write, a .png")
    add_options(made, DataOptions, only=["sampling"])
    made.add_argument("--videos", type=int, default=8, help="how many, classes in turn")
    made.add_argument("--columns", type=int, default=8, help="the most frames in a row, spread over the sequence")
    add_windows(made, leave_out=["policy"])
    made.add_argument(
        "--augment",
        nargs="?",
        const=DEFAULT,
        metavar="HOW",
        help=f"show each sequence once more, varied as in training ({DEFAULT} where nothing is given)",
    )
    made.add_argument("--seed", type=int, default=0, help="of the choice of videos and of the augmentation")
    made.add_argument("--overwrite", action="store_true", help="replace an image that is there")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    for name in ("videos", "columns"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: expected 1 or more")
    if args.out.suffix.lower() != ".png":
        raise UserError(f"--out {args.out}: expected a name ending in .png")
    refuse_existing(args.out, overwrite=args.overwrite)

    from pipeline.training.reports import plots
    from pipeline.training.reports.sample_sheet import contact_sheet, draw_samples, seconds_apart

    store = FeatureStore(args.store, sampling=args.sampling)
    window = chosen_window(args, store.recipe.sampling, lambda: seconds_apart(store))
    augmentation = FrameAugmentation.parse(args.augment) if args.augment else None
    if augmentation:
        check_varies(store.recipe.input)
    samples = draw_samples(
        store, videos=args.videos, columns=args.columns, window=window, augmentation=augmentation, seed=args.seed
    )
    if not samples:
        raise UserError(f"{args.store} holds no sequences yet; extract frames first")
    plots.save_figure(contact_sheet(samples), args.out)
    command.say(args.quiet)(
        f"{args.out}: {plural(len(samples), 'row')}; the store has {plural(len(store.entries), 'video')}"
    )
    return command.OK
