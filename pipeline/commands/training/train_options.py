"""The options of ``train``."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.fields import add_options, options_of
from pipeline.cli.parser import Parser
from pipeline.commands.training.data_options import DataOptions
from pipeline.commands.training.window_options import add_windows
from pipeline.training.heads.registry import HEADS
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.spec import TrainSpec

SHARE = 0.2  # of the videos, for validation and for the test
# Fields of `TrainSpec` that networks on frames have only.
_ON_FRAMES = ("fine_tune", "fine_tune_rate", "precision", "augment")


def parser_of(doc: str | None) -> Parser:
    """The options of the command, whose help begins with ``doc``."""
    made = Parser(
        doc,
        "python scripts/train.py features/match --out checkpoints/match\n"
        "  python scripts/train.py features/match --folds 5 --group 'person\\d'\n"
        "  python scripts/train.py features/frames --out checkpoints/lrcn --head lrcn --augment flip",
    )
    made.add_argument("store", metavar="STORE", type=Path, help="feature store of extract_features.py")
    add_options(made, DataOptions, group="what is learnt from", leave_out=["group"])
    made.add_argument("--out", type=Path, help="checkpoint folder to write")
    made.add_argument("--overwrite", action="store_true", help="replace the checkpoint folder if it exists")
    add_options(made, TrainSpec, only=["seed"])

    heads, windows = "head (defaults are the head's own)", "windows"
    frames = "networks on frames (stores of extract_features.py --backbone frames)"
    of_heads = dict.fromkeys(options_of(HeadSpec)) | {"name": "gru"}
    on_frames = ("base", "weights", "pooling", "trainable")
    add_options(made, HeadSpec, group=heads, leave_out=on_frames, defaults=of_heads)
    add_options(made, HeadSpec, group=frames, only=on_frames, defaults=of_heads)
    add_options(made, TrainSpec, group=frames, only=_ON_FRAMES)
    made.group(heads).description, made.group(frames).description = _heads_on("features"), _heads_on("frames")
    add_windows(made, group=windows)
    add_options(made, TrainSpec, group=windows, only=["random_windows"])

    split = made.group("split")
    add_options(made, DataOptions, group="split", only=["group"])
    split.add_argument("--folds", type=int, help="cross-validation by groups instead of one split")
    split.add_argument("--seeds", type=int, default=1, help="repeat --folds with so many seeds, from --seed on")
    split.add_argument(
        "--val",
        type=float,
        help="share of the training videos to keep apart for validation (default: 0.2, and none for several members)",
    )
    split.add_argument(
        "--val-last",
        action="store_true",
        help="take it from the end of the catalog's training videos instead of drawing it, as a published system does",
    )
    split.add_argument(
        "--test", type=float, help=f"share of the videos to test, where a split is drawn (default: {SHARE})"
    )
    split.add_argument("--resplit", action="store_true", help="draw a split although the catalog has one")
    split.add_argument(
        "--all",
        action="store_true",
        help="train the model once more on all videos, as the split chose; its accuracies stand",
    )

    add_options(made, TrainSpec, group="training", leave_out=[*_ON_FRAMES, "random_windows", "seed"])
    fit = made.group("training")
    fit.add_argument(
        "--resume", action="store_true", help="go on after the last epoch of an interrupted run with the same --out"
    )
    for every, which in (("improvement", "epoch that is the best so far"), ("epoch", "epoch")):
        fit.add_argument(
            f"--save-every-{every}",
            action="store_true",
            help=f"also keep the weights of each {which} in OUT/weights/, with epoch and validation loss in the name",
        )
    fit.add_argument(
        "--abstain-below", type=float, default=0.0, metavar="P", help="below this probability the label is 'unknown'"
    )
    fit.add_argument(
        "--abstain-accuracy",
        type=float,
        metavar="A",
        help="find --abstain-below: validation predictions that are surer are right in this share",
    )
    fit.add_argument("--devices", type=int, help="accelerators that share each batch, on JAX (default: all)")
    fit.add_argument(
        "--tensorboard",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="DIR",
        help="write curves for TensorBoard into a folder DIR/RUN (default: 'tensorboard' beside --out)",
    )
    return made


def _heads_on(needs: str) -> str:
    """A line for each head with what it takes, and its own values."""
    heads = {name: head for name, head in HEADS.items() if head.needs == needs}
    width = max(map(len, heads))
    lines = []
    for name, head in heads.items():
        own = {field: head.settings[field] for field in head.takes if field in head.settings}
        own |= {field: head.training[field] for field in ("learning_rate", "batch")}
        words = [f"{field.replace('_', '-')} {value}" for field, value in own.items()]
        words += ["bidirectional"] if "bidirectional" in head.takes else []
        lines.append(f"{name:{width}}  {', '.join(words)}")
    return "\n".join(lines)
