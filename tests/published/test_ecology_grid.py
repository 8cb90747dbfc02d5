"""Every model of a search gets a folder with the published keys, and each labelled frame a row."""

from __future__ import annotations

import csv
import json

import pytest

from pipeline.cli import command
from pipeline.commands.published import report_grid
from pipeline.commands.training import evaluate, search
from pipeline.extraction.store.store import FeatureStore
from pipeline.published.ecology_grid import architecture, rounds_of
from pipeline.training.checkpoint import Checkpoint
from tests.training.stores import write_store

PUBLISHED = [
    "architecture",
    "batch_size",
    "convolution_kernel_size",
    "data_total_rows_test",
    "data_total_rows_train",
    "data_total_rows_valid",
    "dropout",
    "fit_best_round",
    "fit_dt_test_duration_seconds",
    "fit_dt_test_end",
    "fit_dt_test_start",
    "fit_dt_train_duration_seconds",
    "fit_dt_train_end",
    "fit_dt_train_start",
    "fit_num_epochs",
    "fit_stopped_epoch1",
    "fit_test_acc",
    "fit_train_acc",
    "fit_train_loss",
    "fit_val_acc",
    "fit_val_loss",
    "frame_size",
    "layer_1_size",
    "layer_2_size",
    "layer_3_size",
    "model_id",
    "model_param_count",
    "model_weights_path",
    "num_features",
    "path_model",
    "pooling",
    "pretrained_model_name",
    "sequence_length",
    "sequence_model",
    "sequence_model_layers",
    "verbose",
]


def test_rounds_are_stretches_of_one_learning_rate():
    assert rounds_of([1e-3, 1e-3, 5e-4, 2.5e-4, 2.5e-4]) == [2, 1, 2]


@pytest.mark.parametrize(
    ("head", "length", "trainable", "name"),
    [
        ("mlp", 1, None, "image_MLP_frozen"),
        ("image_cnn", 1, -1, "image_MLP_trainable"),
        ("concat", 5, None, "video_MLP_concat"),
        ("lstm", 5, None, "video_LRCNN_frozen"),
        ("lrcn", 5, 10, "video_LRCNN_trainable"),
        ("c3d_small", 16, None, "C3Dsmall"),
        ("attention", 5, None, "attention"),
    ],
)
def test_architectures_have_their_published_names(head, length, trainable, name):
    assert architecture(head, length, trainable) == name


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The models' folder, the store, and the number of frames of each video; labels change within videos."""
    tmp = tmp_path_factory.mktemp("grid")
    store = write_store(tmp / "store", sampling="all")
    steps = {name: entry.steps for name, entry in FeatureStore(store).entries.items()}
    rows = ["video,frame,file,label"]
    for number, (name, count) in enumerate(steps.items()):
        rows += [f"{name},{frame},img{frame}.jpg,{'ab'[(number + frame // 3) % 2]}" for frame in range(count)]
    (tmp / "labels.csv").write_text("\n".join(rows) + "\n")
    (tmp / "grid.yaml").write_text("head: [lstm, mlp]\nwindow: [3]\nunits: [4]\nlayers: [2]\n")
    arguments = [str(store), "--labels", str(tmp / "labels.csv"), "--grid", str(tmp / "grid.yaml"), "--epochs", "2"]
    assert command.run(search.main, [*arguments, "--out", str(tmp / "search")], parser=search.parser) == 0
    report = [str(tmp / "search"), "--labels", str(tmp / "labels.csv"), "--out", str(tmp / "models")]
    assert command.run(report_grid.main, report, parser=report_grid.parser) == 0
    return tmp / "models", store, steps


def test_results_have_the_published_keys_and_the_settings_that_were_trained(models):
    folder, _, steps = models
    both = [json.loads((folder / number / "results.json").read_text()) for number in ("1", "2")]
    for results in both:
        assert set(PUBLISHED) <= set(results)
        assert results["sequence_length"] == 3
        assert results["fit_num_epochs"] == 2 == sum(v for k, v in results.items() if k.startswith("fit_stopped"))
        assert results["model_param_count"] == results["parameters"] > 0
        rows = sum(results[f"data_total_rows_{part}"] for part in ("train", "valid", "test"))
        assert rows == sum(-(-count // 3) for count in steps.values())
    lstm = next(results for results in both if results["sequence_model"] == "LSTM")
    assert (lstm["sequence_model_layers"], lstm["layer_1_size"]) == (2, 4)
    assert {results["architecture"] for results in both} == {"video_LRCNN_frozen", "mlp"}


def test_each_labelled_frame_has_a_row_that_agrees_with_itself(models):
    folder, _, steps = models
    with open(folder / "1" / "frame_predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["a", "b", "prediction", "video", "frame", "label", "split", "error"]
    assert {(row["video"], row["frame"]) for row in rows} == {
        (name, f"img{frame}.jpg") for name, count in steps.items() for frame in range(count)
    }
    assert len(rows) == sum(steps.values())
    assert {row["split"] for row in rows} == {"train", "valid", "test"}
    for row in rows:
        assert float(row["a"]) + float(row["b"]) == pytest.approx(1, abs=1e-4)
        assert row["prediction"] == max("ab", key=lambda name: float(row[name]))
        assert row["error"] == str(int(row["prediction"] != row["label"]))


def test_a_model_is_a_checkpoint_that_can_be_evaluated(models, capsys):
    folder, store, _ = models
    assert Checkpoint.load(folder / "1").classes == ("a", "b")
    labels = str(folder.parent / "labels.csv")
    assert (
        command.run(
            evaluate.main,
            [str(folder / "1"), str(store), "--labels", labels, "--split", "test"],
            parser=evaluate.parser,
        )
        == 0
    )
    results = json.loads((folder / "1" / "results.json").read_text())
    assert f"accuracy {results['fit_test_acc']:.3f}" in capsys.readouterr().out


def test_a_folder_without_a_search_is_refused(tmp_path, capsys):
    arguments = [str(tmp_path), "--labels", str(tmp_path / "l.csv"), "--out", str(tmp_path / "o")]
    assert command.run(report_grid.main, arguments, parser=report_grid.parser) == 2
    assert "holds no finished search; run search.py" in capsys.readouterr().err
