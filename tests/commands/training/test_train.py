"""train.py and evaluate.py as a user calls them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.training import evaluate, train
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.dataset import open_dataset
from pipeline.training.evaluation.metrics import measure
from pipeline.training.evaluation.predict import predict
from pipeline.training.loop.kept_weights import KeptWeights
from tests.training.stores import write_store

QUICK = ["--head", "mlp", "--units", "8", "--epochs", "3", "--members", "1", "--group", r"g\d"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("features") / "drawn")


@pytest.fixture(scope="module")
def checkpoint(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("checkpoints") / "drawn"
    assert command.run(train.main, [str(store), "--out", str(out), *QUICK], parser=train.parser) == 0
    return out


def call(capsys, module, *argv) -> tuple[int, str, str]:
    status = command.run(module.main, [str(argument) for argument in argv], parser=module.parser)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_evaluate_repeats_the_test_accuracy_of_the_training(capsys, checkpoint, store):
    status, out, err = call(capsys, evaluate, checkpoint, store, "--split", "test")
    assert (status, err) == (0, "")
    accuracy = json.loads((checkpoint / "results.json").read_text())["accuracy"]["test"]
    assert f"accuracy {accuracy:.3f}" in out.splitlines()[-1]
    assert "precision" in out


def test_predictions_hold_each_video_once_with_its_part(checkpoint):
    with open(checkpoint / "predictions.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["level"] == "video"]
    results = json.loads((checkpoint / "results.json").read_text())
    assert {row["video"]: row["split"] for row in rows} == {
        name: part for part, names in results["split"].items() for name in names
    }
    assert len(rows) == 36
    for row in rows:
        assert sum(float(row[f"p({name})"]) for name in ("jump", "run", "walk")) == pytest.approx(1, abs=1e-4)


def test_all_videos_train_the_model_and_no_figure_changes(capsys, checkpoint, store, tmp_path):
    out = tmp_path / "all"
    status, said, err = call(capsys, train, store, "--out", out, "--all", *QUICK)
    assert (status, err) == (0, "")
    assert "note: the model learnt from all 36 videos" in said
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (checkpoint, out))
    assert second["all_videos"] == 36
    for name in ("accuracy", "log_loss", "split", "temperature", "best_epoch"):
        assert second[name] == first[name]
    assert history_of(out) == history_of(checkpoint)
    one, other = (Checkpoint.load(folder).model.get_weights() for folder in (checkpoint, out))
    assert any((mine != theirs).any() for mine, theirs in zip(one, other, strict=True))
    status, said, _ = call(capsys, evaluate, out, store, "--split", "test")
    assert re.search(r"note: the checkpoint was trained on (\d+) of these \1 videos", said)


def test_several_members_learn_from_all_videos_too(capsys, store, tmp_path):
    out = tmp_path / "members"
    options = [option if option != "1" else "3" for option in QUICK]
    status, said, err = call(capsys, train, store, "--out", out, "--all", *options)
    assert (status, err) == (0, "")
    assert "note: the model learnt from all 36 videos" in said
    assert json.loads((out / "results.json").read_text())["members"]["count"] == 3
    assert call(capsys, evaluate, out, store, "--split", "all")[0] == 0


def test_it_is_said_who_divided_the_videos(capsys, store, tmp_path):
    status, said, _ = call(capsys, train, store, "--out", tmp_path / "run", *QUICK)
    assert status == 0
    assert re.search(r"3 classes, train \d+, val \d+, test \d+ videos, split drawn with seed 0\n", said)
    divided = write_store(tmp_path / "divided", splits=True)
    assert call(capsys, train, divided, "--out", tmp_path / "run", "--overwrite", *QUICK)[0] == 0
    status, said, _ = call(capsys, train, divided, "--out", tmp_path / "other", *QUICK)
    assert "train 18, val 9, test 9 videos, split of the catalog\n" in said


def test_folds_print_mean_and_spread(capsys, store):
    status, out, err = call(capsys, train, store, "--folds", 3, *QUICK)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line[:7] for line in lines if line.startswith("fold ")] == ["fold 1:", "fold 2:", "fold 3:"]
    assert lines[-1].startswith("3 folds: test accuracy ")
    assert "±" in lines[-1]


def test_folds_and_seeds_into_a_folder(capsys, store, tmp_path):
    out = tmp_path / "cv"
    status, text, err = call(capsys, train, store, "--folds", 2, "--seeds", 2, "--seed", 4, "--out", out, *QUICK)
    assert (status, err) == (0, "")
    with open(out / "folds.csv", newline="") as file:
        rows = [(row["seed"], row["fold"]) for row in csv.DictReader(file)]
    assert rows == [(seed, fold) for seed in "45" for fold in "12"]
    assert {path.name for path in out.iterdir()} >= {"seed4fold1", "seed5fold2", "predictions.csv", "report.html"}
    assert text.splitlines()[-1].startswith(f"{out}: 4 folds of 2 seeds: test accuracy ")


def test_members_by_default_are_said_and_saved(capsys, store, tmp_path):
    out = tmp_path / "members"
    options = [option for option in QUICK if option not in ("--members", "1")]
    status, text, err = call(capsys, train, store, "--out", out, *options)
    assert (status, err) == (0, "")
    assert "note: 5 members are trained, each validated on another fifth of" in text
    assert "5 members of epochs" in text.splitlines()[-1]
    results = json.loads((out / "results.json").read_text())
    assert len(results["members"]["each"]) == 5
    assert "Members" in (out / "report.html").read_text()
    status, text, _ = call(capsys, evaluate, out, store, "--split", "test")
    assert f"accuracy {results['accuracy']['test']:.3f}" in text.splitlines()[-1]


def test_the_threshold_of_abstaining_is_found_on_the_videos_that_validate(capsys, store, tmp_path):
    from pipeline.training.checkpoint import Checkpoint

    status, text, _ = call(capsys, train, store, "--out", tmp_path / "c", "--abstain-accuracy", 1, *QUICK)
    assert status == 0
    found = Checkpoint.load(tmp_path / "c").abstain_below
    assert f"below a probability of {found:.3f} a label is 'unknown'" in text
    with open(tmp_path / "c" / "predictions.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["level"], row["split"]) == ("video", "val")]
    sure = [row["right"] for row in rows if float(row["probability"]) >= found - 1e-5]
    assert sure
    assert set(sure) == {"1"} or len(sure) == 1


def history_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_ctrl_c_keeps_the_best_and_resume_ends_as_if_undisturbed(capsys, store, checkpoint, tmp_path, monkeypatch):
    class Stopping:
        """A progress bar under which the user presses Ctrl-C after the second epoch."""

        def __init__(self, *args, **kwargs) -> None:
            self.epochs = 0

        def __enter__(self):
            return self

        def __exit__(self, *exc) -> None:
            pass

        def set_postfix_str(self, *args, **kwargs) -> None:
            pass

        def update(self) -> None:
            self.epochs += 1
            if self.epochs == 2:
                raise KeyboardInterrupt

    out = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(command, "progress", Stopping)
        status, text, _ = call(capsys, train, store, "--out", out, *QUICK)
    assert status == 130
    assert "stopped by Ctrl-C, best so far kept" in text
    assert len(history_of(out)) == 2
    assert call(capsys, train, store, "--out", out, "--resume", *QUICK)[0] == 0
    assert history_of(out) == history_of(checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["stopped"], "the state of a finished run was left"


def test_weights_of_every_epoch_are_in_the_checkpoint_and_each_can_be_used(capsys, store, tmp_path):
    out = tmp_path / "kept"
    status, _, err = call(capsys, train, store, "--out", out, "--save-every-epoch", "--members", 1, *QUICK)
    assert (status, err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    results, history = json.loads((out / "results.json").read_text()), history_of(out)
    files = sorted((out / "weights").iterdir())
    assert [path.name[:8] for path in files] == ["epoch001", "epoch002", "epoch003"]
    losses = []
    for file, row in zip(files, history, strict=True):
        loaded = Checkpoint.load(file)
        data = open_dataset(store)
        rows = np.flatnonzero(np.isin(data.names, results["split"]["val"]))
        predictions = predict(loaded, data, rows, "val")
        losses.append(measure(predictions, data.names)["log_loss"])
        assert f"-{float(row['val_loss']):.4f}." in file.name
    assert len(set(losses)) == 3  # each file holds other weights
    assert call(capsys, evaluate, files[0], store)[0] == 0
    # Without being asked for again they are gone: they would be those of another training.
    assert call(capsys, train, store, "--out", out, "--overwrite", *QUICK)[0] == 0
    assert not (out / "weights").exists()


def test_weights_that_were_kept_before_ctrl_c_are_there_after_resuming(capsys, store, tmp_path, monkeypatch):
    out = tmp_path / "kept"
    words = [store, "--out", out, "--save-every-epoch", "--members", 1, *QUICK]
    add = KeptWeights.add

    def interrupt(self, model, epoch, *, best):
        add(self, model, epoch, best=best)
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(KeptWeights, "add", interrupt)
        assert call(capsys, train, *words)[0] == 130
    assert len(list((out / "weights").iterdir())) == 2
    assert call(capsys, train, *words, "--resume")[0] == 0
    assert len(list((out / "weights").iterdir())) == len(history_of(out)) == 3


def test_classes_by_name(capsys, store, tmp_path):
    status, out, _ = call(capsys, train, store, "--out", tmp_path / "two", "--classes", "walk,run", *QUICK)
    assert status == 0
    assert "note: left out: 12 videos of other classes" in out
    assert Checkpoint.load(tmp_path / "two").classes == ("run", "walk")
    status, _, err = call(capsys, train, store, "--out", tmp_path / "new", "--classes", "walk,swim", *QUICK)
    assert status == 2
    assert f"--classes: there is no video of 'swim' in {store}, only jump, run, walk" in err


def test_quiet_prints_nothing(capsys, store, tmp_path):
    status, out, err = call(capsys, train, store, "--out", tmp_path / "c", "--quiet", *QUICK)
    assert (status, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "--out"),
        (["--out", "{out}"], "--overwrite"),
        (["--out", "{out}", "--resume"], "is finished"),
        (["--out", "{new}", "--head", "nonsense"], "head 'nonsense'"),
        (["--out", "{new}", "--window", "99"], "longer than every video"),
        (["--out", "{new}", "--group", "dog"], "matches no video"),
        (["--out", "{new}", "--learning-rate", "0"], "--learning-rate 0"),
        (["--folds", "99"], "--folds 99"),
        (["--folds", "3", "--resume"], "--resume"),
        (["--folds", "3", "--out", "{out}"], "--overwrite"),
        (["--folds", "3", "--out", "{out}", "--overwrite"], "is not a cross-validation"),
        (["--out", "{new}", "--seeds", "3"], "--seeds is for --folds"),
        (["--folds", "3", "--seeds", "0"], "--seeds 0"),
        (["--out", "{new}", "--members", "0"], "--members 0"),
        (["--out", "{new}", "--members", "9", "--group", r"g\d"], "--members 9"),
        (["--folds", "3", "--save-every-epoch"], "--save-every-epoch"),
        (["--out", "{new}", "--save-every-epoch", "--members", "3", "--group", r"g\d"], "add --members 1"),
        (["--out", "{new}", "--units", "8,x"], "--units: '8,x' is not a width"),
        (["--out", "{new}", "--units", "8,4", "--layers", "3"], "--units 8,4"),
        (["--out", "{new}", "--plateau-factor", "2"], "--plateau-factor 2"),
        (["--out", "{new}", "--rounds", "0"], "--rounds 0"),
        (["--out", "{new}", "--optimizer", "adamant"], "adadelta"),
        (["--out", "{new}", "--head", "gru", "--mask", "first"], "takes no --mask"),
        (["--out", "{new}", "--mixup", "-1"], "--mixup -1"),
        (["--out", "{new}", "--abstain-below", "2"], "--abstain-below 2"),
        (["--out", "{new}", "--abstain-accuracy", "0"], "--abstain-accuracy 0"),
        (["--out", "{new}", "--abstain-accuracy", "0.9", "--abstain-below", "0.5"], "leave one out"),
        (["--out", "{new}", "--labels", "missing.csv"], "missing.csv"),
    ],
)
def test_mistakes_are_one_line_and_status_two(capsys, store, checkpoint, tmp_path, argv, part):
    argv = [argument.format(out=checkpoint, new=tmp_path / "new") for argument in argv]
    status, _, err = call(capsys, train, store, *argv)
    assert status == 2
    assert part in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_evaluate_refuses_what_does_not_fit(capsys, checkpoint, store, tmp_path):
    other = write_store(tmp_path / "other", sampling="uniform:5", longest=5)
    assert call(capsys, evaluate, checkpoint, other)[0] == 2
    foreign = write_store(tmp_path / "foreign", classes=("cook", "read"))
    status, _, err = call(capsys, evaluate, checkpoint, foreign)
    assert status == 2
    assert "'cook', 'read', which the checkpoint does not know" in err
    status, _, err = call(capsys, evaluate, store, store)
    assert status == 2
    assert "is not a checkpoint" in err


def test_a_store_that_took_no_part_is_evaluated_as_a_whole(capsys, checkpoint, tmp_path):
    other = write_store(tmp_path / "other", per_class=4, seed=0)
    out = tmp_path / "figures"
    status, text, _ = call(capsys, evaluate, checkpoint, other, "--split", "all", "--out", out)
    assert status == 0
    assert "on 12 videos" in text
    assert {path.name for path in out.iterdir()} >= {"predictions.csv", "confusion_matrix.png", "results.json"}


def test_help_does_not_wait_for_keras():
    import subprocess
    import sys

    code = "import sys; from pipeline.commands.training import train, evaluate; "
    code += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
