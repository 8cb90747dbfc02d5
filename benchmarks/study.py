"""What every newcomer asks, answered on two sets of real clips: one command, one table, one plot.

    python -m benchmarks.study --out study --videos ../shared/videos --weights W
    python -m benchmarks.study --out study-quick --videos ../shared/videos --weights W --quick

  cached or end to end   the same frozen network cached and computed anew in each epoch; its last layers learnt;
                         networks learnt from scratch
  heads                  on the same cached features
  frames per video       1 to 20, spread evenly
  backbones              InceptionV3 with the weights given against seeded random ones, and other networks
  colours or motion      the same network on pictures, on optical flow as a picture, and both side by side

Test accuracy over folds by group (a person stays in one fold) and seeds, with the standard deviation over all of them
and the lowest; seconds of stage one, and of one training; seconds of an epoch; the peak memory of a process that
does the trainings of one row. Each row is a process of its own and is stored when it is done: the same command goes on
where it was stopped. Rows of "cached or end to end" share their folds. There, networks that are computed anew get few
epochs, as nobody would wait for more here; the table says how many.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.cli.silence import quieten
from pipeline.files.atomic import atomic_write
from pipeline.files.tables import write_table

GROUPS = {"actions": r"person\d", "fights": None}
END_TO_END, HEADS, FRAMES, BACKBONES, MOTION = (
    "cached or end to end",
    "heads",
    "frames per video",
    "backbones",
    "colours or motion",
)
COLUMNS = ("question", "data", "setting", "accuracy", "spread", "lowest", "trainings", "extraction_s", "training_s")
COLUMNS += ("epoch_s", "epochs", "memory_mb", "parameters")


@dataclass(frozen=True)
class Store:
    """A store of stage one, shared by rows."""

    data: str
    backbone: str = "inceptionv3"
    weights: str = ""
    """``random``, or empty for those given on the command line."""
    sampling: str = "uniform:20"
    size: int = 224
    input: str = ""

    @property
    def name(self) -> str:
        parts = (self.data, self.backbone, self.weights, self.sampling.replace(":", ""), str(self.size), self.input)
        return "-".join(filter(None, parts))


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    question: str
    setting: str
    store: Store
    head: str = "gru"
    head_settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    joined: Store | None = None
    folds: int = 5
    seeds: int = 1

    @property
    def key(self) -> str:
        """The same for rows of the same trainings, which are done once."""
        values = {name: value for name, value in asdict(self).items() if name not in ("question", "setting")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


# -- the grid --------------------------------------------------------------------------------------


def grid(quick: bool) -> list[Row]:
    """All rows, in the order of the table."""
    rows = [row for data in GROUPS for row in _of_data(data)]
    rows.sort(key=lambda row: (END_TO_END, HEADS, FRAMES, BACKBONES, MOTION).index(row.question))
    return [_quick(row) for row in rows if _in_quick(row)] if quick else rows


def _of_data(data: str) -> list[Row]:
    base = Store(data)
    heads = ("mean", "motion", "mlp", "gru", "lstm", "conv1d", "attention", "transformer", "keras-example")
    rows = [Row(HEADS, head, base, head, training={"epochs": 10} if head == "keras-example" else {}) for head in heads]
    rows += [Row(FRAMES, f"{n:2}", replace(base, sampling=f"uniform:{n}")) for n in (1, 2, 5, 10, 20)]
    rows += [
        Row(BACKBONES, "InceptionV3, weights given", base),
        Row(BACKBONES, "InceptionV3, random", replace(base, weights="random")),
        Row(BACKBONES, "ResNet50, random", replace(base, backbone="resnet50", weights="random")),
        Row(BACKBONES, "MobileNetV2, random", replace(base, backbone="mobilenetv2", weights="random")),
    ]
    motion = replace(base, input="dis")
    rows += [
        Row(MOTION, "colours", base),
        Row(MOTION, "flow", motion),
        Row(MOTION, "both", base, joined=motion),
    ]
    # The larger set has a smaller spread, and takes twice the time.
    return [replace(row, seeds=2 if data == "actions" else 1) for row in rows] + _end_to_end(data)


def _end_to_end(data: str) -> list[Row]:
    small = Store(data, sampling="uniform:5", size=96)
    pictures = replace(small, backbone="frames")
    based = {"base": "inceptionv3", "cell": "gru", "units": 64}
    eight = Store(data, backbone="frames", sampling="uniform:8", size=32)
    return [
        # As like the head of the next row as one on features can be.
        Row(
            END_TO_END,
            "InceptionV3 cached, gru",
            small,
            head_settings={"units": 64, "dropout": 0.2, "bidirectional": False},
            training={"learning_rate": 1e-3},
            folds=3,
        ),
        Row(
            END_TO_END,
            "InceptionV3 frozen, end to end",
            pictures,
            "lrcn",
            based | {"trainable": 0},
            {"epochs": 5, "patience": 5},
            folds=3,
        ),
        Row(
            END_TO_END,
            "InceptionV3, then its last 30 layers",
            pictures,
            "lrcn",
            based | {"trainable": 0},
            {"epochs": 5, "patience": 5, "fine_tune": 30},
            folds=3,
        ),
        Row(
            END_TO_END,
            "ConvNet and GRU from scratch",
            replace(pictures, size=32),
            "timedistributed_convnet",
            training={"epochs": 10, "patience": 10},
            folds=3,
        ),
        Row(
            END_TO_END,
            "small C3D from scratch",
            eight,
            "c3d_small",
            training={"epochs": 20, "patience": 20},
            folds=3,
        ),
    ]


def _in_quick(row: Row) -> bool:
    shown = {
        HEADS: ("mean", "gru", "keras-example"),
        FRAMES: (" 1", " 5"),
        BACKBONES: ("InceptionV3, weights given", "MobileNetV2, random"),
        MOTION: ("colours", "flow", "both"),
        END_TO_END: ("InceptionV3 cached, gru", "small C3D from scratch"),
    }
    return row.store.data == "actions" and row.setting in shown[row.question]


def _quick(row: Row) -> Row:
    """The same at 96 pixels and 5 frames, in 2 folds and a few epochs: to see that all of it runs, not to believe."""
    store = replace(row.store, size=min(96, row.store.size))
    joined = replace(row.joined, size=96) if row.joined else None
    if row.question != FRAMES:
        store = replace(store, sampling="uniform:5")
        joined = replace(joined, sampling="uniform:5") if joined else None
    training = row.training | {"epochs": 4 if row.head == "c3d_small" else 10}
    return replace(row, store=store, joined=joined, folds=2, seeds=1, training=training)


# -- doing -----------------------------------------------------------------------------------------


def extract(store: Store, out: Path, videos: Path, weights: str) -> dict[str, Any]:
    """Make a store, or take the record of an earlier run; an interrupted one is begun anew, to time the whole."""
    record = out / "stores" / f"{store.name}.json"
    if record.is_file():
        return json.loads(record.read_text())
    words = [sys.executable, "-m", "pipeline", "extract", str(videos / store.data), "--quiet", "--overwrite"]
    words += ["--out", str(out / "stores" / store.name), "--sampling", store.sampling, "--size", str(store.size)]
    words += ["--backbone", store.backbone]
    if store.backbone != "frames":
        words += ["--weights", store.weights or weights]
    if store.weights == "random":
        # Without trained normalisation the features of deep networks leave the range of float16.
        words += ["--dtype", "float32"]
    if store.input:
        words += ["--input", store.input]
    began = time.perf_counter()
    subprocess.run(words, check=True)
    return _write(record, {"seconds": time.perf_counter() - began})


def measure(row: Row, out: Path, weights: str) -> dict[str, Any]:
    """Do the trainings of a row in a process of its own, or take the record of an earlier run."""
    record = out / "rows" / f"{row.store.data}-{row.head}-{row.key}.json"
    if record.is_file():
        return json.loads(record.read_text())
    words = [sys.executable, "-m", "benchmarks.study", "--out", str(out), "--weights", weights, "--row"]
    done = subprocess.run([*words, json.dumps(asdict(row))], check=True, stdout=subprocess.PIPE, text=True)
    return _write(record, json.loads(done.stdout.splitlines()[-1]))


def _write(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")
    return values


def train_row(row: Row, out: Path, weights: str) -> dict[str, Any]:
    """All trainings of a row; in the child process."""
    import numpy as np

    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.fusion import fuse_stores
    from pipeline.training.data.splits import Split
    from pipeline.training.experiments.cross_validation import cross_validate
    from pipeline.training.experiments.experiment import Run, train
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec
    from pipeline.videos.catalog.splits import groups_of

    data = open_dataset(out / "stores" / row.store.name)
    if row.joined is not None:
        data = fuse_stores(data, open_dataset(out / "stores" / row.joined.name))
    groups, _ = groups_of(data.videos, GROUPS[row.store.data])
    settings = row.head_settings | ({"weights": weights} if "base" in row.head_settings else {})
    results = []

    def on_fold(number: int, run: Run) -> None:
        history = run.trained.schedule.history
        # The first epoch compiles.
        results.append((run.results, float(np.median([epoch.seconds for epoch in history[1:] or history]))))

    for seed in range(row.seeds):
        spec = TrainSpec(**row.training, seed=seed)

        def train_fold(split: Split, number: int, spec: TrainSpec = spec) -> Run:
            return train(data, split, head=head_spec(row.head, **settings), groups=groups, spec=spec)

        cross_validate(data, groups, row.folds, train_fold, seed=seed, on_fold=on_fold)
    accuracies = [result["accuracy"]["test"] for result, _ in results]
    return {
        "accuracy": float(np.mean(accuracies)),
        "spread": float(np.std(accuracies)),
        "lowest": min(accuracies),
        "trainings": len(results),
        "training_s": float(np.mean([result["seconds"] for result, _ in results])),
        "epoch_s": float(np.median([seconds for _, seconds in results])),
        "epochs": float(np.mean([result["epochs"] for result, _ in results])),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "parameters": results[0][0]["parameters"],
    }


# -- the table and the plot ------------------------------------------------------------------------


def as_text(row: dict[str, Any]) -> dict[str, str]:
    """A line of the table with as many digits as mean something."""
    forms = {"accuracy": ".3f", "spread": ".3f", "lowest": ".3f", "extraction_s": ".0f", "training_s": ".1f"}
    forms |= {"epoch_s": ".3f", "epochs": ".0f", "memory_mb": ".0f", "parameters": ","}
    return {name: format(row[name], forms[name]) if name in forms else str(row[name]).strip() for name in COLUMNS}


def write_markdown(rows: list[dict[str, Any]], path: Path) -> None:
    """The table for a README."""
    lines = [
        "| question | data | setting | test accuracy | lowest | stage one, s | training, s | epochs | epoch, s | "
        "memory, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        text = as_text(row)
        figures = (f"{text['accuracy']} ± {text['spread']}", *(text[name] for name in ("lowest", "extraction_s")))
        figures += tuple(text[name] for name in ("training_s", "epochs", "epoch_s", "memory_mb"))
        lines.append("| " + " | ".join((text["question"], text["data"], text["setting"], *figures)) + " |")
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel for each question, a bar for each setting and data set, and the spread on it."""
    from matplotlib.figure import Figure

    from pipeline.training.reports.plots import save_figure

    questions = list(dict.fromkeys(row["question"] for row in rows))
    settings = {q: list(dict.fromkeys(row["setting"] for row in rows if row["question"] == q)) for q in questions}
    heights = [len(settings[question]) + 1 for question in questions]
    figure = Figure(figsize=(8, 0.34 * sum(heights) + 1), layout="constrained")
    panels = figure.subplots(len(questions), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
    shown = [data for data in GROUPS if any(row["data"] == data for row in rows)]
    colours = dict(zip(shown, ("#1f6fb2", "#d9701e"), strict=False))
    for axes, question in zip(panels[:, 0], questions, strict=True):
        names = settings[question]
        for number, (data, colour) in enumerate(colours.items()):
            here = [row for row in rows if (row["question"], row["data"]) == (question, data)]
            places = [names.index(row["setting"]) + 0.38 * (number - (len(shown) - 1) / 2) for row in here]
            values, spreads = [row["accuracy"] for row in here], [row["spread"] for row in here]
            axes.barh(places, values, 0.36, xerr=spreads, color=colour, label=data, error_kw={"lw": 1})
        axes.set_yticks(range(len(names)), [name.strip() for name in names])
        axes.invert_yaxis()
        axes.set_title(question, loc="left", fontsize=10)
        axes.set_xlim(0, 1.05)
        axes.grid(axis="x", alpha=0.25)
    panels[0, 0].legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    panels[-1, 0].set_xlabel("test accuracy; the line is one standard deviation over folds and seeds")
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of stores, rows, study.csv, .md and .png")
    parser.add_argument("--videos", type=Path, default=Path("../shared/videos"), help="with actions/ and fights/")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument("--quick", action="store_true", help="a few rows, small: to see that it runs")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    args = parser.parse_args()
    quieten()
    if args.row is not None:
        values = json.loads(args.row)
        values["store"] = Store(**values["store"])
        values["joined"] = Store(**values["joined"]) if values["joined"] else None
        print(json.dumps(train_row(Row(**values), args.out, args.weights)))
        return
    rows = []
    for row in grid(args.quick):
        stores = [row.store, *([row.joined] if row.joined else [])]
        seconds = sum(extract(store, args.out, args.videos, args.weights)["seconds"] for store in stores)
        found = measure(row, args.out, args.weights)
        rows.append({"question": row.question, "data": row.store.data, "setting": row.setting, **found})
        rows[-1]["extraction_s"] = seconds
        text = as_text(rows[-1])
        print(", ".join(f"{name} {text[name]}" for name in COLUMNS), flush=True)
    write_table([as_text(row) for row in rows], COLUMNS, args.out / "study.csv")
    write_markdown(rows, args.out / "study.md")
    draw(rows, args.out / "study.png")
    print(f"{args.out / 'study.md'}: {len(rows)} rows; also study.csv and study.png")


if __name__ == "__main__":
    main()
