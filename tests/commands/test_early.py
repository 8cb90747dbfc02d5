"""What can be refused at once is refused before libraries are imported that take seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.commands.test_options import checkpoint, places  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]
HEAVY = ("keras", "tensorflow", "jax", "optuna", "sklearn", "matplotlib")
CODE = f"""
import json, sys
from pipeline.cli import command
from pipeline.commands import load
told = []
for verb, *words in json.loads(sys.argv[1]):
    opened = load(verb)
    status = command.run(opened.main, words, parser=opened.parser)
    told.append([verb, status, sorted(set({HEAVY}) & set(sys.modules))])
print(json.dumps(told))
"""
CALLS = {
    "train {features} --out {new} --head gnu": "head 'gnu' is unknown",
    "train {features} --out {data}": "exists",
    "train {features} --out {new} --seed -1": "--seed -1",
    "train {features} --out {new} --head lrcn": "needs frames",
    "train {features} --out {new} --window 99": "longer than every video",
    "train {features} --out {new} --window 4 --stride 0": "--stride 0",
    "train {features} --out {new} --group dog": "matches no video",
    "train {features} --out {new} --test 1.5": "a share of 1.5",
    "search {features} --grid {new}.yaml --out {new}": "is missing",
    "search {features} --grid {table} --out {new}": "holds no settings",
    "search {features} --grid {grid} --out {data}": "holds no search",
    "search {features} --grid {grid} --out {new} --method tpe": "--trials",
    "extract {data} --out {features} --backbone tiny --weights random --sampling uniform:4": "another recipe: sampling",
    "extract {loose} --out {new}": "has a label",
    "extract {data} --out {new} --weights {new}.h5": "there is no such file",
    "evaluate {checkpoint} {features} --out {checkpoint}": "is a checkpoint",
    "evaluate {checkpoint} {features} --split all": "does not know",
    "evaluate {checkpoint} {frames} --split all": "needs features",
    "evaluate {data} {features}": "is not a checkpoint",
    "compare {checkpoint} --out {table}": "exists",
    "classify {checkpoint} {movie} --output {movie}": "is the video itself",
    "classify {checkpoint} {movie} --csv {table}": "exists",
    "classify {data} {movie}": "is not a checkpoint",
    "samples {frames} --out {table}": ".png",
    "export-features {features} --out {data}": "exists",
}


def test_mistakes_do_not_wait_for_heavy_imports(places, tmp_path):  # noqa: F811
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose/movie.mp4").symlink_to(places["movie"])
    names = {**places, "new": tmp_path / "new", "loose": tmp_path / "loose"}
    calls = [[word.format(**names) for word in call.split()] for call in CALLS]
    run = subprocess.run([sys.executable, "-c", CODE, json.dumps(calls)], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    lines = run.stderr.splitlines()
    assert [status for _, status, _ in json.loads(run.stdout.splitlines()[-1])] == [2] * len(CALLS), lines
    assert len(lines) == len(CALLS), lines
    for (call, part), line in zip(CALLS.items(), lines, strict=True):
        assert part in line, call
    imported = [(verb, modules) for verb, _, modules in json.loads(run.stdout.splitlines()[-1]) if modules]
    assert imported == []


def test_runs_are_compared_without_keras(places, tmp_path):  # noqa: F811
    folder = checkpoint(tmp_path / "checkpoint")
    figures = {"val": 0.5}
    results = {
        "accuracy": figures, "measured": {"val": {"uncalibrated": {"log_loss": 1.0}}}, "head": {"name": "gru"},
        "window": {"length": 6, "stride": 6}, "training": {"epochs": 3, "augmentation": {}}, "split": {"val": ["a"]},
        "store": "features", "epochs": 3, "parameters": 7, "seconds": 1.0,
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    call = ["compare", str(folder), str(folder), "--out", str(tmp_path / "page.html")]
    run = subprocess.run([sys.executable, "-c", CODE, json.dumps([call])], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == [["compare", 0, []]]
    assert (tmp_path / "page.html").is_file()
