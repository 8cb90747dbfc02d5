"""Checkpoints that somebody made to do harm: each is one line, in loading, classifying and comparing."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands import load
from pipeline.errors import UserError
from pipeline.files.guard.archive import check_archive, check_arrays
from pipeline.training.checkpoint import Checkpoint
from tests.inference.conftest import checkpoint, clips, store  # noqa: F401 - fixtures

HEADS = {"units": [10**9, 20_000, 1.5, 1e999, "64", None, 0, True], "layers": [99, "1"], "trainable": ["x", -5, 1.5]}
HEADS |= {"name": ["nothing", 5, None], "dropout": [float("nan"), "0.5", 2], "weights": [5], "base": ["nothing", 7]}
VALUES = {
    "classes": [[], ["a"] * 1_000_000, "abc", [1, 2, 3], None, ["a", "a", "b"], ["a", "b"]],
    "window": [
        {"length": 1 << 40},
        {"length": 20_000},
        {"length": -1},
        {"length": "8"},
        [],
        None,
        {"length": 8, "surprise": 1},
    ],
    "shape": [[1 << 40], [], [0], ["8"], [1, 2], "8", [8, 8, 8, 8]],
    "sources": [None],
    "recipe": [None, [], {"sampling": 5}, "x"],
    "weights_source": [5, None, "/dev/zero"],
    "joined": [5, [], {"recipe": {}}],
    "time_scale": [{"median": "x"}, {}, None, {"median": float("inf"), "shortest": 1, "longest": 1}],
    "temperature": [0, -1, "x", None, float("nan")],
    "threshold": [5, "x", -1],
    "versions": [[1], {"a": 5}, None],
    "format": [3, True, None, [1]],
    "members": [0, 10**9, "2", None, list(range(5000))],
}
HARM = [*((key, value) for key, values in VALUES.items() for value in values)]
HARM += [("head", {key: value}) for key, values in HEADS.items() for value in values]


def use(folder: Path) -> None:
    opened = Checkpoint.load(folder)
    features = np.zeros((1, opened.window.length, *opened.shape), opened.dtype)
    opened.predict(features, np.ones(features.shape[:2], bool))


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def run(verb: str, *words: object) -> int:
    opened = load(verb)
    return command.run(opened.main, [str(word) for word in words], parser=opened.parser)


@pytest.mark.parametrize(("key", "value"), HARM, ids=lambda value: str(value)[:30])
def test_a_value_of_a_wrong_kind_is_one_line(key, value, copy):
    path = copy / "checkpoint.json"
    content = json.loads(path.read_text())
    content[key] = content["head"] | value if key == "head" else value
    path.write_text(json.dumps(content))
    if (key, value) in (("sources", None), ("weights_source", "/dev/zero")):  # not read, and not opened here
        use(copy)
        return
    with pytest.raises(UserError) as told:
        use(copy)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("name", ["checkpoint.json", "results.json", "model.keras"])
@pytest.mark.parametrize("harm", ["pipe", "zero", "deep", "empty", "folder"])
def test_a_file_that_is_none_is_one_line(name, harm, copy, clips, tmp_path, capsys):  # noqa: F811
    path = copy / name
    path.unlink()
    if harm == "pipe":
        os.mkfifo(path)
    elif harm == "zero":
        path.symlink_to("/dev/zero")
    elif harm == "folder":
        path.mkdir()
    else:
        path.write_text("[" * 100_000 if harm == "deep" else "")
    video = next((clips / "Blue").iterdir())
    if name == "results.json":
        assert run("compare", copy, "--out", tmp_path / "compare.html") == 2
    else:
        assert run("classify", copy, video, "--output", tmp_path / "result.avi") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("key", ["measured", "accuracy", "head", "window", "training", "split", "epochs", "store"])
@pytest.mark.parametrize("value", [None, [], "x", {}, {"val": None}, float("inf")])
def test_results_of_other_runs_are_one_line(key, value, copy, tmp_path, capsys):
    path = copy / "results.json"
    content = json.loads(path.read_text())
    content[key] = value
    path.write_text(json.dumps(content))
    assert run("compare", copy, "--out", tmp_path / "compare.html") in (0, 2)
    said = capsys.readouterr().err
    assert said.count("\n") <= 1
    assert "Traceback" not in said


# -- archives --------------------------------------------------------------------------------------


def rewrite(path: Path, change) -> None:
    """The archive anew, with ``change`` called for each member's name and content."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(*change(name, content))


def test_a_bomb_is_not_unpacked(copy):
    rewrite(copy / "model.keras", lambda name, data: (name, bytes(1 << 28)) if name.endswith(".h5") else (name, data))
    with pytest.raises(UserError, match="unpacks to far more than"):
        use(copy)


@pytest.mark.parametrize("name", ["../../x.h5", "/etc/x.h5", "..\\x.h5"])
def test_a_member_outside_of_the_archive_is_refused(name, copy):
    rewrite(copy / "model.keras", lambda old, data: (name, data) if old.endswith(".h5") else (old, data))
    with pytest.raises(UserError, match="outside of its folder"):
        use(copy)


@pytest.mark.parametrize("harm", ["external", "soft", "link", "huge"])
def test_weights_that_lead_elsewhere_are_refused(harm, copy, tmp_path):
    def change(name: str, data: bytes) -> tuple[str, bytes]:
        if not name.endswith(".h5"):
            return name, data
        place = tmp_path / "weights.h5"
        place.write_bytes(data)
        with h5py.File(place, "r+") as file:
            if harm == "external":
                file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])
            elif harm == "huge":
                file.create_dataset("x", (1 << 40,), "f4", chunks=(1 << 10,))
            else:
                file["x"] = h5py.SoftLink("/layers") if harm == "soft" else h5py.ExternalLink("/etc/passwd", "/x")
        return name, place.read_bytes()

    rewrite(copy / "model.keras", change)
    with pytest.raises(UserError, match=r"model.keras is damaged"):
        use(copy)


def test_code_in_a_model_is_not_run(copy, tmp_path):
    """The structure in ``model.keras`` is for other tools; here the head is built from its settings."""

    def change(name: str, data: bytes) -> tuple[str, bytes]:
        if name != "config.json":
            return name, data
        config = {"class_name": "Lambda", "config": {"function": f"open('{tmp_path / 'RAN'}', 'w')"}}
        return name, json.dumps(config).encode()

    before = Checkpoint.load(copy).model.get_weights()
    rewrite(copy / "model.keras", change)
    after = Checkpoint.load(copy).model.get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert not (tmp_path / "RAN").exists()


def test_arrays_that_declare_more_than_they_hold_are_refused(tmp_path):
    path = tmp_path / "state.npz"
    np.savez(path, a=np.ones(3))
    check_arrays(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(UserError, match="declares more than it holds"):
        check_arrays(path)
    np.savez(path, a=np.array([object()]), allow_pickle=True)
    with pytest.raises(UserError):
        check_arrays(path)
    (tmp_path / "no.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="is damaged"):
        check_archive(tmp_path / "no.npz")
