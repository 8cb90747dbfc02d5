from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.extraction import check_features, export_features, extract_features, import_features
from pipeline.commands.videos import list_videos
from pipeline.extraction.store.store import FeatureStore
from tests.media import write_video

ROOT = Path(__file__).parents[3]
TINY = ["--backbone", "tiny", "--weights", "random", "--sampling", "uniform:4"]


@pytest.fixture
def data(tmp_path):
    for number in range(2):
        for label in ("left", "right"):
            write_video(tmp_path / f"data/{label}/clip{number}.mp4", frames=9, first=100 * number + 7 * len(label))
    return tmp_path / "data"


def call(module, *arguments):
    return command.run(module.main, [str(argument) for argument in arguments], parser=module.parser)


def test_the_whole_of_stage_one(data, tmp_path, capsys):
    store = tmp_path / "store"
    assert call(extract_features, data, "--out", store, *TINY) == 0
    assert "4 videos extracted; 16 frames in " in capsys.readouterr().out
    assert call(extract_features, data, "--out", store, *TINY) == 0
    assert "0 videos extracted; 4 were there" in capsys.readouterr().out
    assert call(check_features, store) == 0
    assert "1 shard with 4 good videos; 0 bad, 0 videos to extract again" in capsys.readouterr().out
    assert call(export_features, store, "--out", tmp_path / "arrays") == 0
    assert call(export_features, store, "--out", tmp_path / "all.h5") == 0
    assert call(export_features, store, "--out", tmp_path / "all.h5") == 2
    assert "exists; give --overwrite" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("file,label\nleft/clip0.mp4,left\nright/clip0.mp4,right\n")
    assert call(import_features, tmp_path / "arrays", "--labels", tmp_path / "list.csv", "--out", tmp_path / "i") == 0
    assert FeatureStore(tmp_path / "i").dimensions == 64


def test_one_bad_video_is_exit_status_1(data, tmp_path, capsys):
    (data / "left/zero.mp4").touch()
    assert call(extract_features, data, "--out", tmp_path / "store", *TINY) == 1
    assert "failed: left/zero.mp4: open: the file is empty (0 bytes)" in capsys.readouterr().err
    assert call(extract_features, data, "--out", tmp_path / "store", *TINY) == 1
    assert call(list_videos, data, "--out", tmp_path / "list.csv") == 1
    assert call(check_features, tmp_path / "store") == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere does not exist; expected a folder"),
        (["{data}", "--size", "3"], "size 3x3 is too small for tiny"),
        (["{data}", "--size", "big"], "size 'big' is not understood"),
        (["{data}", "--sampling", "often"], "sampling 'often' is unknown; expected uniform:N"),
        (["{data}", "--weights", "gone.h5"], "there is no such file; expected 'imagenet'"),
        (["{data}", "--backbone", "alexnet"], "backbone 'alexnet' is unknown"),
        (["{data}", "--worker", "3/2"], "--worker 3/2: expected I/N"),
        (["{data}", "--worker", "half"], "--worker: 'half' is not I/N"),
        (["{data}", "--batch", "-1"], "--batch -1: expected 1 or more"),
        (["{data}", "--out", "{data}/left/clip0.mp4"], "is a file"),
    ],
)
def test_wrong_calls_are_one_line(data, tmp_path, capsys, arguments, line):
    arguments = [argument.format(data=data) for argument in arguments]
    assert call(extract_features, "--out", tmp_path / "store", *TINY, *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert error.startswith("error: ")


def test_another_recipe_is_refused_and_overwrite_begins_anew(data, tmp_path, capsys):
    store = tmp_path / "store"
    assert call(extract_features, data, "--out", store, *TINY) == 0
    assert call(extract_features, data, "--out", store, *TINY, "--crop", "none") == 2
    assert "holds features of another recipe: crop none, not center" in capsys.readouterr().err
    assert call(extract_features, data, "--out", store, *TINY, "--crop", "none", "--overwrite") == 0
    assert FeatureStore(store).recipe.crop == "none"
    assert call(extract_features, data, "--out", data, *TINY, "--overwrite") == 2
    assert "is the input itself" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_need_not_be_named_again(data, tmp_path, capsys):
    """A store knows them; a file is known by its content, wherever it lies."""
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.extraction.network.weights import WeightsSource

    weights, store = tmp_path / "mine.weights.h5", tmp_path / "store"
    Backbone("mobilenetv2", weights=WeightsSource("random:7"), size=(32, 32)).model.save_weights(weights)
    of_store = [data, "--out", store, "--backbone", "mobilenetv2", "--size", 32, "--sampling", "uniform:4"]
    assert call(extract_features, *of_store, "--weights", weights) == 0
    (data / "right/clip9.mp4").write_bytes((data / "right/clip1.mp4").read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert call(extract_features, *of_store) == 0
    said = capsys.readouterr().out
    assert f"mobilenetv2, {weights} weights" in said
    assert "1 video extracted" in said
    assert call(extract_features, *of_store, "--weights", "random:8") == 2
    assert "weights digest" in capsys.readouterr().err
    weights.write_bytes(b"others")
    assert call(extract_features, *of_store) == 2
    assert capsys.readouterr().err == (
        f"error: the weights of {store}, {weights}, are gone or are others by now; name them by --weights\n"
    )


def test_loose_videos_are_refused_before_they_are_extracted(data, tmp_path, capsys):
    loose = [data / "left", "--out", tmp_path / "store", *TINY]
    assert call(extract_features, *loose) == 2
    assert capsys.readouterr().err.startswith(f"error: no video of {data / 'left'} has a label")
    assert not (tmp_path / "store").exists()
    assert call(extract_features, *loose, "--unlabelled") == 0
    assert call(extract_features, data / "left/clip0.mp4", "--out", tmp_path / "one", *TINY) == 0


def test_a_damaged_shard_is_named_set_aside_and_made_again(data, tmp_path, capsys):
    store = tmp_path / "store"
    call(extract_features, data, "--out", store, *TINY)
    shard = next(store.glob("shard-*.h5"))
    shard.write_bytes(shard.read_bytes()[:2000])
    assert call(extract_features, data, "--out", store, *TINY) == 2
    assert "is damaged" in capsys.readouterr().err
    assert call(check_features, store, "--quarantine") == 1
    assert "to extract again: right/clip1.mp4" in capsys.readouterr().out
    assert call(extract_features, data, "--out", store, *TINY) == 0
    assert call(check_features, store) == 0


def test_a_finished_store_is_seen_without_loading_a_network(data, tmp_path):
    arguments = [str(data), "--out", str(tmp_path / "store"), *TINY]
    call(extract_features, *arguments)
    code = (
        "import sys; from pipeline.commands.extraction import extract_features;"
        f"extract_features.main({arguments!r});"
        "print(any(name in sys.modules for name in ('tensorflow', 'keras', 'jax', 'torch')))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "False"


def test_only_our_lines_are_on_the_terminal(data, tmp_path):
    script = [sys.executable, str(ROOT / "scripts/extract_features.py"), str(data), "--out", str(tmp_path / "store")]
    # JAX, where it is installed, leaves a louder setting in the environment of what comes after it.
    louder = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "1"}
    done = subprocess.run([*script, *TINY], capture_output=True, text=True, check=True, env=louder)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3


def test_the_catalog_can_be_a_csv_file(data, tmp_path):
    (tmp_path / "train.csv").write_text("video_name,tag\nclip0.mp4,left\n")
    assert call(list_videos, data, "--out", data / "data_file.csv") == 0
    assert call(extract_features, data / "data_file.csv", "--out", tmp_path / "store", *TINY) == 0
    assert [video.label for video in FeatureStore(tmp_path / "store").catalog] == ["left"] * 2 + ["right"] * 2


def test_pooling_is_part_of_the_recipe(data, tmp_path, capsys):
    store = tmp_path / "store"
    assert call(extract_features, data, "--out", store, *TINY, "--pooling", "max") == 0
    assert (FeatureStore(store).recipe.layer, FeatureStore(store).recipe.pooling) == ("max_pool", "max")
    assert call(extract_features, data, "--out", store, *TINY) == 2
    assert "layer" in capsys.readouterr().err
    assert (
        call(extract_features, data, "--out", tmp_path / "int8", *TINY, "--pooling", "max", "--precision", "int8") == 2
    )
