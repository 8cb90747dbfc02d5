"""Search: exactly its grid, no point twice, whatever stops it, and no look at the test part."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.training import compare_runs
from pipeline.commands.training import search as script
from pipeline.errors import UserError
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.splits import make_split
from pipeline.training.experiments.search import finish, search
from pipeline.training.experiments.search_space import Range, grid_points, key_of, read_space
from pipeline.training.loop.spec import TrainSpec

BASE = TrainSpec(epochs=2, members=1)
SPACE = {"head": ["mean", "motion"], "dropout": [0.0, 0.5], "learning_rate": [0.01]}


def space_of(tmp_path: Path, text: str):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return read_space(path)


def run(data, out, space=None, **options):
    split = make_split(data, data.names)
    return search(data, split, data.names, space or SPACE, out, base=BASE, **options), split


def test_a_grid_is_trained_once_and_ranked_by_validation(data, tmp_path):
    trained: list[str] = []
    trials, split = run(data, tmp_path / "s", on_trial=lambda trial, done, total: trained.append(trial.folder.name))
    assert sorted(trained) == sorted(key_of(point) for point in grid_points(SPACE))
    assert [trial.val_loss for trial in trials] == sorted(trial.val_loss for trial in trials)
    for trial in trials:
        assert "test" not in trial.results["accuracy"]
    again, _ = run(data, tmp_path / "s", on_trial=lambda *_: pytest.fail("a point was trained twice"))
    assert [trial.folder for trial in again] == [trial.folder for trial in trials]
    with open(tmp_path / "s" / "results.csv", newline="") as file:
        assert [row["folder"] for row in csv.DictReader(file)] == [f"trials/{trial.folder.name}" for trial in trials]

    frame = trials.to_frame()
    assert frame["rank"].tolist() == [1, 2, 3, 4]
    assert frame["val_loss"].tolist() == [trial.val_loss for trial in trials]
    assert frame["head"].tolist() == [trial.point["head"] for trial in trials]

    figures = finish(trials[0], data, split, data.names, tmp_path / "s")
    best = Checkpoint.load(tmp_path / "s" / "best")
    assert best.metrics["accuracy"]["test"] == figures["accuracy"]
    assert len(best.metrics["split"]["test"]) == len(split.test)


@pytest.mark.slow
def test_stopped_after_each_trial_it_goes_on_to_exactly_its_grid(data, tmp_path):
    stops = 0
    trained: list[str] = []

    def stop(trial, done, total):
        trained.append(trial.folder.name)
        raise KeyboardInterrupt

    while True:
        try:
            trials, _ = run(data, tmp_path / "s", on_trial=stop)
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops == len(trials) == 4
    assert len(set(trained)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "tpe"])
def test_proposals_are_new_points_of_the_space_and_go_on_after_a_stop(data, tmp_path, method):
    space = {"head": ["mean"], "dropout": [0.0, 0.5], "learning_rate": Range(0.001, 0.1, log=True)}
    run(data, tmp_path / "s", space, method=method, trials=2)
    trials, _ = run(data, tmp_path / "s", space, method=method, trials=4)
    assert len({key_of(trial.point) for trial in trials}) == 4
    assert all(0.001 <= trial.point["learning_rate"] <= 0.1 for trial in trials)


def test_an_exhausted_space_ends(data, tmp_path):
    trials, _ = run(data, tmp_path / "s", {"head": ["mean"], "dropout": [0.0, 0.5]}, method="random", trials=9)
    assert len(trials) == 2


def test_settings_that_make_no_difference_make_no_points():
    points = grid_points({"head": ["mean", "keras-example", "gru"], "units": [8, 16]})
    assert points == [
        {"head": "mean"},
        {"head": "keras-example"},
        {"head": "gru", "units": 8},
        {"head": "gru", "units": 16},
    ]


def test_another_split_is_refused(data, tmp_path):
    run(data, tmp_path / "s", {"head": ["mean"]})
    with pytest.raises(UserError, match="another split or seed"):
        search(data, make_split(data, data.names, seed=5), data.names, {"head": ["mean"]}, tmp_path / "s", base=BASE)


def test_a_foreign_folder_is_refused(data, tmp_path):
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(UserError, match="holds no search"):
        run(data, tmp_path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("unit: [3]", "unknown key 'unit'"),
        ("", "no settings"),
        ("a: [", "not YAML"),
        ("units: [many]", "whole number"),
        ("units: [1.5]", "whole number"),
        ("dropout: [few]", "dropout: 'few' is not a number"),
        ("pooling: [mid]", "'mid' is not one of avg, max"),
        ("head: {low: 1, high: 2}", "not a range"),
        ("seed: [1, 2]", "unknown key 'seed'"),
        ("dropout: []", "no values"),
        ("dropout: {low: 1, high: 0}", "not a range"),
        ("dropout: {from: 1}", "expected a list"),
        ("head: [3]", "head: 3 is not a text"),
    ],
)
def test_mistakes_in_the_grid_are_told(tmp_path, text, part):
    with pytest.raises(UserError, match=part) as error:
        space_of(tmp_path, text)
    assert "\n" not in str(error.value)


def test_values_are_read_by_the_types_of_the_fields(tmp_path):
    text = "learning_rate: 1e-3\nunits: [8.0]\nbidirectional: [true, false]\ntrainable: [all, 9]\nnoise: 1\nwindow: 5"
    found = space_of(tmp_path, text)  # YAML 1.1 reads 1e-3 as a text
    assert found == {
        "learning_rate": [0.001],
        "units": [8],
        "bidirectional": [True, False],
        "trainable": [-1, 9],
        "noise": [1.0],
        "window": [5],
    }


def test_impossible_points_are_told_before_the_first_training(data, tmp_path):
    for space, part in (({"head": ["mean", "nonsense"]}, "'nonsense'"), ({"window": [6, 99]}, "longer than every")):
        with pytest.raises(UserError, match=part):
            run(data, tmp_path / "s", space, on_trial=lambda *_: pytest.fail("something was trained"))


def test_the_commands(data, store, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text("head: [mean]\ndropout: [0.0, 0.5]\n")
    out = tmp_path / "s"
    argv = [str(store), "--grid", str(tmp_path / "grid.yaml"), "--out", str(out), "--epochs", "2"]
    assert command.run(script.main, argv, parser=script.parser) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("trial ") for line in lines) == 2
    assert "2 trials; best: head mean" in lines[-1]
    page = tmp_path / "page.html"
    folders = [str(path) for path in (out / "trials").iterdir()]
    assert command.run(compare_runs.main, [*folders, "--out", str(page)], parser=compare_runs.parser) == 0
    text = page.read_text()
    for folder in folders:
        assert f"<small>{Path(folder).name}</small>" in text
    for dropout in ("0.0", "0.5"):
        assert f"head mean, dropout {dropout}</a>" in text, "a trial is called by its settings"
    assert text.count('<tr class="best">') == 1
    assert "<th>dropout</th>" in text
    assert "<th>units</th>" not in text, "what does not differ needs no column"
    assert command.run(compare_runs.main, [str(tmp_path), "--out", str(page)], parser=compare_runs.parser) == 2


@pytest.mark.slow
@pytest.mark.posix
def test_killed_ten_times_it_finishes_with_exactly_its_grid(store, tmp_path):
    (tmp_path / "grid.yaml").write_text(
        "head: [mean, motion]\ndropout: [0.0, 0.2, 0.4, 0.6]\nlearning_rate: [0.01, 0.001]\n"
    )
    out = tmp_path / "s"
    line = [sys.executable, "scripts/search.py", str(store), "--grid", str(tmp_path / "grid.yaml"), "--out", str(out)]
    line += ["--epochs", "3"]
    root = Path(__file__).parents[3]
    begun: dict[str, float] = {}
    for _ in range(10):
        before = len(list(out.glob("trials/[!.]*/checkpoint.json")))
        process = subprocess.Popen(line, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(out.glob("trials/[!.]*/checkpoint.json"))) > before:
                break
            time.sleep(0.02)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        for path in out.glob("trials/[!.]*/checkpoint.json"):
            begun.setdefault(path.parent.name, path.stat().st_mtime)
    subprocess.run(line, cwd=root, check=True, capture_output=True)
    space = read_space(tmp_path / "grid.yaml")
    found = {path.parent.name: path.stat().st_mtime for path in out.glob("trials/[!.]*/checkpoint.json")}
    assert set(found) == {key_of(point) for point in grid_points(space)}
    assert len(found) == 16
    assert not list(out.glob("trials/.*")), "what the kills left was not cleared away"
    assert {name: found[name] for name in begun} == begun, "a point was trained twice"
