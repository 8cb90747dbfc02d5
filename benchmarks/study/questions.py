"""The questions of the study: a row for each setting, and the store of stage one that it trains on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

GROUPS = {"actions": r"person\d", "fights": None}
QUESTIONS = ("cached or end to end", "heads", "frames per video", "backbones", "colours or motion")
END_TO_END, HEADS, FRAMES, BACKBONES, MOTION = QUESTIONS


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
    fused: Store | None = None
    """A second store, side by side with the first."""
    folds: int = 5
    seeds: int = 1

    @property
    def stores(self) -> list[Store]:
        """All that it trains on."""
        return [self.store, self.fused] if self.fused else [self.store]

    @property
    def key(self) -> str:
        """The same for rows of the same trainings, which are done once."""
        values = {name: value for name, value in asdict(self).items() if name not in ("question", "setting")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def grid(quick: bool) -> list[Row]:
    """All rows, in the order of the table."""
    rows = [row for data in GROUPS for row in (*_on_cached_features(data), *_end_to_end(data))]
    rows.sort(key=lambda row: QUESTIONS.index(row.question))
    return [_quick(row) for row in rows if _in_quick(row)] if quick else rows


def _on_cached_features(data: str) -> list[Row]:
    base = Store(data)
    motion = replace(base, input="dis")
    heads = ("mean", "motion", "mlp", "gru", "lstm", "conv1d", "attention", "transformer", "keras-example")
    rows = [Row(HEADS, head, base, head, training={"epochs": 10} if head == "keras-example" else {}) for head in heads]
    rows += [Row(FRAMES, f"{n:2}", replace(base, sampling=f"uniform:{n}")) for n in (1, 2, 5, 10, 20)]
    rows += [
        Row(BACKBONES, "InceptionV3, weights given", base),
        Row(BACKBONES, "InceptionV3, random", replace(base, weights="random")),
        Row(BACKBONES, "ResNet50, random", replace(base, backbone="resnet50", weights="random")),
        Row(BACKBONES, "MobileNetV2, random", replace(base, backbone="mobilenetv2", weights="random")),
        Row(MOTION, "colours", base),
        Row(MOTION, "flow", motion),
        Row(MOTION, "both", base, fused=motion),
    ]
    # The larger set has a smaller spread, and takes twice the time.
    return [replace(row, seeds=2 if data == "actions" else 1) for row in rows]


def _end_to_end(data: str) -> list[Row]:
    cached = Store(data, sampling="uniform:5", size=96)
    frames = replace(cached, backbone="frames")
    # As like the head of the networks below as one on features can be.
    alike = {"units": 64, "dropout": 0.2, "bidirectional": False}
    inception = {"base": "inceptionv3", "cell": "gru", "units": 64, "trainable": 0}

    def epochs(count: int) -> dict[str, Any]:
        return {"epochs": count, "patience": count}

    rows = [
        Row(END_TO_END, "InceptionV3 cached, gru", cached, "gru", alike, {"learning_rate": 1e-3}),
        Row(END_TO_END, "InceptionV3 frozen, end to end", frames, "lrcn", inception, epochs(5)),
        Row(
            END_TO_END, "InceptionV3, then its last 30 layers", frames, "lrcn", inception, epochs(5) | {"fine_tune": 30}
        ),
        Row(
            END_TO_END,
            "ConvNet and GRU from scratch",
            replace(frames, size=32),
            "timedistributed_convnet",
            training=epochs(10),
        ),
        Row(
            END_TO_END,
            "small C3D from scratch",
            replace(frames, sampling="uniform:8", size=32),
            "c3d_small",
            training=epochs(20),
        ),
    ]
    return [replace(row, folds=3) for row in rows]


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

    def small(store: Store) -> Store:
        sampling = store.sampling if row.question == FRAMES else "uniform:5"
        return replace(store, size=min(96, store.size), sampling=sampling)

    training = row.training | {"epochs": 4 if row.head == "c3d_small" else 10}
    fused = small(row.fused) if row.fused else None
    return replace(row, store=small(row.store), fused=fused, folds=2, seeds=1, training=training)
