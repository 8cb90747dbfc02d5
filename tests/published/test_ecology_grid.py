"""Every model of a search gets a folder with the published keys, and each labelled frame a row."""

from __future__ import annotations

import csv
import json
from argparse import Namespace

import pytest

from pipeline.cli import command
from pipeline.cli.fields import given
from pipeline.commands.published import report_grid
from pipeline.commands.training import evaluate, search, train
from pipeline.extraction.store.store import FeatureStore
from pipeline.published.ecology_grid import architecture, rounds_of
from pipeline.published.system import CONFIGS
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.windows import WindowSpec
from pipeline.training.experiments.search_space import OPTIONS, grid_points, read_space
from pipeline.training.heads.registry import HEADS, check_length, head_spec
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.spec import TrainSpec
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
        ("ecology-lrcnn", 20, None, "video_LRCNN_frozen"),
        ("ecology-c3d-small", 16, None, "C3Dsmall"),
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
    (tmp / "grid.yaml").write_text("head: [lstm, mlp]\nwindow: [3]\nunits: [4]\nlayers: [2]\nrounds: [3]\n")
    arguments = [str(store), "--labels", str(tmp / "labels.csv"), "--grid", str(tmp / "grid.yaml"), "--epochs", "2"]
    assert command.run(search.main, [*arguments, "--out", str(tmp / "search")], parser=search.parser) == 0
    report = [str(tmp / "search"), "--labels", str(tmp / "labels.csv"), "--out", str(tmp / "models")]
    assert command.run(report_grid.main, report, parser=report_grid.parser) == 0
    return tmp / "models", store, steps


@pytest.mark.slow
def test_results_have_the_published_keys_and_the_settings_that_were_trained(models):
    folder, _, steps = models
    both = [json.loads((folder / number / "results.json").read_text()) for number in ("1", "2")]
    for results in both:
        assert set(PUBLISHED) <= set(results)
        assert results["sequence_length"] == 3
        assert results["fit_stopped_epoch1"] >= 1
        assert len([key for key in results if key.startswith("fit_stopped")]) == 3
        assert results["fit_best_round"] in (1, 2, 3)
        assert results["fit_num_epochs"] == sum(v for k, v in results.items() if k.startswith("fit_stopped"))
        assert results["model_param_count"] == results["parameters"] > 0
        rows = sum(results[f"data_total_rows_{part}"] for part in ("train", "valid", "test"))
        assert rows == sum(-(-count // 3) for count in steps.values())
    lstm = next(results for results in both if results["sequence_model"] == "LSTM")
    assert (lstm["sequence_model_layers"], lstm["layer_1_size"]) == (2, 4)
    assert {results["architecture"] for results in both} == {"video_LRCNN_frozen", "mlp"}


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_single_training_has_all_outputs_under_its_own_id_and_the_frames_of_other_videos(models, tmp_path):
    folder, store, steps = models
    labels = str(folder.parent / "labels.csv")
    words = [str(store), "--labels", labels, "--head", "ecology-lrcnn", "--units", "6,5,4", "--layers", "2"]
    words += ["--window", "3", "--epochs", "2", "--members", "1", "--out", str(tmp_path / "one"), "--quiet"]
    assert command.run(train.main, words, parser=train.parser) == 0
    words = [str(tmp_path / "one"), "--labels", labels, "--out", str(tmp_path / "models"), "--ids", "1234"]
    words += ["--unlabelled", str(store), "--quiet"]
    assert command.run(report_grid.main, words, parser=report_grid.parser) == 0
    results = json.loads((tmp_path / "models" / "1234" / "results.json").read_text())
    assert (results["model_id"], results["verbose"]) == (1234, False)
    sizes = [results[f"layer_{number}_size"] for number in (1, 2, 3)]
    assert (results["architecture"], results["sequence_model_layers"], sizes) == ("video_LRCNN_frozen", 2, [6, 5, 4])
    assert results["fit_test_acc"] == results["accuracy"]["test"]
    assert (tmp_path / "models" / "1234" / "loss_curve.png").stat().st_size > 1000
    with open(tmp_path / "models" / "1234" / "frame_predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    known, unknown = [row for row in rows if row["label"]], [row for row in rows if not row["label"]]
    assert len(known) == len(unknown) == sum(steps.values())
    assert all(not row["split"] and not row["error"] for row in unknown)
    said = {(row["video"], row["frame"]): row["a"] for row in known}
    assert {(row["video"], row["frame"]): row["a"] for row in unknown} == said


@pytest.mark.slow
def test_ids_are_one_for_each_model(models, tmp_path, capsys):
    folder, _, _ = models
    words = [str(folder.parent / "search"), "--labels", str(folder.parent / "labels.csv"), "--out", str(tmp_path / "o")]
    assert command.run(report_grid.main, [*words, "--ids", "7", "7"], parser=report_grid.parser) == 2
    assert "--ids 7 7: expected 2 different numbers" in capsys.readouterr().err


@pytest.mark.slow
def test_networks_and_poolings_are_one_grid(models, tmp_path, capsys):
    """Two stores, as of two networks: one ranking, one best, one report."""
    folder, store, _ = models
    other = write_store(tmp_path / "other", sampling="all", separation=5.0)
    (tmp_path / "grid.yaml").write_text("head: [mlp]\nwindow: [3]\nunits: [4, '4,3']\n")
    labels = ["--labels", str(folder.parent / "labels.csv")]
    words = [str(store), str(other), *labels, "--grid", str(tmp_path / "grid.yaml"), "--epochs", "1"]
    out = tmp_path / "search"
    assert command.run(search.main, [*words, "--out", str(out)], parser=search.parser) == 0
    with open(out / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["store"] for row in rows) == sorted([str(store), str(other)] * 2)
    assert sorted(row["units"] for row in rows) == sorted(["4", "4,3"] * 2)
    losses = [float(row["val_loss"]) for row in rows]
    assert losses == sorted(losses)
    best = json.loads((out / "best" / "results.json").read_text())
    assert best["store"] == rows[0]["store"]
    assert best["split"]["test"]
    report = [str(out), *labels, "--out", str(tmp_path / "models")]
    assert command.run(report_grid.main, report, parser=report_grid.parser) == 0
    with open(tmp_path / "models" / "models.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert "4 trials; best: " in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted((CONFIGS / "ecology-grid").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_grids_are_read_and_each_point_can_be_built(path):
    points = grid_points(read_space(path))
    assert points
    for point in points:
        chosen = Namespace(**{OPTIONS[key].field: value for key, value in point.items()})
        settings = given(HeadSpec, chosen)
        on_base = "weights" in HEADS[settings["name"]].takes
        head = head_spec(**settings | ({"weights": "random"} if on_base else {}))
        check_length(head, given(WindowSpec, chosen)["length"])
        TrainSpec(**given(TrainSpec, chosen)).check(head)


def test_a_folder_without_a_search_is_refused(tmp_path, capsys):
    arguments = [str(tmp_path), "--labels", str(tmp_path / "l.csv"), "--out", str(tmp_path / "o")]
    assert command.run(report_grid.main, arguments, parser=report_grid.parser) == 2
    assert "holds no finished search; run search.py" in capsys.readouterr().err
