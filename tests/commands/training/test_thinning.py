"""A dense store serves sparser samplings: training, evaluation and classification agree on what they read."""

from __future__ import annotations

import json

import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.commands.inference import classify
from pipeline.commands.training import evaluate, train
from pipeline.training.checkpoint import Checkpoint
from tests.media import write_video


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Precision is ill-defined")
def test_a_dense_store_is_trained_evaluated_and_classified_sparsely(tmp_path, capsys):
    for number in range(6):
        for label, first in (("left", 0), ("right", 2048)):  # the highest bit tells the classes apart
            write_video(tmp_path / f"data/{label}/clip{number}.mp4", frames=20, first=first + 50 * number)

    def call(module, *arguments):
        return command.run(module.main, [str(argument) for argument in arguments], parser=module.parser)

    tiny = ["--backbone", "tiny", "--weights", "random", "--crop", "none"]
    dense, checkpoint = tmp_path / "dense", tmp_path / "checkpoint"
    assert call(extract_features, tmp_path / "data", "--out", dense, *tiny, "--sampling", "all") == 0
    assert call(train, dense, "--sampling", "uniform:4", "--members", 1, "--epochs", 30, "--out", checkpoint) == 0
    loaded = Checkpoint.load(checkpoint)
    assert (loaded.recipe.sampling, loaded.window.length) == ("uniform:4", 4)
    assert loaded.versions["precision"] in ("float32", "bfloat16")
    assert call(evaluate, checkpoint, dense, "--split", "all", "--out", tmp_path / "dense_evaluation") == 0
    sparse = ["--out", tmp_path / "sparse", "--sampling", "uniform:4"]
    assert call(extract_features, tmp_path / "data", *sparse, *tiny) == 0
    assert call(evaluate, checkpoint, tmp_path / "sparse", "--split", "all", "--out", tmp_path / "evaluation") == 0
    dense_figures, figures = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("dense_evaluation", "evaluation")
    )
    assert dense_figures["accuracy"] == figures["accuracy"]
    assert dense_figures["log_loss"] == pytest.approx(figures["log_loss"], abs=1e-3)
    video = tmp_path / "data/left/clip0.mp4"
    assert call(classify, checkpoint, video, "--no-video", "--json", tmp_path / "answer.json") == 0
    capsys.readouterr()
    assert call(train, tmp_path / "sparse", "--sampling", "fps:2", "--out", tmp_path / "x") == 2
    assert "was sampled by uniform:4, which need not hold the frames of fps:2" in capsys.readouterr().err
