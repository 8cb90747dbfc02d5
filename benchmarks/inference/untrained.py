"""A checkpoint with an untrained head, where the predictions do not matter."""

from __future__ import annotations

from pathlib import Path

from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.training.checkpoint import CHECKPOINT_FILE, MODEL_FILE, Checkpoint, write_folder
from pipeline.training.data.time_scale import TimeScale
from pipeline.training.data.windows import WindowSpec

_STEPS = 20


def make_checkpoint(folder: Path, backbone: str, source: str, sampling: str) -> Path:
    """Write one with a head on windows of 20 steps; returns its folder."""
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.training.heads.registry import build_model, head_spec

    weights = WeightsSource(source)
    network = Backbone(backbone, weights=weights)
    head, shape = head_spec("gru"), (network.dimensions,)
    checkpoint = Checkpoint(
        folder=folder,
        classes=("Football", "Commercials", "Studio"),
        sources=(FeatureSource(Recipe(sampling, backbone, network.digest, *network.size), weights.absolute()),),
        window=WindowSpec(_STEPS),
        head=head,
        shape=shape,
        time_scale=TimeScale(3.0, 2.9, 3.1, 0.2),
    )
    with write_folder(folder, overwrite=True) as temporary:
        build_model(head, length=_STEPS, shape=shape, classes=3).save(temporary / MODEL_FILE)
        (temporary / CHECKPOINT_FILE).write_text(checkpoint.to_json(), encoding="utf-8")
    return folder
