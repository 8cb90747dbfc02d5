"""Curves for TensorBoard are read back from the event files, by TensorFlow's own reader."""

from __future__ import annotations

import shutil

import pytest
import tensorflow as tf

from pipeline.commands.training import train
from pipeline.training.loop.schedule import Epoch
from pipeline.training.loop.tensorboard import TAGS, TensorBoardLog


def read(folder):
    """(step, value) of every tag, in the order they were written."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name in ("scalars", "")
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def epoch(number):
    return Epoch(number, 4.0 / number, 0.5, 2.0 / number, 0.25 * number, 0.001, 0.1)


def test_every_value_of_every_epoch_and_what_a_resumed_run_adds(tmp_path):
    folder = tmp_path / "runs" / "match"
    for numbers, resumed in (((9,), False), ((1, 2), False), ((3,), True)):
        log = TensorBoardLog(folder, resumed=resumed)
        for number in numbers:
            log.add(epoch(number))
            assert read(folder)["loss/val"][-1] == (number, pytest.approx(2.0 / number)), "read while it trains"
        log.close()
    found = read(folder)
    assert set(found) == set(TAGS)
    for tag, name in TAGS.items():
        assert found[tag] == [(number, pytest.approx(getattr(epoch(number), name))) for number in (1, 2, 3)]


def test_train_writes_a_run_beside_the_checkpoint(store, tmp_path, capsys):
    options = ["--head", "mean", "--epochs", "2", "--members", "1", "--quiet", "--tensorboard"]
    assert train.main([str(store), "--out", str(tmp_path / "walks"), *options]) == 0
    found = read(tmp_path / "tensorboard" / "walks")
    history = (tmp_path / "walks" / "history.csv").read_text().splitlines()
    column = history[0].split(",").index("val_loss")
    expected = [float(line.split(",")[column]) for line in history[1:]]
    assert [value for _, value in found["loss/val"]] == pytest.approx(expected, rel=1e-5)
    shutil.rmtree(tmp_path / "tensorboard")
    assert train.main([str(store), "--folds", "2", *options, str(tmp_path / "logs")]) == 0
    assert {path.name for path in (tmp_path / "logs" / store.name).iterdir()} == {"fold1", "fold2"}
