"""Write the features of a store as plain files: one .npy per video, or all in one .h5 or .parquet.

Parquet (the extra parquet) has a row for each step: video, label, split, group, step, frame, time, features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.extraction.store.import_export import check_parquet, export_arrays, export_hdf5, export_parquet
from pipeline.extraction.store.store import FeatureStore
from pipeline.files.replacing import refuse_existing, refuse_used_folder
from pipeline.files.text import plural


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/export_features.py features/match --out match.h5")
    made.add_argument("store", metavar="STORE", type=Path, help="folder of the feature store")
    made.add_argument(
        "--out", type=Path, required=True, help="a folder for .npy files, or a file ending in .h5 or .parquet"
    )
    made.add_argument("--overwrite", action="store_true", help="replace what is there")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)

    store = FeatureStore(args.store)
    parquet = args.out.suffix.lower() == ".parquet"
    whole = parquet or args.out.suffix.lower() in (".h5", ".hdf5")
    if parquet:
        check_parquet()
    (refuse_existing if whole else refuse_used_folder)(args.out, overwrite=args.overwrite)
    if parquet:
        written: Iterator[object] = export_parquet(store, args.out)
    else:
        written = export_hdf5(store, args.out) if whole else export_arrays(store, args.out)
    with command.progress(len(store.entries), "video", args.quiet) as bar:
        count = 0
        for _ in written:
            bar.update()
            count += 1
    if not count:
        raise UserError(f"{args.store} holds no sequences yet; extract features first")
    step = "x".join(map(str, store.shape)) + (" pixels" if store.recipe.keeps_images else " features")
    command.say(args.quiet)(f"{args.out}: {plural(count, 'sequence')} of {step} a step")
    return command.OK
